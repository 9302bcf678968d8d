"""One batch run per output folder: a lock that the system lets go of when its process ends, however it ends."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from ..core.errors import UsageError

LOCK_NAME = ".vertebra-labeling.lock"
_LOCKED_BYTE = 1 << 20
"""Far behind the text: Windows lets nobody read locked bytes."""


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """While the block runs no other batch run may write to `folder`; UsageError when one does.

    The file names process and machine for people; that it exists means nothing, a killed run leaves it behind.
    """
    path = folder / LOCK_NAME
    try:
        file = path.open("a+b", buffering=0)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"The output folder {folder} cannot be written ({reason}); choose another one.") from error
    with file:
        if not _taken(file):
            raise UsageError(f"Another batch run{_owner(file)} writes to {folder}; wait for its end or stop it first.")
        _rewrite(file, {"pid": os.getpid(), "host": platform.node()})
        try:
            yield
        finally:
            _rewrite(file, None)


def _taken(file: FileIO) -> bool:
    """Whether the lock is ours now.  Where a file system cannot lock at all, nobody is kept out."""
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
    except OSError:
        return True
    return True


def _owner(file: FileIO) -> str:
    """Such as `` (process 4711 on ward-pc)``, as far as the file tells."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        file.seek(0)
        values = json.loads(file.read(4096))
        return f" (process {values['pid']} on {values['host']})"
    return ""


def _rewrite(file: FileIO, values: dict[str, object] | None) -> None:
    """What the file tells people; on a full disk it tells nothing."""
    file.truncate(0)
    if values is not None:
        with suppress(OSError):
            file.write(json.dumps(values).encode())
