"""The one folder whose files the page may open, and into which it may save."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_LIST = 500
"""More files than that nobody looks through on a page."""
LONGEST_NAME = 200
"""Of a file that is saved; the temporary name beside it is longer, and file systems end at 255."""


@dataclass(frozen=True)
class Folder:
    """A folder; symbolic links and ".." lead out of it nowhere."""

    root: Path

    @property
    def scans(self) -> tuple[str, ...]:
        """Places of the CTs below the folder, "." for the folder itself; at most `LONGEST_LIST`."""
        from ..batch.discover import discover

        return self._places(entry.path for entry in discover(self.root, self.root))

    @property
    def point_files(self) -> tuple[str, ...]:
        """Places of the point lists right in the folder; at most `LONGEST_LIST`."""
        return self._places(sorted(path for path in self.root.glob("*.mrk.json") if not path.name.startswith(".")))

    def _places(self, paths: Iterable[Path]) -> tuple[str, ...]:
        inside = (path for path in paths if self._holds(path))
        return tuple(path.relative_to(self.root).as_posix() for path, _ in zip(inside, range(LONGEST_LIST)))  # noqa: B905

    def _holds(self, path: Path) -> bool:
        root = self.root.resolve()
        resolved = path.resolve()
        return resolved == root or root in resolved.parents

    def file(self, place: str) -> Path:
        """An existing file or folder by its place; InputError when it is not there or not inside."""
        path = self._inside(place)
        if not path.exists():
            raise InputError(f"'{place}' is not in the folder any more; reload the list.")
        return path

    def target(self, name: str, suffix: str) -> Path:
        """Where to save a file of that name right in the folder; UsageError for a name that is a path or no name."""
        bare = name.strip().removesuffix(suffix)
        if not bare or bare.startswith(".") or len(bare) > LONGEST_NAME or set(bare) & set('/\\:*?"<>|\0'):
            raise UsageError(f"'{name[:40]}' is no file name; give a name without folders or special characters.")
        path = self.root / f"{bare}{suffix}"
        if not self._holds(path):
            raise UsageError(f"'{path.name}' is a link that leads out of the folder; choose another name.")
        return path

    def _inside(self, place: str) -> Path:
        if "\0" in place or not self._holds(self.root / place):
            raise InputError(f"'{place[:80]!r}' is outside the folder; start the viewer with --folder for another one.")
        return self.root / place
