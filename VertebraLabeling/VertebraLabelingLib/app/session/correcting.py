"""The correction tools: each one pure function of core/correction, written as one step of the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from ...core.anatomy import Level
from ...core.correction import points as point_tools
from ...core.correction import relabel as naming
from ...core.correction.column import Column
from ...core.errors import CorrectionError, LockedError
from ..state import result_of
from .edited_points import EditedPoints
from .tasks import Ask, listed_labels
from .telling import alternative_names, offers

if TYPE_CHECKING:
    from ...core.correction.column_point import Position
    from ...core.correction.points import Side
    from ...core.correction.relabel import Anomaly, Reach

Correction = Callable[..., Column]
"""(column, include_locked=...) -> column."""
_MAY_MOVE = _("{labels}: confirmed by you. Move anyway?")


class Corrections:
    """Every tool raises CorrectionError, nothing changed, when it cannot be used on these points.

    Where confirmed points would change, the user is asked first; False, nothing changed, when the answer is no.
    """

    def __init__(self, points: EditedPoints, ask: Ask) -> None:
        self._points, self._ask = points, ask

    def shift(self, steps: int) -> bool:
        """Every name `steps` levels further down (negative: up)."""
        what = _("shift down") if steps > 0 else _("shift up")
        return self._rename(partial(naming.shifted, steps=steps), what)

    def relabel(self, index: int, level_name: str, reach: Reach) -> bool:
        """The point named anew; with "down" or "up" those below or above it follow."""
        column = self._column([index])
        level = _level(level_name)
        what = _("name {label} {level}").format(label=column[index].label, level=level.name)
        return self._rename(partial(naming.relabelled, index=index, level=level, reach=reach), what)

    def anomaly(self, anomaly: Anomaly) -> bool:
        """Counted from above in a spine with that number of vertebrae."""
        return self._rename(partial(naming.with_anomaly, anomaly=anomaly), _("count {n}").format(n=anomaly.value))

    def apply_alternative(self, index: int) -> bool:
        """All points named as the alternative with this number says."""
        self._points.settle()
        column, info = self._points.column, result_of(self._points.node) if self._points.node else None
        if index not in [offer.index for offer in offers(column, info)]:
            raise CorrectionError(_("This alternative does not fit the points any more; label the scan again."))
        names = alternative_names(info, index)
        what = _("apply {text}").format(text=info.alternatives[index].text)
        return self._rename(partial(naming.with_names, names=[names.get(point.key) for point in column]), what)

    def insert(self, index: int, where: Side) -> bool:
        """A missed vertebra next to a point; where no name is free, those below are named anew if the user agrees."""
        column = self._column([index])
        what = _("insert {where} {label}").format(where=where, label=column[index].label)
        insert = partial(point_tools.inserted, index=index, where=where)
        try:
            return self._apply(insert(column), what)
        except LockedError:
            raise
        except CorrectionError as refusal:
            renaming = partial(insert, rename_below=True)
            if not _is_possible(renaming, column):
                raise
            question = _("{refusal} Insert it and rename the points below?").format(refusal=refusal)
        return self._ask(question) and self._rename(renaming, what)

    def delete(self, indices: Sequence[int]) -> bool:
        """Without these points."""
        column = self._column(indices)
        if not self._agrees(column, indices, _("{labels}: confirmed by you. Delete anyway?")):
            return False
        what = _("delete {labels}").format(labels=listed_labels(column, indices))
        return self._apply(point_tools.deleted(column, indices), what)

    def confirm(self, indices: Sequence[int], locked: bool) -> bool:
        """These points locked or unlocked."""
        column = self._column(indices)
        text = _("confirm {labels}") if locked else _("unlock {labels}")
        what = text.format(labels=listed_labels(column, indices))
        return self._apply(point_tools.confirmed(column, indices, locked), what)

    def move(self, index: int, position_lps_mm: Position) -> bool:
        """A point put elsewhere, as by a drag; asks about a confirmed one."""
        column = self._column([index])
        if not self._agrees(column, [index], _MAY_MOVE):
            return False
        what = _("move {names}").format(names=column[index].label)
        return self._apply(point_tools.moved(column, index, position_lps_mm), what)

    def may_move(self, indices: Sequence[int]) -> bool:
        """Whether these points may be moved by a refinement; asks about confirmed ones; CorrectionError."""
        column = self._column(indices)
        nameless = [column[i].label for i in indices if column[i].level is None]
        if nameless:
            raise CorrectionError(_("'{label}' is no level; name the point first.").format(label=nameless[0]))
        return self._agrees(column, indices, _MAY_MOVE)

    def _agrees(self, column: Column, indices: Sequence[int], question: str) -> bool:
        locked = [i for i in indices if column[i].locked]
        return not locked or self._ask(question.format(labels=listed_labels(column, locked)))

    def _column(self, indices: Sequence[int]) -> Column:
        """The points as they are now; CorrectionError unless all of the indices are there."""
        self._points.settle()
        column = self._points.column
        if not indices or not all(0 <= index < len(column) for index in indices):
            raise CorrectionError(_("The chosen point is not there; select a point first."))
        return column

    def _rename(self, correction: Correction, what: str) -> bool:
        self._points.settle()
        column = self._points.column
        try:
            return self._apply(correction(column), what)
        except LockedError as refusal:
            question = _("{refusal} Change them as well?").format(refusal=refusal)
        return self._ask(question) and self._apply(correction(column, include_locked=True), what)

    def _apply(self, column: Column, what: str) -> bool:
        self._points.apply(column, what)
        return True


def _is_possible(correction: Correction, column: Column) -> bool:
    try:
        correction(column, include_locked=True)
    except CorrectionError:
        return False
    return True


def _level(name: str) -> Level:
    try:
        return Level.parse(name)
    except ValueError as error:
        raise CorrectionError(_("{error}; choose a level.").format(error=error)) from None
