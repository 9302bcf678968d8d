"""Opens files for the workspace, one at a time, and beside the loop, so that the page stays alive meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..app import job_words
from ..core.errors import UsageError, VertebraLabelingError
from . import opening
from .series import read_series

if TYPE_CHECKING:
    from ..core.scan import Scan
    from .folder import Folder
    from .series import Series
    from .workspace import Workspace

POINT_FILES = (".json", ".csv")


class Opener:
    """Shows a CT, or the points of a file, in the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def open(self, path: Path, within: Folder | None, name: str = "") -> str:
        """Open a file, or a folder of DICOM slices; the sentence that tells why not, which the page shows, or "".

        within: the only folder from which voxels may come; None for a CT that was named on the command line.  name: how
        the user knows it, by default by the last part of the path.
        """
        name = name or path.name
        try:
            refusal = await self._open(path, within, name)
        except VertebraLabelingError as error:
            refusal = str(error)
        except Exception as error:
            logging.exception("a file could not be opened")
            refusal = job_words.unexpected(error)
        if refusal:
            refusal = refusal.replace(f"{path}{os.sep}", "").replace(str(path), name)
            self._workspace.tell(refusal, "error")
        return refusal

    async def _open(self, path: Path, within: Folder | None, name: str) -> str:
        workspace = self._workspace
        if workspace.opening_name:
            raise UsageError("Another file is being read; wait for its end.")
        if path.name.lower().endswith(POINT_FILES):
            workspace.tell("")
            workspace.files.open_points(path)
        else:
            workspace.check_idle()
            scan, series = await self._read(path, within, name)
            workspace.tell("")
            workspace.files.open_scan(scan, series)
        return workspace.message if workspace.message_kind == "error" else ""

    async def _read(self, path: Path, within: Folder | None, name: str) -> tuple[Scan, Series | None]:
        self._workspace.opening_name = name
        self._workspace.tell("")
        try:
            scan, series = await asyncio.gather(
                asyncio.to_thread(opening.read_ct, path, within), asyncio.to_thread(read_series, path, name)
            )
        finally:
            self._workspace.opening_name = ""
            self._workspace.changed.emit()
        return replace(scan, name=name), series
