"""Correct: every tool one click, one step of undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from .widgets import fill_combo, offer, on_click, quiet, say

if TYPE_CHECKING:
    from ..session import Session
    from .messages import Messages

REACHES = ("only", "down", "up")


@dataclass(frozen=True)
class Tool:
    """What a button does: its tip, and a sentence why it cannot be used now ("" when it can)."""

    tip: Callable[[], str]
    action: Callable[[], object]
    refusal: Callable[[], str]


class CorrectSection:
    """The correction tools; `rows` gives the selected rows of the table."""

    def __init__(self, ui: Any, session: Session, messages: Messages, rows: Callable[[], tuple[int, ...]]):
        self._ui, self._session, self._messages, self._rows = ui, session, messages, rows
        self._shown_level = ""
        fill_combo(ui.reachComboBox, [_("only this"), _("and below"), _("and above")], 0)
        fill_combo(ui.levelComboBox, _level_names(), -1)
        self._tools = self._rename_tools() | self._point_tools() | self._column_tools() | self._history_tools()
        for name in self._tools:
            on_click(getattr(ui, name), self.tool(name))
        self._anomaly_menu = self._make_anomaly_menu()
        ui.anomalyButton.setMenu(self._anomaly_menu)
        say(ui.correctMessageLabel, "")
        self.refresh()

    def refresh(self) -> None:
        """Enable what can be done now; the tooltip of everything else says why not."""
        for name, tool in self._tools.items():
            offer(getattr(self._ui, name), tool.tip(), tool.refusal())
        tip = _(
            "Name the column again with another number of vertebrae, counted from above. Confirmed points are kept."
        )
        offer(self._ui.anomalyButton, tip, self._no_points())
        self._follow_level()

    def tool(self, name: str) -> Callable[[], None]:
        """What a click on a button, or its keyboard shortcut, does; nothing while the tool cannot be used."""

        def use() -> None:
            tool = self._tools[name]
            if not tool.refusal():
                self._correct(tool.action)

        return use

    def _correct(self, action: Callable[[], object]) -> None:
        with self._messages.beside(self._ui.correctMessageLabel):
            action()

    def _rename_tools(self) -> dict[str, Tool]:
        session, ui = self._session, self._ui
        return {
            "shiftUpButton": Tool(
                lambda: _("Every name moves one level towards the head: L1 becomes T12 (Ctrl+Up)."),
                lambda: session.shift(-1),
                self._no_points,
            ),
            "shiftDownButton": Tool(
                lambda: _("Every name moves one level towards the feet: T12 becomes L1 (Ctrl+Down)."),
                lambda: session.shift(1),
                self._no_points,
            ),
            "relabelButton": Tool(
                lambda: _("Give the selected point this level, and count on from it where that is chosen."),
                lambda: session.relabel(
                    self._rows()[0], ui.levelComboBox.currentText, REACHES[ui.reachComboBox.currentIndex]
                ),
                self._not_one,
            ),
        }

    def _point_tools(self) -> dict[str, Tool]:
        session, rows = self._session, self._rows
        return {
            "insertAboveButton": Tool(
                lambda: _("Add a missed vertebra above the selected one, halfway to its neighbour."),
                lambda: session.insert(rows()[0], "above"),
                self._not_one,
            ),
            "insertBelowButton": Tool(
                lambda: _("Add a missed vertebra below the selected one, halfway to its neighbour."),
                lambda: session.insert(rows()[0], "below"),
                self._not_one,
            ),
            "deleteButton": Tool(
                lambda: _("Remove the selected points (Del in the table)."),
                lambda: session.delete(rows()),
                self._none_selected,
            ),
            "confirmButton": Tool(
                lambda: _("These points are right: lock them, and keep them when labelling again (L in the table)."),
                lambda: session.confirm(rows(), True),
                lambda: self._none_selected() or self._none_with(locked=False),
            ),
            "unlockButton": Tool(
                lambda: _("Take the confirmation back."),
                lambda: session.confirm(rows(), False),
                lambda: self._none_selected() or self._none_with(locked=True),
            ),
            "refineButton": Tool(
                lambda: _("Move the selected points to the centre of their vertebral body."),
                lambda: session.refine(rows()),
                lambda: self._none_selected() or self._cannot_refine(),
            ),
        }

    def _column_tools(self) -> dict[str, Tool]:
        session = self._session
        return {
            "confirmAllButton": Tool(
                lambda: _("All points are right: lock them all."),
                lambda: session.confirm(tuple(range(len(session.column))), True),
                self._no_points,
            ),
            "curveButton": Tool(
                lambda: _("Make or update a curve through the centres of the vertebral bodies."),
                session.update_curve,
                self._no_points,
            ),
        }

    def _history_tools(self) -> dict[str, Tool]:
        session = self._session
        return {
            "undoButton": Tool(
                lambda: _("Undo: {step} (Z)").format(step=session.undo_text) if session.can_undo else _("Undo (Z)"),
                session.undo,
                lambda: self._busy() or ("" if session.can_undo else _("There is nothing to undo.")),
            ),
            "redoButton": Tool(
                lambda: _("Redo: {step} (Y)").format(step=session.redo_text) if session.can_redo else _("Redo (Y)"),
                session.redo,
                lambda: self._busy() or ("" if session.can_redo else _("There is nothing to redo.")),
            ),
        }

    def toggle_lock(self) -> None:
        """Confirm the selected points, or unlock them when all of them are confirmed already."""
        self.tool("unlockButton" if self._none_with(locked=False) else "confirmButton")()

    def _busy(self) -> str:
        return _("Wait for the run to end, or cancel it.") if self._session.is_running else ""

    def _no_points(self) -> str:
        return self._busy() or ("" if self._session.column else _("There are no points yet: label a CT first."))

    def _none_selected(self) -> str:
        return self._no_points() or ("" if self._rows() else _("Select points in the table first."))

    def _not_one(self) -> str:
        return self._no_points() or ("" if len(self._rows()) == 1 else _("Select one point in the table first."))

    def _none_with(self, locked: bool) -> str:
        column = self._session.column
        if any(column[row].locked == locked for row in self._rows() if row < len(column)):
            return ""
        return _("None of the selected points is confirmed.") if locked else _("They are confirmed already.")

    def _cannot_refine(self) -> str:
        return "" if self._session.input_volume is not None else _("Choose the CT of these points first.")

    def _follow_level(self) -> None:
        """Offer the level of the selected point, unless the user has chosen another one for it."""
        rows, column = self._rows(), self._session.column
        label = column[rows[0]].label if len(rows) == 1 and rows[0] < len(column) else ""
        if label != self._shown_level:
            self._shown_level = label
            with quiet(self._ui.levelComboBox):
                self._ui.levelComboBox.setCurrentIndex(self._ui.levelComboBox.findText(label))

    def _make_anomaly_menu(self) -> Any:
        from ...core.correction.relabel import Anomaly

        texts = {
            Anomaly.REGULAR: _("Regular: 12 thoracic, 5 lumbar"),
            Anomaly.ELEVEN_THORACIC: _("11 thoracic (no T12)"),
            Anomaly.THIRTEEN_THORACIC: _("13 thoracic (T13)"),
            Anomaly.FOUR_LUMBAR: _("4 lumbar (no L5)"),
            Anomaly.SIX_LUMBAR: _("6 lumbar (L6)"),
        }
        menu = qt.QMenu(self._ui.anomalyButton)
        for anomaly, text in texts.items():
            self._add_anomaly(menu, anomaly, text)
        return menu

    def _add_anomaly(self, menu: Any, anomaly: Any, text: str) -> None:
        action = menu.addAction(text)
        action.connect("triggered(bool)", lambda: self._correct(lambda: self._session.anomaly(anomaly)))


def _level_names() -> list[str]:
    from ...core.anatomy import Level

    return [level.name for level in Level]
