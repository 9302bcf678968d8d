"""Which other file a MetaImage or NRRD header names for its voxels; it may be anywhere on the computer."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from .errors import InputError

METAIMAGE_SUFFIXES = (".mha", ".mhd")
_METAIMAGE_FIELD = b"ElementDataFile"
_NRRD_FIELD = re.compile(rb"(?:^|[\r\n])[ \t]*data ?file:[ \t]*([^\r\n]*)", re.IGNORECASE)
_NRRD_MENTION = re.compile(rb"data ?file:", re.IGNORECASE)
_LONGEST_HEADER_BYTES = 1 << 24
_LONGEST_NAME_BYTES = 480
"""The library of MetaImage cuts a line at 500."""
_LOCAL = ("LOCAL", "Local", "local")


def data_file_name(path: Path) -> str | None:
    """The other file, pattern or list of files that a header names first; None for none, or another kind of file.

    InputError for a name that cannot be one.
    """
    return next(_named(path), None)


def only_data_file_name(path: Path) -> str | None:
    """As `data_file_name`; InputError also where the libraries could come to another one.

    That is where a header names, or mentions, a data file more than once.
    """
    names = list(_named(path))
    if len(names) > 1 or _mentions(path) > 1:
        raise InputError(f"{path} says more than once where its voxels are; save it as one file: .nrrd or .nii.gz.")
    return names[0] if names else None


def is_several(name: str) -> bool:
    """Whether a name in a header stands for more than one file: a pattern, or a list that follows."""
    return "%" in name or name.upper().startswith("LIST")


def _named(path: Path) -> Iterator[str]:
    if path.suffix.lower() in METAIMAGE_SUFFIXES:
        said = (name for name in _after_each(path, _METAIMAGE_FIELD) if name not in _LOCAL)
    else:
        said = (_text(name).rstrip(" \t") for name in _NRRD_FIELD.findall(_nrrd_header(path)))
    return (_checked(name, path) for name in said)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _checked(name: str, path: Path) -> str:
    """The name, unless libraries written in C would take it for another one; InputError."""
    said = name.encode("utf-8", "surrogateescape")
    if not name or not said.decode("utf-8", "replace").isprintable() or len(said) > _LONGEST_NAME_BYTES:
        raise InputError(f"{path} says that its voxels are in {name[:40]!r}, which is no file name; export it again.")
    return name


def _mentions(path: Path) -> int:
    """How often a header speaks of a data file, also where this program takes it for a remark."""
    if path.suffix.lower() in METAIMAGE_SUFFIXES:
        return sum(1 for _ in _after_each(path, _METAIMAGE_FIELD))
    return len(_NRRD_MENTION.findall(_nrrd_header(path)))


def _after_each(path: Path, field: bytes) -> Iterator[str]:
    """What stands behind the separator of each occurrence of a field, to the end of its line.

    The whole file is looked through: where a header ends, only the library itself knows for certain.
    """
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(field)
        while place >= 0:
            line, _, _ = content[place + len(field) : place + len(field) + 2 * _LONGEST_NAME_BYTES].partition(b"\n")
            yield _text(line.lstrip(b" \t=:").rstrip(b" \t\r"))
            place = content.find(field, place + 1)


def _nrrd_header(path: Path) -> bytes:
    """A NRRD header, without the voxels behind it; b"" for another file, InputError for one without an end."""
    with path.open("rb") as file:
        if file.read(4) != b"NRRD":
            return b""
        text = file.read(_LONGEST_HEADER_BYTES)
    ends = [end for blank in (b"\n\n", b"\r\n\r\n") if (end := text.find(blank)) >= 0]
    if not ends and len(text) == _LONGEST_HEADER_BYTES:
        raise InputError(f"The header of {path} has no end; it is damaged, export the scan again.")
    return text[: min(ends)] if ends else text
