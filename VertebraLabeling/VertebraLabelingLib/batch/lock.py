"""One batch run per output folder: a lock that the system lets go of when its process ends, however it ends.

The text of the lock file names the run, so that a worker whose run has ended, on whatever machine, writes nothing more.
"""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from ..core.errors import UsageError
from ..core.temporary import try_lock

LOCK_NAME = ".vertebra-labeling.lock"


@contextmanager
def only_run(folder: Path) -> Iterator[str]:
    """While the block runs no other batch run may write to `folder`; UsageError when one does.

    Gives the name of the run for `is_current`.  The file names process and machine for people; that it exists means
    nothing, a killed run leaves it behind.
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
        run = uuid.uuid4().hex
        told = _rewrite(file, {"pid": os.getpid(), "host": platform.node(), "run": run})
        try:
            yield run if told else ""
        finally:
            _rewrite(file, None)


def is_current(folder: Path, run: str) -> bool:
    """Whether the run, or one that could not tell its name (""), still has `folder`; OSError as of reading."""
    if not run:
        return True
    try:
        return bool(json.loads((folder / LOCK_NAME).read_text(encoding="utf-8"))["run"] == run)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


def _taken(file: FileIO) -> bool:
    """Whether the lock is ours now.  Where a file system cannot lock at all, nobody is kept out."""
    try:
        return try_lock(file)
    except OSError:
        return True


def _owner(file: FileIO) -> str:
    """Such as `` (process 4711 on ward-pc)``, as far as the file tells."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        file.seek(0)
        values = json.loads(file.read(4096))
        return f" (process {values['pid']} on {values['host']})"
    return ""


def _rewrite(file: FileIO, values: dict[str, object] | None) -> bool:
    """What the file tells people and workers; False when it tells nothing, as on a full disk."""
    try:
        file.truncate(0)
        told = values is not None and file.write(json.dumps(values).encode()) > 0
        os.fsync(file.fileno())  # NFS would show it to the workers of other machines half a minute later
    except OSError:
        return False
    return told
