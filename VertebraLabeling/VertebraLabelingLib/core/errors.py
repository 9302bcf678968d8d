"""What can go wrong, as exceptions that carry the documented exit code and a sentence for the user."""

from __future__ import annotations

import re

_OUT_OF_MEMORY = re.compile(r"out of memory|(can't|cannot|failed to) allocate memory|bad_?alloc", re.IGNORECASE)


class VertebraLabelingError(Exception):
    """Base of all expected failures; the message names what is wrong and what to do about it."""

    exit_code = 1


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


class ModelError(VertebraLabelingError):
    """The weights are missing, altered or do not fit the method, or nothing that can run them is installed."""

    exit_code = 5


class MemoryExhaustedError(VertebraLabelingError):
    """The machine or the device ran out of memory."""

    exit_code = 6


class CancelledError(VertebraLabelingError):
    """The user asked to stop; nothing was written."""

    exit_code = 130


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a library ran out of memory; torch and SimpleITK raise RuntimeErrors that only their text tells apart."""
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))
