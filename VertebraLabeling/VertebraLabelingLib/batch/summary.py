"""What became of each scan, and the table of it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.anatomy import Level
from ..core.errors import UsageError
from ..core.files import atomic_write
from ..core.labelling import UNCERTAIN_BELOW
from .discover import Entry

STATES = ("failed", "waiting", "done")
COLUMNS = (
    "scan", "state", "exit_code", "message", "first", "last", "count", "levels", "level_certain", "uncertain",
    "missing", "seconds", "notes", "markups",
)  # fmt: skip
_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class Outcome:
    """What became of a scan, in this run or an earlier one.

    state: one of STATES.  exit_code: None while waiting.  values: `manifest.told_by` the run record, and its seconds;
    {} without one.  remark: what this run has to add.
    """

    entry: Entry
    state: str = "waiting"
    exit_code: int | None = None
    message: str = ""
    values: dict[str, Any] = field(default_factory=dict, repr=False)
    remark: str = ""

    @property
    def points(self) -> list[dict[str, Any]]:
        """The named points, cranio-caudal."""
        points: list[dict[str, Any]] = self.values.get("labelling", {}).get("points", [])
        return points

    @property
    def levels(self) -> list[Level]:
        """The levels found, cranio-caudal."""
        return [Level[point["level"]] for point in self.points]

    @property
    def level_certain(self) -> bool | None:
        """Whether the counting is certain; None without a labelling."""
        certain: bool | None = self.values.get("labelling", {}).get("level_certain")
        return certain

    @property
    def uncertain(self) -> int:
        """Number of points whose name is more probably wrong than right."""
        return sum(p["probability"] < UNCERTAIN_BELOW and not p.get("confirmed", False) for p in self.points)

    @property
    def summary(self) -> str:
        """One line on the labelling."""
        return str(self.values.get("labelling", {}).get("summary", ""))

    @property
    def seconds(self) -> float | None:
        """Wall time of the scan; None when it was not worked on."""
        stages = self.values.get("seconds")
        return sum(stages.values()) if stages else None

    @property
    def notes(self) -> list[str]:
        """All remarks on the input, the labelling as a whole, and the run."""
        remarks = self.values.get("labelling", {}).get("remarks", [])
        return [*self.values.get("notes", []), *remarks, *([self.remark] if self.remark else [])]


def missing_levels(levels: Sequence[Level]) -> list[Level]:
    """Regular levels between the first and the last that are not there, such as the T12 of eleven thoracic ones."""
    if not levels:
        return []
    between = (level for level in Level if min(levels) < level < max(levels))
    return [level for level in between if level not in levels and not level.is_supernumerary]


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Number of scans by state."""
    found = Counter(outcome.state for outcome in outcomes)
    return {state: found[state] for state in STATES}


def row(outcome: Outcome) -> dict[str, Any]:
    """The values of `COLUMNS`; empty where there is nothing to say."""
    levels = outcome.levels
    done = outcome.state == "done"
    values = (
        outcome.entry.relative, outcome.state, outcome.exit_code, outcome.message,
        levels[0].name if levels else "", levels[-1].name if levels else "", len(levels) if done else "",
        " ".join(level.name for level in levels), {True: "yes", False: "no", None: ""}[outcome.level_certain],
        outcome.uncertain if done else "", " ".join(level.name for level in missing_levels(levels)),
        "" if outcome.seconds is None else f"{outcome.seconds:.1f}", " ".join(outcome.notes),
        f"{outcome.entry.stem}.mrk.json" if done else "",
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _no_formula(value: Any) -> Any:
    """Text that a spreadsheet program would take for a formula, such as a file's name, behind an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_BEGINS_FORMULA) else value


def write_summary(path: Path, outcomes: Sequence[Outcome]) -> None:
    """One line per scan, as CSV with a header line."""
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _no_formula(value) for name, value in row(each).items()} for each in outcomes)


def require_own(path: Path, begins: str) -> None:
    """UsageError when there is a file at `path` that does not begin as this program's do: it is somebody's."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            own = file.read(len(begins)) == begins
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}); choose another output place.") from error
    if not own:
        raise UsageError(f"{path} exists and is not of a batch run; move it away or choose another output folder.")
