"""Label vertebrae: the button that becomes Cancel, how far the run is, and what the process said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ..point_words import progress
from .widgets import offer, on_click, say

if TYPE_CHECKING:
    from ..session import Session


class LabelSection:
    """Starts and cancels a run."""

    def __init__(self, ui: Any, session: Session):
        self._ui, self._session = ui, session
        self._failure = self._failed_volume = ""
        on_click(ui.labelButton, self._clicked)
        ui.logCheckBox.connect("toggled(bool)", self._show_log)
        self.refresh()

    def refresh(self) -> None:
        """Show whether a run can start, or how far it is."""
        running = self._session.is_running
        if self._volume_id() != self._failed_volume:
            self._failure = ""
        self._ui.labelButton.setText(_("Cancel") if running else _("Label vertebrae"))
        if running:
            stopping = _("The run is being stopped.") if self._session.stopping else ""
            offer(self._ui.labelButton, _("Stop this run. The scene stays as it was."), stopping)
        else:
            offer(self._ui.labelButton, _("Name every vertebra in the CT."), self._session.refusal)
        self._ui.progressBar.setVisible(running)
        say(self._ui.statusLabel, "" if running else self._failure or self._session.refusal)
        self.refresh_progress()

    def refresh_progress(self) -> None:
        """Show stage, share and time left of the run."""
        running = self._session.is_running
        self._ui.progressBar.setValue(round(100 * self._session.fraction) if running else 0)
        text = progress(self._session.stage, self._session.seconds_left) if running else ""
        say(self._ui.progressLabel, text)
        self._show_log()

    def tell(self, message: str) -> None:
        """Show why a run failed, until the next one or until another CT is chosen."""
        self._failure, self._failed_volume = message, self._volume_id()
        self.refresh()

    def _volume_id(self) -> str:
        """Of the chosen CT; the node itself would be kept alive after it was removed."""
        return self._session.input_volume.GetID() if self._session.input_volume is not None else ""

    def _clicked(self) -> None:
        if self._session.is_running:
            self._session.cancel()
            self.refresh()
        else:
            self._failure = ""
            self._session.label()

    def _show_log(self, *_checked: bool) -> None:
        """The log, only while it is asked for: it can be long."""
        shown = self._ui.logCheckBox.checked
        self._ui.logText.setVisible(shown)
        log = self._session.log
        if shown and self._ui.logText.plainText != log:
            self._ui.logText.setPlainText(log)
            bar = self._ui.logText.verticalScrollBar()
            bar.setValue(bar.maximum)
