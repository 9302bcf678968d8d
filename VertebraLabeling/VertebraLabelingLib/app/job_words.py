"""What a run says to people: its stages by name, and why it ended, in their language.

The sentences hold in Slicer's panel and on the browser's page; what only the panel has is named as Slicer's.
"""

from __future__ import annotations

from slicer.i18n import tr as _

LOG_LINES_TOLD = 2
"""Of a child that ended without a word; the panel's log has the rest."""
_KILLED = (-9, 137)
_CRASHED = (-11, 139, -6, 134, -7, 135, -4, 132, 0xC0000005, 0xC0000409, 0xC000001D)
"""SIGSEGV, SIGABRT, SIGBUS, SIGILL (a launcher adds 128); access violation, stack overrun, illegal instruction."""
_NO_MEMORY = (0xC0000017, 0xC000012D)
"""Windows: no memory, commitment limit."""


def stage_name(stage: str) -> str:
    """A stage of the command line for people; an unknown one as it is."""
    names = {
        "starting": _("Starting"),
        "reading": _("Reading the volume"),
        "loading the network": _("Loading the network"),
        "checking": _("Checking the volume"),
        "preparing": _("Preparing the volume"),
        "finding the spine": _("Finding the spine"),
        "labelling": _("Finding the vertebrae"),
        "naming": _("Naming the vertebrae"),
        "refining": _("Refining the points"),
        "writing": _("Finishing"),
    }
    return names.get(stage, stage)


def exporting() -> str:
    """Stage before the child."""
    return _("Exporting the volume")


def cancelling() -> str:
    """Stage after a cancel."""
    return _("Cancelling")


def cancelled() -> str:
    """How a cancelled run ended."""
    return _("Cancelled; the scene is as it was.")


def on_the_cpu() -> str:
    """What the result of a run says whose graphics card was too small."""
    return _("The memory of the graphics card was not enough, so the processor (CPU) did the work.")


def no_memory() -> str:
    """The program with the scene has too little for the export."""
    return _(
        "Memory ran out while the volume was exported; close other data, "
        "or take a part of the CT around the spine (in Slicer: an ROI)."
    )


def no_engine() -> str:
    """Neither torch nor ONNX Runtime is there."""
    return _(
        "Nothing can run the networks yet: install PyTorch or, the light way, ONNX Runtime (in Slicer: under Advanced)."
    )


def unexpected(error: Exception) -> str:
    """A mistake of this program."""
    return _("Unexpected error ({kind}: {error}); please report it (in Slicer: with the diagnostics).").format(
        kind=type(error).__name__, error=error
    )


def death(code: int, log: str) -> str:
    """One sentence for a child that ended without a result and without an error of its own."""
    return f"{_cause(code)} {_last_words(log)}".strip()


def _cause(code: int) -> str:
    shown = hex(code) if code > 255 else str(code)
    if code in _KILLED or code in _NO_MEMORY:
        return _(
            "The system ended the run (exit code {code}), perhaps because memory ran out; "
            "close other programs, or take a part of the CT around the spine (in Slicer: an ROI)."
        ).format(code=shown)
    if code in _CRASHED:
        return _("The run crashed (exit code {code}); install its software again (in Slicer: under Advanced).").format(
            code=shown
        )
    if code == 0:
        return _("The run ended without a result; try again, and report it if it stays so.")
    return _("The run ended unexpectedly (exit code {code}); try again, and report it if it stays so.").format(
        code=shown
    )


def _last_words(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()][-LOG_LINES_TOLD:]
    return _("Its last words: {words}").format(words=" / ".join(lines)) if lines else ""
