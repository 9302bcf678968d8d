"""The points node on show: every change of it, by a tool or by the user in a view, becomes one step of the history."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import vtk
from slicer.i18n import tr as _

from ...core.correction.column import Column, ColumnPoint
from ...core.correction.history import History
from ...core.correction.points import moved
from ...core.errors import UsageError
from ..points_node import MOVED_MM, column_index, read_column, write_column
from ..signal import Signal
from ..state import result_of, set_result
from .observers import Observers

_CHANGES = (
    "PointAddedEvent", "PointRemovedEvent", "PointModifiedEvent", "PointPositionDefinedEvent",
    "PointPositionUndefinedEvent", "PointPositionMissingEvent",
)  # fmt: skip


DRAG_TOLD_EVERY_S = 0.1


class EditedPoints:
    """One points node with its history; without a node the column is empty.

    changed(): points, their names or the node's name are different.  grasped(index): the user took hold of a point.
    dragged(): it is on its way, which is no step yet.
    """

    def __init__(self) -> None:
        self.changed, self.grasped, self.dragged = Signal(), Signal(), Signal()
        self._observers = Observers()
        self.node = None
        self.history = History()
        self._known: Column = ()
        self._successors: dict[str, str] = {}
        self._is_writing = False
        self._is_dragged = False
        self._told_s = 0.0

    @property
    def column(self) -> Column:
        """The placed points as they are in the node at this moment."""
        return read_column(self.node) if self.node is not None else ()

    def attach(self, node) -> None:
        """Show another node (None: no node); its history begins now."""
        self._observers.remove_all()
        self.node, self._is_dragged = node, False
        self._begin()
        if node is None:
            return
        for event in _CHANGES:
            self._observers.add(node, getattr(node, event), self._on_change)
        self._observers.add(node, node.PointStartInteractionEvent, self._on_grasp)
        self._observers.add(node, node.PointEndInteractionEvent, self._on_release)
        self._observers.add(node, vtk.vtkCommand.ModifiedEvent, self._on_node)

    def apply(self, column: Column, what: str) -> None:
        """Write the outcome of a correction as one step `what`; UsageError, nothing changed, when that is refused."""
        if self.node is None:
            raise UsageError(_("There are no points yet; label a CT first."))
        self._write(column)
        self.history.record(self._known, what)
        self.changed.emit()

    def restart(self, column: Column) -> None:
        """Write a new labelling, which no undo takes back; UsageError as for `apply`."""
        self._write(column)
        self._begin()

    def undo(self) -> None:
        """Back by one step; CorrectionError when there is none."""
        self.settle()
        self._travel(self.history.undo(), self.history.redo)

    def redo(self) -> None:
        """Forward by one step; CorrectionError when there is none."""
        self.settle()
        self._travel(self.history.redo(), self.history.undo)

    def _travel(self, column: Column, go_back: Callable[[], Column]) -> None:
        try:
            self._write(column)
        except UsageError:
            go_back()
            raise
        self.changed.emit()

    def settle(self) -> None:
        """Before a tool works on the points: a drag that is still going on counts as ended here."""
        self._end_drag()
        self.take_edits()

    def take_edits(self) -> None:
        """Keep what others did to the node since the last look as one step."""
        if self.node is None or self._is_writing or self._is_dragged:
            return
        now = self.column
        if now == self._known:
            return
        what = _what_changed(self._known, now)
        self._known = now
        self.history.record(now, what)
        self.changed.emit()

    def _begin(self) -> None:
        self._known = self.column
        self._successors = {}
        self.history.clear(self._known)

    def _write(self, column: Column) -> None:
        """Write, follow points that got another id because they had been deleted, and learn what stands there now."""
        wanted = tuple(replace(point, key=self._living(point.key)) for point in column)
        with self._writing():
            write_column(self.node, wanted)
        self._known = self.column
        reborn = {a.key: b.key for a, b in zip(wanted, self._known, strict=True) if a.key and a.key != b.key}
        if reborn:
            self._successors |= reborn
            self._rename_keys_of_result()

    def _living(self, key: str) -> str:
        """The id that the point with this id has by now: undoing a deletion gives a point a new one."""
        while key in self._successors:
            key = self._successors[key]
        return key

    def _rename_keys_of_result(self) -> None:
        info = result_of(self.node)
        if info is not None:
            set_result(self.node, replace(info, keys=tuple(self._living(key) for key in info.keys)))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._is_writing = True
        try:
            yield
        finally:
            self._is_writing = False

    def _on_change(self, _node, _event) -> None:
        if self._is_dragged and not self._is_writing:
            self._tell_drag()
        self.take_edits()

    def _tell_drag(self) -> None:
        """Every now and then: a mouse moves faster than a panel can show it."""
        now_s = time.monotonic()
        if now_s - self._told_s >= DRAG_TOLD_EVERY_S:
            self._told_s = now_s
            self.dragged.emit()

    def _on_node(self, _node, _event) -> None:
        if not self._is_writing:
            self.changed.emit()

    def _on_grasp(self, node, _event) -> None:
        self.take_edits()
        self._is_dragged, self._told_s = True, 0.0
        display = node.GetDisplayNode()
        index = column_index(node, display.GetActiveControlPoint()) if display is not None else None
        if index is not None:
            self.grasped.emit(index)

    def _on_release(self, _node, _event) -> None:
        self._end_drag()

    def _end_drag(self) -> None:
        """One step of the whole drag; the moved points are remarked as such and keep their names."""
        if not self._is_dragged:
            return
        self._is_dragged = False
        column = _with_moves_remarked(self._known, self.column)
        if column != self._known:
            self.apply(column, _what_changed(self._known, column))


def _with_moves_remarked(before: Column, after: Column) -> Column:
    for index in _moved_indices(before, after):
        after = moved(after, index, after[index].position_lps_mm)
    return after


def _moved_indices(before: Column, after: Column) -> list[int]:
    places = {point.key: point.position_lps_mm for point in before}
    return [i for i, point in enumerate(after) if point.key in places and _is_elsewhere(point, places[point.key])]


def _is_elsewhere(point: ColumnPoint, place_lps_mm: tuple[float, float, float]) -> bool:
    return any(abs(a - b) > MOVED_MM for a, b in zip(point.position_lps_mm, place_lps_mm, strict=True))


def _what_changed(before: Column, after: Column) -> str:
    """A few words for the undo button."""
    old, new = ({point.key: point for point in column} for column in (before, after))
    added = [new[key].label for key in new if key not in old]
    removed = [old[key].label for key in old if key not in new]
    if added and removed:
        return _("change the list")
    if added:
        return _("add {names}").format(names=listed(added))
    if removed:
        return _("delete {names}").format(names=listed(removed))
    renamed = [new[key].label for key in new if new[key].label != old[key].label]
    if renamed:
        return _("rename to {names}").format(names=listed(renamed))
    shifted = [after[index].label for index in _moved_indices(before, after)]
    return _("move {names}").format(names=listed(shifted)) if shifted else _("edit points")


def listed(names: list[str]) -> str:
    """Such as ``L1, L2, L3`` or ``7 points``."""
    return ", ".join(names) if len(names) <= 3 else _("{count} points").format(count=len(names))
