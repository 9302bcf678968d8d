"""What the correction tools are called, what they say they do, and when they cannot be used; for any front.

A front shows `TOOLS` as buttons; it keeps none of their logic.  It needs no Qt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from ..core.correction.relabel import Anomaly, Reach
    from .session import Session

REACHES: tuple[Reach, ...] = ("only", "down", "up")


@dataclass(frozen=True)
class Tool:
    """What a button does: its tip, and a sentence why it cannot be used now ("" when it can)."""

    tip: Callable[[], str]
    action: Callable[[], object]
    refusal: Callable[[], str]


class CorrectionTools:
    """The tools by name, working on the points `rows()` that are selected.

    level() and reach(): what is chosen beside the tool `relabel`.
    """

    def __init__(
        self,
        session: Session,
        rows: Callable[[], tuple[int, ...]],
        level: Callable[[], str],
        reach: Callable[[], Reach],
    ) -> None:
        self._session, self._rows, self._level, self._reach = session, rows, level, reach
        self._tools = self._rename_tools() | self._point_tools() | self._column_tools() | self._history_tools()

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Such as "shiftUp"."""
        return tuple(self._tools)

    def toggle_lock_name(self) -> str:
        """The tool that confirms the selected points, or unlocks them when all of them are confirmed already."""
        return "unlock" if self._none_with(locked=False) else "confirm"

    def _rename_tools(self) -> dict[str, Tool]:
        session = self._session
        return {
            "shiftUp": Tool(
                lambda: _("Every name moves one level towards the head: L1 becomes T12 (Ctrl+Up)."),
                lambda: session.shift(-1),
                self.no_points,
            ),
            "shiftDown": Tool(
                lambda: _("Every name moves one level towards the feet: T12 becomes L1 (Ctrl+Down)."),
                lambda: session.shift(1),
                self.no_points,
            ),
            "relabel": Tool(
                lambda: _("Give the selected point this level, and count on from it where that is chosen."),
                lambda: session.relabel(self._rows()[0], self._level(), self._reach()),
                self._not_one,
            ),
        }

    def _point_tools(self) -> dict[str, Tool]:
        session, rows = self._session, self._rows
        return {
            "insertAbove": Tool(
                lambda: _("Add a missed vertebra above the selected one, halfway to its neighbour."),
                lambda: session.insert(rows()[0], "above"),
                self._not_one,
            ),
            "insertBelow": Tool(
                lambda: _("Add a missed vertebra below the selected one, halfway to its neighbour."),
                lambda: session.insert(rows()[0], "below"),
                self._not_one,
            ),
            "delete": Tool(
                lambda: _("Remove the selected points (Del in the table)."),
                lambda: session.delete(rows()),
                self._none_selected,
            ),
            "confirm": Tool(
                lambda: _("These points are right: lock them, and keep them when labelling again (L in the table)."),
                lambda: session.confirm(rows(), True),
                lambda: self._none_selected() or self._none_with(locked=False),
            ),
            "unlock": Tool(
                lambda: _("Take the confirmation back."),
                lambda: session.confirm(rows(), False),
                lambda: self._none_selected() or self._none_with(locked=True),
            ),
            "refine": Tool(
                lambda: _("Move the selected points to the centre of their vertebral body."),
                lambda: session.refine(rows()),
                lambda: self._none_selected() or self._cannot_refine(),
            ),
        }

    def _column_tools(self) -> dict[str, Tool]:
        session = self._session
        return {
            "confirmAll": Tool(
                lambda: _("All points are right: lock them all."),
                lambda: session.confirm(tuple(range(len(session.column))), True),
                self.no_points,
            ),
            "curve": Tool(
                lambda: _("Make or update a curve through the centres of the vertebral bodies."),
                session.update_curve,
                self.no_points,
            ),
        }

    def _history_tools(self) -> dict[str, Tool]:
        session = self._session
        return {
            "undo": Tool(
                lambda: _("Undo: {step} (Z)").format(step=session.undo_text) if session.can_undo else _("Undo (Z)"),
                session.undo,
                lambda: self.busy() or ("" if session.can_undo else _("There is nothing to undo.")),
            ),
            "redo": Tool(
                lambda: _("Redo: {step} (Y)").format(step=session.redo_text) if session.can_redo else _("Redo (Y)"),
                session.redo,
                lambda: self.busy() or ("" if session.can_redo else _("There is nothing to redo.")),
            ),
        }

    def busy(self) -> str:
        """Why no tool can be used now; "" when no run is going on."""
        return _("Wait for the run to end, or cancel it.") if self._session.is_running else ""

    def no_points(self) -> str:
        """Why no tool for the whole column can be used; "" when one can."""
        return self.busy() or ("" if self._session.column else _("There are no points yet: label a CT first."))

    def _none_selected(self) -> str:
        return self.no_points() or ("" if self._rows() else _("Select points in the table first."))

    def _not_one(self) -> str:
        return self.no_points() or ("" if len(self._rows()) == 1 else _("Select one point in the table first."))

    def _none_with(self, locked: bool) -> str:
        column = self._session.column
        if any(column[row].locked == locked for row in self._rows() if row < len(column)):
            return ""
        return _("None of the selected points is confirmed.") if locked else _("They are confirmed already.")

    def _cannot_refine(self) -> str:
        return "" if self._session.input_volume is not None else _("Choose the CT of these points first.")


ANOMALY_TIP = _(
    "Name the column again with another number of vertebrae, counted from above. Confirmed points are kept."
)


def anomaly_texts() -> dict[Anomaly, str]:
    """The kinds of columns that can be chosen, for people."""
    from ..core.correction.relabel import Anomaly

    return {
        Anomaly.REGULAR: _("Regular: 12 thoracic, 5 lumbar"),
        Anomaly.ELEVEN_THORACIC: _("11 thoracic (no T12)"),
        Anomaly.THIRTEEN_THORACIC: _("13 thoracic (T13)"),
        Anomaly.FOUR_LUMBAR: _("4 lumbar (no L5)"),
        Anomaly.SIX_LUMBAR: _("6 lumbar (L6)"),
    }


def level_names() -> list[str]:
    """All levels, from the head downwards."""
    from ..core.anatomy import Level

    return [level.name for level in Level]
