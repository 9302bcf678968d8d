"""What lies in a folder, as far as one may look for it between a click and an answer."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..batch.discover import is_slice, is_volume


@dataclass(frozen=True)
class Limits:
    """How far a search goes.  depth: of folders below the first one.  entries: looked at, files that are read twice."""

    depth: int = 8
    entries: int = 20_000
    seconds: float = 2.0


@dataclass
class Search:
    """One search; `is_cut` afterwards: whether it met a limit."""

    limits: Limits
    is_cut: bool = False
    _is_over: bool = False
    _entries: int = 0
    _begin_s: float = field(default_factory=time.monotonic)

    def scans_below(self, root: Path) -> Iterator[Path]:
        """Volume files and folders that hold DICOM slices, the nearest first; hidden ones and linked folders are not.

        Links to files are among them, wherever they lead.
        """
        waiting = deque([(root, 0)])
        while waiting and not self._is_over:
            folder, depth = waiting.popleft()
            files, folders = self._content(folder)
            yield from (path for path in files if is_volume(path))
            if any(is_slice(path) for path in files if not is_volume(path) and self._may_go_on()):
                yield folder
            if depth < self.limits.depth:
                waiting.extend((below, depth + 1) for below in folders)
            elif folders:
                self.is_cut = True

    def files_in(self, folder: Path) -> list[Path]:
        """The files right in a folder, sorted; hidden ones are not."""
        return self._content(folder)[0]

    def _content(self, folder: Path) -> tuple[list[Path], list[Path]]:
        files: list[Path] = []
        folders: list[Path] = []
        with suppress(OSError), os.scandir(folder) as entries:  # one that may not be entered is empty
            for entry in entries:
                if not self._may_go_on():
                    break
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file():
                    files.append(Path(entry.path))
        return sorted(files), sorted(folders)

    def _may_go_on(self) -> bool:
        self._entries += 1
        is_late = time.monotonic() - self._begin_s > self.limits.seconds
        if is_late or self._entries > self.limits.entries:
            self._is_over = self.is_cut = True
        return not self._is_over
