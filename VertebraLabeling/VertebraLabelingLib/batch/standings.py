"""How all scans of a run stand, and the two files that tell it: summary.csv and index.html in the output folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from .discover import Entry
from .page import BEGINS, write_page
from .summary import COLUMNS, Outcome, counts, require_own, write_summary

SUMMARY_NAME, PAGE_NAME = "summary.csv", "index.html"
WRITE_EVERY_S = 10.0
"""Apart, at least, lie two writings during the run, so that a killed run leaves a page of the last seconds."""
_SHARE_OF_TIME = 0.05


class Standings:
    """The outcome of every scan, in the order of the entries."""

    def __init__(self, output: Path, entries: Sequence[Entry]) -> None:
        self._output = output
        self._outcomes = {entry: Outcome(entry) for entry in entries}
        self._next_s = 0.0
        require_own(self.summary_path, ",".join(COLUMNS))
        require_own(self.page_path, BEGINS)

    @property
    def summary_path(self) -> Path:
        """The table."""
        return self._output / SUMMARY_NAME

    @property
    def page_path(self) -> Path:
        """The page."""
        return self._output / PAGE_NAME

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self._outcomes.values())

    def set(self, outcome: Outcome) -> None:
        """Replace the outcome of its scan."""
        self._outcomes[outcome.entry] = outcome

    def write(self, is_over: bool) -> None:
        """Write both files; UsageError when the system refuses."""
        begun_s = time.monotonic()
        outcomes = list(self)
        write_summary(self.summary_path, outcomes)
        write_page(self.page_path, outcomes, SUMMARY_NAME, is_over)
        ended_s = time.monotonic()
        self._next_s = ended_s + max(WRITE_EVERY_S, (ended_s - begun_s) / _SHARE_OF_TIME)

    def write_if_due(self) -> None:
        """In the course of a run; a table that is open in Excel must not end it."""
        if time.monotonic() >= self._next_s:
            self.write_if_possible()

    def write_if_possible(self) -> None:
        """As `write`, in silence when the system refuses."""
        with suppress(UsageError):
            self.write(is_over=False)

    def values(self, labelled: int, cancelled: bool) -> dict[str, Any]:
        """What the event "result" says; labelled: scans worked on in this run, whether well or not."""
        outcomes = list(self)
        return {
            **counts(outcomes),
            "count": len(outcomes),
            "labelled": labelled,
            "cancelled": cancelled,
            "failures": [_failure(outcome) for outcome in outcomes if outcome.state == "failed"],
            "files": {"summary": str(self.summary_path), "page": str(self.page_path)},
        }


def _failure(outcome: Outcome) -> dict[str, Any]:
    return {"scan": outcome.entry.relative, "code": outcome.exit_code, "message": outcome.message}
