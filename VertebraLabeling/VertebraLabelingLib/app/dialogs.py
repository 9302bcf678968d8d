"""The few windows that the module opens; a test passes an object with the same methods."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from .exporting import file_name
from .machine_settings import store, stored


class Dialogs:
    """Questions where data would be lost, messages about failures, and files."""

    def ask(self, question: str) -> bool:
        """Yes or no; no in testing mode."""
        return bool(slicer.util.confirmYesNoDisplay(question, windowTitle=_("Vertebra Labeling")))

    def failure(self, message: str) -> None:
        """Tell what went wrong; in testing mode it is only logged."""
        slicer.util.errorDisplay(message, windowTitle=_("Vertebra Labeling"))

    def save_path(self, title: str, name: str, suffix: str) -> Path | None:
        """Where to write a file; the suffix is added when the user has left it out.  None: cancelled."""
        proposal = str(Path(stored("ExportFolder", str(Path.home()))) / file_name(name))
        chosen = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, proposal, f"*{suffix}")
        path = _path(chosen)
        if path is None:
            return None
        store("ExportFolder", str(path.parent))
        if path.name.lower().endswith(suffix):
            return path
        whole = path.with_name(path.name + suffix)  # of which the file dialog knew nothing
        question = _("'{name}' exists already. Replace it?").format(name=whole.name)
        return whole if not whole.exists() or self.ask(question) else None

    def open_path(self, title: str, pattern: str) -> Path | None:
        """An existing file.  None: cancelled."""
        folder = stored("ImportFolder", str(Path.home()))
        path = _path(qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, folder, pattern))
        if path is not None:
            store("ImportFolder", str(path.parent))
        return path

    def open_folder(self, folder: Path) -> None:
        """Show a folder in the file manager; made when it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))

    def copy(self, text: str) -> None:
        """Put a text on the clipboard."""
        qt.QApplication.clipboard().setText(text)


def _path(chosen: object) -> Path | None:
    """PythonQt gives the name alone, other bindings give (name, filter)."""
    name = chosen[0] if isinstance(chosen, tuple) else chosen
    return Path(str(name)) if name else None
