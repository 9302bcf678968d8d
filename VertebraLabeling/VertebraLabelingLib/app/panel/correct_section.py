"""Correct: every tool one click, one step of undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from ..tools import ANOMALY_TIP, REACHES, CorrectionTools, anomaly_texts, level_names
from .widgets import fill_combo, offer, on_click, quiet, say

if TYPE_CHECKING:
    from ..session import Session
    from .messages import Messages


class CorrectSection:
    """The correction tools; `rows` gives the selected rows of the table."""

    def __init__(self, ui: Any, session: Session, messages: Messages, rows: Callable[[], tuple[int, ...]]):
        self._ui, self._session, self._messages, self._rows = ui, session, messages, rows
        self._shown_level = ""
        fill_combo(ui.reachComboBox, [_("only this"), _("and below"), _("and above")], 0)
        fill_combo(ui.levelComboBox, level_names(), -1)
        self._tools = CorrectionTools(
            session, rows, lambda: ui.levelComboBox.currentText, lambda: REACHES[ui.reachComboBox.currentIndex]
        )
        for name in self._tools.names:
            on_click(self._button(name), self.tool(name))
        self._anomaly_menu = self._make_anomaly_menu()
        ui.anomalyButton.setMenu(self._anomaly_menu)
        say(ui.correctMessageLabel, "")
        self.refresh()

    def _button(self, name: str) -> Any:
        return getattr(self._ui, f"{name}Button")

    def refresh(self) -> None:
        """Enable what can be done now; the tooltip of everything else says why not."""
        for name in self._tools.names:
            tool = self._tools[name]
            offer(self._button(name), tool.tip(), tool.refusal())
        offer(self._ui.anomalyButton, ANOMALY_TIP, self._tools.no_points())
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

    def toggle_lock(self) -> None:
        """Confirm the selected points, or unlock them when all of them are confirmed already."""
        self.tool(self._tools.toggle_lock_name())()

    def _follow_level(self) -> None:
        """Offer the level of the selected point, unless the user has chosen another one for it."""
        rows, column = self._rows(), self._session.column
        label = column[rows[0]].label if len(rows) == 1 and rows[0] < len(column) else ""
        if label != self._shown_level:
            self._shown_level = label
            with quiet(self._ui.levelComboBox):
                self._ui.levelComboBox.setCurrentIndex(self._ui.levelComboBox.findText(label))

    def _make_anomaly_menu(self) -> Any:
        menu = qt.QMenu(self._ui.anomalyButton)
        for anomaly, text in anomaly_texts().items():
            self._add_anomaly(menu, anomaly, text)
        return menu

    def _add_anomaly(self, menu: Any, anomaly: Any, text: str) -> None:
        action = menu.addAction(text)
        action.connect("triggered(bool)", lambda: self._correct(lambda: self._session.anomaly(anomaly)))
