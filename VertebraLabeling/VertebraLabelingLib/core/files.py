"""Output files that are either whole or absent."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UsageError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path next to `path`; renamed to `path` when the block ends well, removed when it does not.

    The temporary name keeps the last two suffixes (``.nii.gz``, ``.mrk.json``), by which SimpleITK and matplotlib
    choose the format.  UsageError when the system refuses to write (no such folder, no permission, disk full).
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}{''.join(path.suffixes[-2:])}")
    try:
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105 - replaces an existing file on every system
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path} cannot be written ({reason}); choose another output place.") from error
    finally:
        temporary.unlink(missing_ok=True)


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
