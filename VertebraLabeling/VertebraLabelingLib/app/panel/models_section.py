"""Advanced, second part: the user's own weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ...core.errors import CancelledError, VertebraLabelingError
from .widgets import offer, on_click, say

if TYPE_CHECKING:
    from ...engines.store import UserModel, UserModels
    from ..dialogs import Dialogs

_HASH_SHOWN = 12


class ModelsSection:
    """Import, download and remove weight files; each is pinned by its hash."""

    def __init__(self, ui: Any, models: UserModels, dialogs: Dialogs, changed: Callable[[], object]):
        """`changed` is called when weights came or went."""
        self._ui, self._models, self._dialogs, self._changed = ui, models, dialogs, changed
        self._entries: tuple[UserModel, ...] = ()
        self._is_downloading = self._is_cancelled = False
        ui.modelsTable.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        on_click(ui.importModelButton, self._import)
        on_click(ui.removeModelButton, self._remove)
        on_click(ui.modelFolderButton, lambda: dialogs.open_folder(models.folder))
        on_click(ui.downloadModelButton, self._download)
        ui.modelAddressEdit.connect("textChanged(QString)", lambda _text: self._offer())
        ui.modelHashEdit.connect("textChanged(QString)", lambda _text: self._offer())
        ui.modelsTable.connect("itemSelectionChanged()", self._offer)
        say(ui.modelStatusLabel, "")
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again."""
        try:
            self._entries = self._models.entries()
        except VertebraLabelingError as error:
            self._entries = ()
            say(self._ui.modelStatusLabel, str(error))
        table = self._ui.modelsTable
        table.setRowCount(len(self._entries))
        table.setVisible(bool(self._entries))
        for row, entry in enumerate(self._entries):
            for index, text in enumerate((entry.method, entry.version, entry.sha256[:_HASH_SHOWN], entry.source)):
                table.setItem(row, index, qt.QTableWidgetItem(text))
                table.item(row, index).setToolTip(f"{entry.source}\nSHA-256 {entry.sha256}")
        self._offer()

    def close(self) -> None:
        """The panel goes away, and a download with it."""
        self._is_cancelled = True

    def _offer(self) -> None:
        ui, wait = self._ui, _("Wait for the end of the download.") if self._is_downloading else ""
        tip = _("Copy a weight file (.npz) from this computer or its network into the list.")
        offer(ui.importModelButton, tip, wait)
        offer(ui.modelFolderButton, _("Show where the files lie."))
        none_chosen = "" if self._selected() is not None else _("Select one in the list first.")
        offer(ui.removeModelButton, _("Delete the file."), wait or none_chosen)
        self._offer_download()

    def _offer_download(self) -> None:
        ui = self._ui
        ui.downloadModelButton.setText(_("Cancel") if self._is_downloading else _("Download"))
        if self._is_downloading:
            offer(ui.downloadModelButton, _("Stop the download; nothing of it is kept."))
            return
        complete = bool(ui.modelAddressEdit.text.strip() and ui.modelHashEdit.text.strip())
        refusal = "" if complete else _("Enter the address and the SHA-256 that its maker has published first.")
        offer(ui.downloadModelButton, _("Download the file; nothing is sent but the request for it."), refusal)

    def _selected(self) -> UserModel | None:
        row = self._ui.modelsTable.currentRow()
        chosen = 0 <= row < len(self._entries) and self._ui.modelsTable.item(row, 0).isSelected()
        return self._entries[row] if chosen else None

    def _import(self) -> None:
        path = self._dialogs.open_path(_("Import weights"), "*.npz")
        if path is not None:
            self._do(lambda: self._added(self._models.import_file(path)))

    def _download(self) -> None:
        """Download, or cancel the download that is going on: `_progress` lets this click in."""
        if self._is_downloading:
            self._is_cancelled = True
            return
        address, sha256 = self._ui.modelAddressEdit.text.strip(), self._ui.modelHashEdit.text.strip()
        self._is_downloading, self._is_cancelled = True, False
        self._offer()
        self._do(lambda: self._added(self._downloaded(address, sha256)))

    def _downloaded(self, address: str, sha256: str) -> UserModel:
        try:
            return self._models.download(address, sha256, self._progress)
        finally:
            self._is_downloading = False

    def _remove(self) -> None:
        entry = self._selected()
        question = _("Delete the weights '{name}' from this computer?").format(name=entry.id)
        if self._dialogs.ask(question):
            self._do(lambda: self._removed(entry))

    def _added(self, entry: UserModel) -> str:
        return _("'{name}' can be chosen for the method {method} now.").format(name=entry.id, method=entry.method)

    def _removed(self, entry: UserModel) -> str:
        self._models.remove(entry.id)
        return _("'{name}' was deleted.").format(name=entry.id)

    def _do(self, action: Callable[[], str]) -> None:
        try:
            text = action()
        except VertebraLabelingError as error:
            text = str(error)
        self.refresh()
        say(self._ui.modelStatusLabel, text)
        self._changed()

    def _progress(self, _stage: str, fraction: float) -> None:
        """Keeps the window alive during a download; CancelledError once the user has stopped it."""
        say(self._ui.modelStatusLabel, _("Downloading: {share}").format(share=f"{fraction:.0%}"))
        slicer.app.processEvents()
        if self._is_cancelled:
            raise CancelledError(_("The download was cancelled; nothing of it was kept."))
