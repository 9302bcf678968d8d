"""Result: what was found, how certain it is, and what else it could be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ..point_words import gaps_mm
from ..points_node import show_projection, shows_projection
from .points_table import PointsTable
from .widgets import fill_combo, on_click, quiet, say

if TYPE_CHECKING:
    from ..session import Session
    from .messages import Messages


class ResultSection:
    """Summary, alternatives, table of points and list of problems."""

    def __init__(self, ui: Any, session: Session, messages: Messages, selected: Callable[[], object]):
        """`selected` is called when the user has selected other rows."""
        self._ui, self._session, self._messages = ui, session, messages
        self.table = PointsTable(ui.pointsTable, selected, self._go_to, self._rename, self._lock)
        on_click(ui.alternativeButton, self._apply_alternative)
        ui.projectionCheckBox.connect("toggled(bool)", self._project)

    def refresh(self) -> None:
        """Show the points as they are now."""
        session = self._session
        say(self._ui.summaryLabel, "\n".join(session.summary_lines))
        offers = session.alternatives
        self._ui.alternativeWidget.setVisible(bool(offers))
        fill_combo(self._ui.alternativeComboBox, [offer.text for offer in offers])
        self._ui.alternativeButton.setEnabled(not session.is_running)
        self.table.show(session.column, gaps_mm(session.column, session.segment_lengths_mm), session.selected)
        self._show_projection(session.points_node)
        say(self._ui.problemsLabel, "\n".join(_("Check: {problem}").format(problem=p) for p in session.problems))

    def _show_projection(self, node: Any) -> None:
        """The user may also change it in the module Markups."""
        with quiet(self._ui.projectionCheckBox):
            self._ui.projectionCheckBox.setChecked(node is not None and shows_projection(node))
        self._ui.projectionCheckBox.setEnabled(node is not None)

    def _project(self, shown: bool) -> None:
        show_projection(self._session.points_node, shown)

    def _go_to(self, row: int) -> None:
        self._session.select(row)

    def _rename(self, row: int, text: str) -> None:
        """Typing a name renames this point only; a text that is no level is put back."""
        self._edit(lambda: self._session.relabel(row, text, "only"))

    def _lock(self, row: int, locked: bool) -> None:
        self._edit(lambda: self._session.confirm((row,), locked))

    def _edit(self, action: Callable[[], object]) -> None:
        """What was not done is put back in the table."""
        with self._messages.beside(self._ui.correctMessageLabel):
            if self._session.is_running:
                self._messages.show(_("Wait for the run to end, or cancel it."))
            else:
                action()
        self.refresh()

    def _apply_alternative(self) -> None:
        offers = self._session.alternatives
        with self._messages.beside(self._ui.correctMessageLabel):
            self._session.apply_alternative(offers[self._ui.alternativeComboBox.currentIndex].index)
