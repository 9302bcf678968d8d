"""Advanced, last part: what is installed, what is missing, and the text for a bug report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from ...core.errors import VertebraLabelingError
from .. import dependencies, diagnostics
from .widgets import offer, on_click, say

if TYPE_CHECKING:
    from ..dialogs import Dialogs
    from ..session import Session

POLL_INTERVAL_MS = 150


class SoftwareSection:
    """Says what can run the networks; installs only when asked, and never twice by itself."""

    def __init__(self, ui: Any, session: Session, dialogs: Dialogs, changed: Callable[[], object]):
        """`changed` is called when packages may have come."""
        self._ui, self._session, self._dialogs, self._changed = ui, session, dialogs, changed
        self._state = dependencies.state()
        self._verification: dependencies.Verification | None = None
        self._tips = {
            "checkButton": _("Import the engines in a process of their own, to see whether they really work."),
            "installLightButton": _("Install ONNX Runtime: small, CPU only. Slicer asks before it downloads."),
            "installTorchButton": _("Install PyTorch through the extension PyTorch: large, uses a graphics card."),
        }
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_INTERVAL_MS)
        self._timer.connect("timeout()", self._poll)
        ui.offlineText.setPlainText(dependencies.offline_instructions())
        ui.offlineCheckBox.connect("toggled(bool)", lambda shown: ui.offlineText.setVisible(shown))
        ui.offlineText.setVisible(False)
        on_click(ui.checkButton, self._check)
        on_click(ui.installLightButton, lambda: self._install(dependencies.install_light))
        on_click(ui.installTorchButton, lambda: self._install(dependencies.install_torch))
        on_click(ui.diagnosticsButton, self._copy_diagnostics)
        self._show()

    def refresh(self) -> None:
        """Enable what can be done now."""
        checking = self._verification is not None
        running = _("Wait for the run to end, or cancel it.") if self._session.is_running else ""
        wait = _("Wait for the check to end.") if checking else running
        for button, tip in self._tips.items():
            offer(getattr(self._ui, button), tip, wait)

    def look(self) -> None:
        """Look again at what is installed, unless it was checked by really importing it."""
        if not self._state.is_verified:
            self._state = dependencies.state()
        self._show()

    def close(self) -> None:
        """End a check that still runs."""
        self._timer.stop()
        if self._verification is not None:
            self._verification.close()
            self._verification = None

    def _show(self, message: str = "") -> None:
        self._ui.dependencyLabel.setText("\n".join(self._state.lines))
        say(self._ui.dependencyMessageLabel, message if self._verification is None else _("Checking ..."))
        self.refresh()

    def _check(self) -> None:
        try:
            self._verification = dependencies.verify()
        except VertebraLabelingError as error:
            self._show(str(error))
            return
        self._timer.start()
        self._show()

    def _poll(self) -> None:
        found = self._verification.poll() if self._verification is not None else None
        if found is not None:
            self.close()
            self._state = found
            self._show(_("Checked."))

    def _install(self, install: Callable[[], dependencies.DependencyState]) -> None:
        message = _("Installed.")
        try:
            self._state = install()
        except VertebraLabelingError as error:
            message = str(error)
        self._show(message)
        self._changed()

    def _copy_diagnostics(self) -> None:
        self._dialogs.copy(diagnostics.text(self._state, self._session.last_result, self._session.log))
        self._show(_("The diagnostics are on the clipboard."))
