"""What the command line says: progress on a terminal or as JSON lines, the table of results, and hearing a cancel."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from .core.errors import CancelledError
from .core.progress import Progress, silent
from .engines.device import memory_guard

if TYPE_CHECKING:
    from .core.labelling import LabelledPoint, Labelling


ALTERNATIVES_SHOWN = 3
"""In the table; all of them are in the run record."""


def emit(event: str, **values: Any) -> None:
    """Write one event as a JSON line on stdout, at once."""
    print(json.dumps({"event": event, **values}, allow_nan=False), flush=True)


def _emit_progress(stage: str, fraction: float) -> None:
    """CancelledError when the parent process no longer listens: nobody would take the result."""
    try:
        emit("progress", stage=stage, fraction=round(fraction, 4))
    except BrokenPipeError:
        raise CancelledError("Cancelled: nobody reads the output any more.") from None


@contextmanager
def progress_display(json_lines: bool, quiet: bool) -> Iterator[Progress]:
    """A callback that shows progress: JSON lines, or a bar on stderr when that is a terminal, or nothing."""
    if quiet or not (json_lines or sys.stderr.isatty()):
        yield silent
    elif json_lines:
        yield _emit_progress
    else:
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("starting", total=1.0)
            yield lambda stage, fraction: bar.update(task, description=stage, completed=fraction)


@contextmanager
def cancellable(progress: Progress, cancel_file: Path | None = None) -> Iterator[Progress]:
    """The same callback, raising CancelledError after SIGINT or SIGTERM or once `cancel_file` exists.

    A second signal interrupts at once (KeyboardInterrupt), for stages that do not report.  Main thread only.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def checked(stage: str, fraction: float) -> None:
        if asked or (cancel_file is not None and cancel_file.exists()):
            raise CancelledError("Cancelled; nothing was written.")
        progress(stage, fraction)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield checked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def running(args: argparse.Namespace) -> Iterator[Progress]:
    """What a command does inside shows its progress, can be cancelled, and may run out of memory; see `Progress`.

    args: with the options of `options.add_run_options`.
    """
    with (
        memory_guard(),
        progress_display(args.json_lines, args.quiet) as display,
        cancellable(display, args.cancel_file) as progress,
    ):
        yield progress


def table(labelling: Labelling) -> str:
    """The result as text: a line per vertebra (LPS mm), the summary, the likeliest other namings, remarks."""
    header = f"{'level':<6}{'x':>9}{'y':>9}{'z':>10}   probability  remark"
    others = [f"  {other.describe()}" for other in labelling.alternatives[:ALTERNATIVES_SHOWN]]
    lines = [header, *(_row(point) for point in labelling.points), "", labelling.summary()]
    lines += ["could also be", *others] if others else []
    return "\n".join(line.rstrip() for line in [*lines, *labelling.remarks])


def _row(point: LabelledPoint) -> str:
    x, y, z = point.position_lps_mm
    return f"{point.level.name:<6}{x:>9.1f}{y:>9.1f}{z:>10.1f}   {point.probability:>11.0%}  {point.remark}"
