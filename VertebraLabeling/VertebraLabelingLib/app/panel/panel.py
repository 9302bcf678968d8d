"""The whole panel: joins the sections to one session and polls it while a run is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer

from .. import machine_settings
from ..dialogs import Dialogs
from .correct_section import CorrectSection
from .export_section import ExportSection
from .input_section import InputSection
from .label_section import LabelSection
from .messages import Messages
from .models_section import ModelsSection
from .options_section import OptionsSection
from .result_section import ResultSection
from .shortcuts import Shortcuts
from .software_section import SoftwareSection

if TYPE_CHECKING:
    from ..session import Session

POLL_INTERVAL_MS = 150


class Panel:
    """Shows a session.

    ui: the widgets of VertebraLabeling.ui by name.  window: where keyboard shortcuts work (the main window).
    """

    def __init__(self, ui: Any, session: Session, window: Any, dialogs: Dialogs):
        from ...engines.store import UserModels
        from ...methods.registry import METHODS

        self._session = session
        self.messages = Messages(self._tell_failure)
        models = UserModels(machine_settings.models_folder(), METHODS)
        self._dialogs = dialogs
        self.input = InputSection(ui, session)
        self.label = LabelSection(ui, session)
        self.result = ResultSection(ui, session, self.messages, self._selection_changed)
        self.correct = CorrectSection(ui, session, self.messages, lambda: self.result.table.rows)
        self.export = ExportSection(ui, session, self.messages, dialogs)
        self.options = OptionsSection(ui, session, models, self.messages)
        self.models = ModelsSection(ui, models, dialogs, self.options.models_changed)
        self.software = SoftwareSection(ui, session, dialogs, self.refresh)
        self.shortcuts = self._make_shortcuts(ui, window)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_INTERVAL_MS)
        self._timer.connect("timeout()", session.poll)
        session.changed.connect(self.refresh)
        session.progressed.connect(self.label.refresh_progress)
        session.failed.connect(self.messages.show)
        self.refresh()

    def refresh(self) -> None:
        """Show everything as it is now."""
        if slicer.mrmlScene.IsBatchProcessing():  # a scene that closes or loads: the session tells when it is done
            return
        for section in (self.input, self.label, self.result, self.correct, self.export, self.options, self.software):
            section.refresh()
        self._keep_polling()

    def open(self) -> None:
        """The user has opened the module."""
        self.input.choose_first_volume()
        self.software.look()
        self.shortcuts.set_active(True)
        self.refresh()

    def leave(self) -> None:
        """The user has gone to another module; a run goes on."""
        self.shortcuts.set_active(False)

    def close(self) -> None:
        """The panel goes away, and a run with it."""
        self._timer.stop()
        for section in (self.input, self.models, self.software):
            section.close()
        self._session.changed.disconnect(self.refresh)
        self._session.progressed.disconnect(self.label.refresh_progress)
        self._session.failed.disconnect(self.messages.show)
        self.shortcuts.remove()

    def _keep_polling(self) -> None:
        if self._session.is_running and not self._timer.active:
            self._timer.start()
        elif not self._session.is_running:
            self._timer.stop()

    def _selection_changed(self) -> None:
        self.correct.refresh()

    def _tell_failure(self, message: str) -> None:
        self.label.tell(message)
        self._dialogs.failure(message)

    def _make_shortcuts(self, ui: Any, window: Any) -> Shortcuts:
        tool = self.correct.tool
        everywhere = {
            "Ctrl+Up": tool("shiftUp"),
            "Ctrl+Down": tool("shiftDown"),
            "Z": tool("undo"),
            "Y": tool("redo"),
        }
        in_table = {"Del": tool("delete"), "L": self.correct.toggle_lock}
        return Shortcuts(window, everywhere, ui.pointsTable, in_table)
