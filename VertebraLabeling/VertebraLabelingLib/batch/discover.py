"""Finding the scans below a folder: one entry per volume file and one per folder that holds DICOM slices."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ..core.data_files import data_file_name, is_several
from ..core.dicom_series import is_dicom_file
from ..core.errors import InputError
from ..core.files import printable

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr")
DICOM_SUFFIXES = (".dcm", ".ima")
RESERVED = ("summary", "index")
"""Stems in the output folder itself that the pages of the run need."""
_DICOM_INDEX = "dicomdir"
_DATA_SUFFIXES = (".raw", ".raw.gz", ".zraw", ".img", ".img.gz", ".bin")
"""Where the voxels lie that go with a header of the same stem (.mhd, .nhdr, .hdr)."""
_LONGEST_HEADER_BYTES = 1 << 20
"""Of one whose voxels are elsewhere; a longer file holds them, and is not to be read through for a fingerprint."""


@dataclass(frozen=True)
class Entry:
    """One scan to label.

    path: volume file, or folder that holds the DICOM slices itself (not in sub-folders).
    relative: its place below the input folder, with "/", always printable.
    stem: where its outputs go below the output folder, without suffix, with "/".
    """

    path: Path
    relative: str
    stem: str

    def fingerprint(self) -> str:
        """Hash of the names, sizes and times of the files that make up the scan; "" when they cannot be looked at."""
        try:
            stats = [(path.name, path.stat()) for path in self._files()]
        except OSError:
            return ""
        lines = [f"{name!r} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def _files(self) -> list[Path]:
        if self.path.is_dir():
            return sorted(path for path in self.path.iterdir() if path.is_file() and is_slice(path))
        bare = self.path.with_suffix("")
        beside = (data for s in _DATA_SUFFIXES if (data := bare.with_name(bare.name + s)).is_file())
        return list(dict.fromkeys([self.path, *beside, *_named_by(self.path)]))


def _named_by(header: Path) -> list[Path]:
    """The file that a header names for its voxels; none for a pattern or a list of files."""
    if header.stat().st_size > _LONGEST_HEADER_BYTES:
        return []
    try:
        name = data_file_name(header)
    except InputError:  # reading it will say why
        return []
    return [data] if name and not is_several(name) and (data := header.parent / name).is_file() else []


def discover(root: Path, output: Path, exclude: Sequence[str] = ()) -> tuple[Entry, ...]:
    """Entries of all scans below `root`, sorted by their place, with a different stem each.

    Hidden files and folders are left out, links to folders are followed once, and `output` is not entered unless it is
    `root` itself.  exclude: shell patterns for the file name or the whole place below `root`.
    """
    skipped = set() if _real(output) == _real(root) else {_real(output)}
    found = [path for path in _walk(root, skipped) if not _is_excluded(path, root, exclude)]
    places = sorted((path.relative_to(root).as_posix(), path) for path in found)
    stems = _distinct_stems([_full_name(place, root) for place, _ in places], [path.is_dir() for _, path in places])
    names = [printable(_full_name(place, root)) for place, _ in places]
    return tuple(Entry(path, name, stem) for (_, path), name, stem in zip(places, names, stems, strict=True))


def _full_name(place: str, root: Path) -> str:
    """The place itself; the name of the folder where the input folder holds the slices."""
    return place if place != "." else root.absolute().name or "dicom"


def _walk(folder: Path, entered: set[str]) -> Iterator[Path]:
    """Scans in a folder and below; adds what it enters to `entered` and enters nothing twice."""
    entered.add(_real(folder))
    try:
        children = sorted(path for path in folder.iterdir() if not _is_hidden(path))
        files = [path for path in children if path.is_file()]  # fails in a folder that may be listed but not entered
    except OSError:
        yield folder  # reading it will say why
        return
    yield from (path for path in files if is_volume(path))
    if any(is_slice(path) for path in files if not is_volume(path)):
        yield folder
    for child in children:
        if child.is_dir() and _real(child) not in entered:
            yield from _walk(child, entered)


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _is_hidden(path: Path) -> bool:
    """Also what macOS and this program leave behind (``._name``, ``.vertebra-labeling-…``)."""
    return path.name.startswith(".")


def is_volume(path: Path) -> bool:
    """Whether a file is a CT, or the header of one, by its name."""
    name = path.name.lower()
    if name.endswith(".hdr"):  # NIfTI and Analyze pairs; other programs call other things so
        return path.with_suffix(".img").exists() or path.with_suffix(".img.gz").exists()
    return name.endswith(VOLUME_SUFFIXES)


def is_slice(path: Path) -> bool:
    """Whether a file may be DICOM, by suffix or content: slices often lack a suffix, old ones the mark inside."""
    if path.name.lower() == _DICOM_INDEX or _is_hidden(path):
        return False
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    try:
        return is_dicom_file(path)
    except OSError:
        return False


def _is_excluded(path: Path, root: Path, patterns: Iterable[str]) -> bool:
    names = (path.name, path.relative_to(root).as_posix())
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _distinct_stems(names: Sequence[str], are_folders: Sequence[bool]) -> list[str]:
    """The names without suffix; whole names where two would be the same, to whatever system.

    Both of a clash keep their suffix, so that which came first does not matter.
    """
    short = [name if folder else _without_suffix(name) for name, folder in zip(names, are_folders, strict=True)]
    uses = Counter(_folded(stem) for stem in [*short, *RESERVED])
    stems = [stem if uses[_folded(stem)] == 1 else name for stem, name in zip(short, names, strict=True)]
    return _numbered(stems)


def _folded(stem: str) -> str:
    """The same for names that are one to systems that ignore case, or how an accent is written."""
    return unicodedata.normalize("NFC", stem).casefold()


def _without_suffix(name: str) -> str:
    suffix = next(suffix for suffix in VOLUME_SUFFIXES if name.lower().endswith(suffix))
    return name[: -len(suffix)]


def _numbered(stems: Iterable[str]) -> list[str]:
    """The stems with "-2", "-3" at those that came before, for names made to collide."""
    taken = set(RESERVED)
    result = []
    for stem in stems:
        own, number = stem, 1
        while _folded(own) in taken:
            number += 1
            own = f"{stem}-{number}"
        taken.add(_folded(own))
        result.append(own)
    return result
