"""Temporary folders beside the files to come, and the removal of those that killed runs have left behind.

As long as a folder is in use, its maker holds a lock on a file in it, which the system lets go of when the process
ends, however it ends.  So whoever can take the lock may remove the folder: nobody writes to it any more.
"""

from __future__ import annotations

import hashlib
import platform
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from shutil import rmtree

PREFIX = ".vertebra-labeling-"
_LOCK_NAME = ".lock"
_LOCKED_BYTE = 1 << 20
"""Far behind any text: Windows lets nobody read locked bytes."""
_SURELY_OVER_S = 24 * 3600
"""Nobody writes results for so long."""
_in_use: set[str] = set()
"""Names of this process's folders: on NFS locks are per process, and looking at one's own would let go of it."""


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent`, locked while the block runs and gone after it; OSError when it cannot be made."""
    folder, lock = _made(parent)
    try:
        with lock:
            yield folder
    finally:
        rmtree(folder, ignore_errors=True)  # not `TemporaryDirectory`: it goes round in circles where it cannot
        _in_use.discard(folder.name)


def remove_abandoned(parent: Path) -> None:
    """Remove the temporary folders in `parent` that nobody uses any more, as far as the system lets us.

    Locks of other machines are not seen on every network file system: theirs are removed after a day.
    """
    with suppress(OSError):  # no such folder, or one that may not be listed
        for path in parent.glob(f"{PREFIX}*"):
            if path.name not in _in_use and path.is_dir() and not path.is_symlink():
                with suppress(OSError):
                    _remove_if_abandoned(path)


def try_lock(file: FileIO) -> bool:
    """Take the lock of an open file until it is closed; False when somebody else has it.

    OSError where the file system knows no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _made(parent: Path) -> tuple[Path, FileIO]:
    """A new folder and its lock; another one when somebody takes it for abandoned before it is locked."""
    while True:
        folder = parent / f"{_own_prefix()}{uuid.uuid4().hex[:12]}"
        _in_use.add(folder.name)
        folder.mkdir()  # with the usual permissions, which `mkdtemp` would take from the results
        if lock := _locked(folder / _LOCK_NAME):
            return folder, lock
        _in_use.discard(folder.name)


def _locked(path: Path) -> FileIO | None:
    """The lock file, open; None when somebody else has it, or has removed it meanwhile."""
    try:
        file = path.open("ab", buffering=0)
    except FileNotFoundError:
        return None
    try:
        if try_lock(file) and path.exists():
            return file
    except OSError:  # no locks here: others go by the time
        return file
    file.close()
    return None


def _own_prefix() -> str:
    """What the names of this machine's folders begin with."""
    return f"{PREFIX}{hashlib.sha256(platform.node().encode()).hexdigest()[:8]}-"


def _remove_if_abandoned(folder: Path) -> None:
    is_old = time.time() - folder.stat().st_mtime > _SURELY_OVER_S
    if not (is_old or folder.name.startswith(_own_prefix())):
        return
    with (folder / _LOCK_NAME).open("ab", buffering=0) as lock:
        if not _may_remove(lock, is_old):
            return
        rmtree(folder, ignore_errors=True)
    if sys.platform == "win32":  # which keeps files that are open; the lock may be a new maker's by now
        (folder / _LOCK_NAME).unlink()
        folder.rmdir()


def _may_remove(lock: FileIO, is_old: bool) -> bool:
    try:
        return try_lock(lock)
    except OSError:
        return is_old
