"""What can go wrong, as exceptions that carry the documented exit code and a sentence for the user."""

from __future__ import annotations

import errno
import re

_OUT_OF_MEMORY = re.compile(r"out of memory|(can't|cannot|failed to) allocate memory|bad_?alloc", re.IGNORECASE)


class VertebraLabelingError(Exception):
    """Base of all expected failures; the message names what is wrong and what to do about it."""

    exit_code = 1
    device = ""


class UsageError(VertebraLabelingError):
    """The command or its arguments are wrong, or the output place cannot be written."""

    exit_code = 2


class CorrectionError(UsageError):
    """The correction of a column cannot be done, or its points cannot be written as they are."""


class LockedError(CorrectionError):
    """The correction would rename or drop points that the user has confirmed."""


class InputError(VertebraLabelingError):
    """The input cannot be read or is not a CT."""

    exit_code = 3


class NothingFoundError(VertebraLabelingError):
    """The input is a CT, but no vertebra is in view."""

    exit_code = 4

    @classmethod
    def in_scan(cls, name: str) -> NothingFoundError:
        """Of a scan of that name."""
        return cls(f"No vertebra was found in '{name}': is the spine in view?")


class ModelError(VertebraLabelingError):
    """The weights are missing, altered or do not fit the method, or nothing that can run them is installed."""

    exit_code = 5


class MemoryExhaustedError(VertebraLabelingError):
    """The machine, or the device that ran the networks, ran out of memory; device: "" while none was in use."""

    exit_code = 6

    def __init__(self, message: str, device: str = "") -> None:
        super().__init__(message)
        self.device = device


class TooSlowError(VertebraLabelingError):
    """The work on a scan took longer than it may."""

    exit_code = 8


class CancelledError(VertebraLabelingError):
    """The user asked to stop; nothing was written."""

    exit_code = 130


def is_disk_full(error: BaseException) -> bool:
    """Whether writing failed, as its cause says, because there is no room left, on the disk or for this user."""
    cause = error.__cause__ or error
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a library ran out of memory; torch and SimpleITK raise RuntimeErrors that only their text tells apart."""
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))
