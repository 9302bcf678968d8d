"""The one folder whose files the page may open, and into which it may save."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..core.errors import InputError, UsageError
from .listing import Limits, Search

LONGEST_LIST = 500
"""More files than that nobody looks through on a page."""
LONGEST_NAME_BYTES = 200
"""In UTF-8, of a file that is saved, without its suffix; with "unsaved" and a suffix it stays below 255 bytes."""
POINT_ENDINGS = (".mrk.json", ".csv", "_ctd.json")
"""Of the files that the page saves, which it so finds again."""


@dataclass(frozen=True)
class Listing:
    """Places of CTs and of point files.  is_cut: whether there are, or may be, more."""

    scans: tuple[str, ...]
    point_files: tuple[str, ...]
    is_cut: bool


@dataclass(frozen=True)
class Folder:
    """A folder; symbolic links, ".." and what a header names lead out of it nowhere."""

    root: Path

    def listing(self, limits: Limits | None = None) -> Listing:
        """CTs in the folder and below, "." for the folder itself, and point files right in it; sorted."""
        search = Search(limits or Limits())
        points = self._places(path for path in search.files_in(self.root) if path.name.lower().endswith(POINT_ENDINGS))
        scans = self._places(search.scans_below(self.root))
        return Listing(scans, points, search.is_cut or LONGEST_LIST in (len(scans), len(points)))

    def _places(self, paths: Iterable[Path]) -> tuple[str, ...]:
        inside = islice((path for path in paths if self._holds(path)), LONGEST_LIST)
        return tuple(sorted(path.relative_to(self.root).as_posix() for path in inside))

    def _holds(self, path: Path) -> bool:
        root, real = Path(os.path.realpath(self.root)), Path(os.path.realpath(path))
        return real == root or root in real.parents

    def file(self, place: str) -> Path:
        """An existing file or folder by its place; InputError when it is not there or not inside."""
        path = self._inside(place)
        try:
            is_there = path.exists()
        except OSError:  # a name that is too long for the system
            is_there = False
        if not is_there:
            raise InputError(f"'{place[:80]}' is not in the folder any more; reload the list.")
        return path

    def require_inside(self, path: Path) -> None:
        """InputError when reading the scan at `path` could read a file that is not inside: a header may name any."""
        from ..core.voxel_files import voxel_files

        try:
            outside = [file for file in voxel_files(path) if not self._holds(file)]
        except OSError as error:
            raise InputError(f"{path} cannot be opened ({error.strerror or error}); check its permissions.") from error
        if outside:
            raise InputError(
                f"{path} takes voxels from '{outside[0].name}', which lies or leads outside of the folder; open a scan "
                "whose files are all inside, or choose them together from this computer."
            )

    def target(self, name: str, suffix: str) -> Path:
        """Where to save a file of that name right in the folder; UsageError for a name that is a path or no name."""
        bare = name.strip().removesuffix(suffix)
        if not bare or bare.startswith(".") or shortened(bare) != bare or set(bare) & set('/\\:*?"<>|\0'):
            raise UsageError(f"'{name[:40]}' is no file name; give a short one without folders or special characters.")
        path = self.root / f"{bare}{suffix}"
        if not self._holds(path):
            raise UsageError(f"'{path.name}' is a link that leads out of the folder; choose another name.")
        return path

    def _inside(self, place: str) -> Path:
        if "\0" in place or not self._holds(self.root / place):
            raise InputError(f"'{place[:80]!r}' is outside the folder; start the viewer with --folder for another one.")
        return self.root / place


def shortened(name: str) -> str:
    """Of a name as much as `LONGEST_NAME_BYTES` hold."""
    return name.encode("utf-8", "ignore")[:LONGEST_NAME_BYTES].decode("utf-8", "ignore")
