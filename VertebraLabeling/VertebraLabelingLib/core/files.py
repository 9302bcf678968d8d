"""Output files that are either whole or absent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from .errors import InputError, UsageError
from .temporary import remove_abandoned, temporary_folder


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path of the same name near `path`; moved there when the block ends well, removed when it does not.

    The name stays because SimpleITK and matplotlib choose the format by it.  What killed runs have left beside `path`
    is removed by the first write of a process there.  UsageError when the system refuses to write (no such folder, no
    permission, disk full).
    """
    path = Path(path)
    _tidied(path.parent)
    try:
        with temporary_folder(path.parent) as folder:
            yield folder / path.name
            os.replace(folder / path.name, path)  # noqa: PTH105 - replaces an existing file on every system
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path} cannot be written ({reason}); choose another output place.") from error


@cache
def _tidied(folder: Path) -> None:
    """Once only: to list a folder of ten thousand results takes longer than to write one."""
    remove_abandoned(folder)


def library_name(path: Path) -> str:
    """The path as libraries written in C++ take it; InputError for one that is no valid Unicode.

    Such names come from other systems, and SimpleITK ends the whole process at them.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{printable(str(path))} has a name that is not valid UTF-8; rename it.") from error
    return str(path)


def printable(name: str) -> str:
    """The name with what is no valid Unicode, and so can be neither printed nor written, as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def require_writable_folder(path: Path) -> None:
    """UsageError unless `path` is an existing folder in which a file can be created.

    A file is really created, because permission bits say little on network drives and for administrators.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"The output folder {path} does not exist; create it or choose another one.")
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder; choose a folder for the output.")
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"The output folder {path} cannot be written ({reason}); choose another one.") from error
