"""Advanced, second part: the user's own weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ...core.errors import VertebraLabelingError
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

    def _offer(self) -> None:
        ui = self._ui
        offer(ui.importModelButton, _("Copy a weight file (.npz) from this computer or its network into the list."))
        offer(ui.modelFolderButton, _("Show where the files lie."))
        chosen = self._selected() is not None
        offer(ui.removeModelButton, _("Delete the file."), "" if chosen else _("Select one in the list first."))
        complete = bool(ui.modelAddressEdit.text.strip() and ui.modelHashEdit.text.strip())
        refusal = "" if complete else _("Enter the address and the SHA-256 that its maker has published first.")
        offer(ui.downloadModelButton, _("Download the file; nothing is sent but the request for it."), refusal)

    def _selected(self) -> UserModel | None:
        rows = [index.row() for index in self._ui.modelsTable.selectionModel().selectedRows()]
        return self._entries[rows[0]] if rows and rows[0] < len(self._entries) else None

    def _import(self) -> None:
        path = self._dialogs.open_path(_("Import weights"), "*.npz")
        if path is not None:
            self._do(lambda: self._added(self._models.import_file(path)))

    def _download(self) -> None:
        address, sha256 = self._ui.modelAddressEdit.text.strip(), self._ui.modelHashEdit.text.strip()
        self._do(lambda: self._added(self._models.download(address, sha256, self._progress)))

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
        """Keeps the window alive during a download."""
        say(self._ui.modelStatusLabel, _("Downloading: {share}").format(share=f"{fraction:.0%}"))
        slicer.app.processEvents()
