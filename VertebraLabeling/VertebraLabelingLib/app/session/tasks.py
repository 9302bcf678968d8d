"""What a run is for: what it was started with, and how its result comes into the scene, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slicer.i18n import tr as _

from ...core.anatomy import Level
from ...core.correction.column import Column, ColumnPoint, column_of
from ...core.correction.points import MOVED_BY_HAND
from ...core.errors import CorrectionError, InputError
from ...core.labelling import LabelledPoint, without_remark
from ..placement import place_beside
from ..points_node import create_points_node, mark_written, read_column, style, write_column
from ..state import ResultInfo, result_of, set_result
from .edited_points import EditedPoints, listed

Event = Mapping[str, Any]
Ask = Callable[[str], bool]


@dataclass(frozen=True)
class LabelTask:
    """A labelling of `volume_node` into `points_node` (None: a new one), whose points were `column` at the start."""

    volume_node: Any
    points_node: Any
    column: Column

    def apply(self, event: Event, points: EditedPoints, ask: Ask):
        """Put the result into the scene; returns the points node.

        InputError when the volume has left the scene.  Points that were changed while the run went on are replaced only
        if the user says so; else, and when their node is gone, the result gets a new node.
        """
        scene = self.volume_node.GetScene()
        if scene is None:
            raise InputError(_("The volume was removed during the run; its result was dropped."))
        column, info = column_of(map(_point, event["points"])), _info(event)
        node = self._target(ask)
        if node is None:
            node = create_points_node(scene, _("{volume} vertebrae").format(volume=self.volume_node.GetName()))
        is_new = result_of(node) is None
        if node is points.node:
            points.restart(column)
        else:
            write_column(node, column)
        if is_new:
            style(node)
        mark_written(node)
        set_result(node, replace(info, keys=tuple(point.key for point in read_column(node))))
        place_beside(node, self.volume_node)
        return node

    def _target(self, ask: Ask):
        node = self.points_node
        if node is None or node.GetScene() is None:
            return None
        if read_column(node) == self.column:
            return node
        question = _(
            "The points of '{name}' were changed while the run went on. Replace them? Otherwise the result goes into a "
            "new list."
        )
        return node if ask(question.format(name=node.GetName())) else None


def _point(values: Mapping[str, Any]) -> LabelledPoint:
    x, y, z = (float(value) for value in values["position_lps_mm"])
    confirmed = bool(values.get("confirmed"))
    return LabelledPoint(Level[values["level"]], (x, y, z), values["probability"], values["remark"], confirmed)


def _info(event: Event) -> ResultInfo:
    """What the run said as a whole; what it noted of the scan goes with its remarks."""
    info = ResultInfo.from_event(event, ())
    return replace(info, remarks=(*info.remarks, *event.get("notes", ())))


@dataclass(frozen=True)
class RefineTask:
    """A refinement of the points `indices` of `points_node`, whose points were `column` at the start."""

    points_node: Any
    column: Column
    indices: tuple[int, ...]

    def apply(self, event: Event, points: EditedPoints) -> None:
        """Move the points as one step; CorrectionError, nothing moved, when any point was changed meanwhile."""
        points.settle()
        if points.node is not self.points_node or points.column != self.column:
            raise CorrectionError(_("The points were changed during the refinement; nothing was moved. Refine again."))
        places = {values["level"]: tuple(map(float, values["position_lps_mm"])) for values in event["points"]}
        column = tuple(
            _refined(point, places[point.level.name]) if i in self.indices else point
            for i, point in enumerate(self.column)
        )
        points.apply(column, _("refine {names}").format(names=listed_labels(self.column, self.indices)))


def _refined(point: ColumnPoint, position_lps_mm: Any) -> ColumnPoint:
    """The point where the network has put it, so no longer where the hand did."""
    return replace(point, position_lps_mm=position_lps_mm, remark=without_remark(point.remark, MOVED_BY_HAND))


def listed_labels(column: Column, indices: Sequence[int]) -> str:
    """Such as ``L1, L2, L3`` or ``7 points``."""
    return listed([column[index].label for index in indices])
