"""Export: one button for each file format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ..exporting import MARKUPS, REPORT, TABLE, TIPS, TRANSFORM_NOTE, VERSE
from .widgets import offer, on_click, say

if TYPE_CHECKING:
    from ..dialogs import Dialogs
    from ..session import Session
    from .messages import Messages


class ExportSection:
    """Writes the points to a file of the user's choice."""

    def __init__(self, ui: Any, session: Session, messages: Messages, dialogs: Dialogs):
        self._ui, self._session, self._messages, self._dialogs = ui, session, messages, dialogs
        self._formats = {
            ui.exportMarkupsButton: MARKUPS,
            ui.exportCsvButton: TABLE,
            ui.exportVerseButton: VERSE,
            ui.exportSrButton: REPORT,
        }
        for button, suffix in self._formats.items():
            self._connect(button, suffix)
        say(ui.exportLabel, "")
        self.refresh()

    def refresh(self) -> None:
        """A list without points cannot be exported."""
        refusal = "" if self._session.column else _("There are no points yet: label a CT first.")
        for button, suffix in self._formats.items():
            offer(button, TIPS[suffix], refusal)

    def _connect(self, button: Any, suffix: str) -> None:
        on_click(button, lambda: self._export(suffix))

    def _export(self, suffix: str) -> None:
        node = self._session.points_node
        path = self._dialogs.save_path(_("Export points"), (node.GetName() if node else "") + suffix, suffix)
        if path is None:
            return
        with self._messages.beside(self._ui.exportLabel):
            if self._session.export(path):
                say(self._ui.exportLabel, "\n".join([_("Written: {path}").format(path=path), *self._notes()]))

    def _notes(self) -> list[str]:
        """What has to be known of the file."""
        return [TRANSFORM_NOTE] if self._session.points_node.GetParentTransformNode() is not None else []
