"""What a batch run says while it works: JSON lines, a bar on a terminal, a line per scan, or nothing."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..console import emit
from ..core.errors import CancelledError
from .summary import Outcome

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_MINUTE_S, _HOUR_S = 60.0, 3600.0


@dataclass
class Pace:
    """How fast the scans of a run go; count: scans to label in this run, done: those that have ended, whether well."""

    count: int = 0
    done: int = 0
    begun_s: float = field(default_factory=time.monotonic)

    def scans_per_minute(self) -> float | None:
        """None before the first scan has ended."""
        passed = time.monotonic() - self.begun_s
        return self.done / passed * _MINUTE_S if self.done and passed > 0 else None

    def seconds_left(self) -> float | None:
        """At the pace so far; None before the first scan has ended."""
        rate = self.scans_per_minute()
        return (self.count - self.done) / rate * _MINUTE_S if rate else None


class Reporter:
    """Says nothing; the others say more.  CancelledError when nobody listens any more."""

    def __init__(self) -> None:
        self.pace = Pace()
        self._inside: dict[str, float] = {}
        """How far the work on each scan is that is worked on."""

    def start(self, count: int) -> None:
        """The networks are loaded; `count` scans are to be labelled."""
        self.pace = Pace(count)

    def scan_started(self, name: str) -> None:
        """The work on a scan begins."""
        self._inside[name] = 0.0

    def progress(self, stage: str, fraction: float, scan: str | None = None) -> None:
        """As `core.progress.Progress`, within a scan that was started; None: before all of them."""
        if scan in self._inside:
            self._inside[scan] = max(fraction, self._inside[scan])

    def scan_ended(self, outcome: Outcome) -> None:
        """A scan is done or has failed."""
        self.pace.done += 1
        self._inside.pop(outcome.entry.relative, None)

    def scan_retried(self, name: str, reason: str, attempts: int) -> None:
        """The process that worked on a scan has ended abruptly, the scan waits for another attempt."""
        self._inside.pop(name, None)

    def result(self, values: dict[str, Any]) -> None:
        """The run is over; values: counts and files as the event "result" has them."""

    def overall(self) -> float:
        """Fraction of the whole run."""
        inside = sum(self._inside.values())
        return min(1.0, (self.pace.done + inside) / self.pace.count) if self.pace.count else 0.0


class JsonReporter(Reporter):
    """JSON lines on stdout."""

    def scan_started(self, name: str) -> None:
        """Event "scan-started"."""
        super().scan_started(name)
        _say("scan-started", scan=name, number=self.pace.done + len(self._inside), count=self.pace.count)

    def progress(self, stage: str, fraction: float, scan: str | None = None) -> None:
        """Event "progress", its fraction being that of the whole run."""
        super().progress(stage, fraction, scan)
        rate, left = self.pace.scans_per_minute(), self.pace.seconds_left()
        _say(
            "progress", stage=stage, fraction=round(self.overall(), 4), scan=scan, done=self.pace.done,
            count=self.pace.count, scans_per_minute=rate and round(rate, 2), seconds_left=left and round(left, 1),
        )  # fmt: skip

    def scan_ended(self, outcome: Outcome) -> None:
        """Event "scan-done" or "scan-failed"."""
        super().scan_ended(outcome)
        name, seconds = outcome.entry.relative, round(outcome.seconds or 0.0, 3)
        if outcome.state == "done":
            markups = f"{outcome.entry.stem}.mrk.json"
            _say("scan-done", scan=name, summary=outcome.summary, markups=markups, seconds=seconds)
        else:
            _say("scan-failed", scan=name, code=outcome.exit_code, message=outcome.message, seconds=seconds)

    def scan_retried(self, name: str, reason: str, attempts: int) -> None:
        """Event "scan-retried"."""
        super().scan_retried(name, reason, attempts)
        _say("scan-retried", scan=name, message=reason, attempts=attempts)

    def result(self, values: dict[str, Any]) -> None:
        """Event "result"."""
        _say("result", **values)


class TextReporter(Reporter):
    """A line per scan on stdout, and on a terminal a bar below."""

    def __init__(self, bar: Bar | None = None) -> None:
        super().__init__()
        self._bar = bar
        self._task = bar.add_task("looking for scans", total=None, pace="") if bar else None

    def progress(self, stage: str, fraction: float, scan: str | None = None) -> None:
        """Move the bar."""
        super().progress(stage, fraction, scan)
        if self._bar is None or self._task is None:
            return
        from rich.markup import escape

        what = f"{escape(scan)}: {stage}" if scan else stage
        total = self.pace.count or None
        at = self.overall() * (total or 0)
        self._bar.update(self._task, description=what, total=total, completed=at, pace=self._outlook())

    def scan_ended(self, outcome: Outcome) -> None:
        """Print a line."""
        super().scan_ended(outcome)
        said = outcome.summary if outcome.state == "done" else f"FAILED ({outcome.exit_code}): {outcome.message}"
        self._print(f"{self.pace.done}/{self.pace.count} {outcome.entry.relative}: {said}")

    def scan_retried(self, name: str, reason: str, attempts: int) -> None:
        """Print a line."""
        super().scan_retried(name, reason, attempts)
        self._print(f"{name}: a worker ended ({reason}); tried again, attempt {attempts + 1}")

    def result(self, values: dict[str, Any]) -> None:
        """Print the counts."""
        numbers = ", ".join(f"{values[name]} {name}" for name in ("done", "failed", "waiting") if values[name])
        self._print(f"{numbers} ({values['labelled']} in this run) -> {values['files']['page']}")

    def _outlook(self) -> str:
        left, rate = self.pace.seconds_left(), self.pace.scans_per_minute()
        done = f"{self.pace.done}/{self.pace.count}" if self.pace.count else ""
        return done if left is None or rate is None else f"{done}, {rate:.1f} scans/min, {duration(left)} left"

    def _print(self, line: str) -> None:
        try:
            if self._bar is None:
                print(line, flush=True)
            else:
                self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        except BrokenPipeError:
            raise _nobody_listens() from None


def duration(seconds: float) -> str:
    """Such as ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE_S:.0f} min" if seconds < 2 * _HOUR_S else f"{seconds / _HOUR_S:.1f} h"


@contextmanager
def reporter(args: argparse.Namespace) -> Iterator[Reporter]:
    """The reporter that the options and the terminal ask for."""
    if args.json_lines:
        yield JsonReporter()
    elif args.quiet:
        yield Reporter()
    elif not sys.stderr.isatty():
        yield TextReporter()
    else:
        with _bar() as bar:
            yield TextReporter(bar)


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}", markup=False))
    return Bar(*columns, console=Console(stderr=True), transient=True)


def _say(event: str, **values: Any) -> None:
    try:
        emit(event, **values)
    except BrokenPipeError:
        raise _nobody_listens() from None


def _nobody_listens() -> CancelledError:
    return CancelledError("Cancelled: nobody reads the output any more; run the same command again to go on.")
