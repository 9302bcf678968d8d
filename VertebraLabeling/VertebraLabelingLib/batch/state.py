"""What the manifest and the files at a scan's place come to, and how the row of a scan changes.

The manifest is the truth on the state.  The run record beside a result only says what that was made from: by it a
result is known again when it was moved into place just before a crash, or when the manifest is lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UsageError
from ..record import Recipe
from .manifest import Row, told_by

if TYPE_CHECKING:
    from ..outputs import OutputPaths

MAX_DEATHS = 3
"""So often may the process die under a scan (crash, killed for memory) before the scan counts as failed."""
MAX_ATTEMPTS = 10
"""So often may a scan be begun and not end when nobody can tell whether it was its own fault."""
CORRECTED = "The points were changed after they were written (by hand?) and were kept as they are"


class Action(Enum):
    """What to do with a scan."""

    LABEL = "label"
    SKIP = "skip"
    KEEP = "keep"
    REFUSE = "refuse"
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Identity:
    """What a result was made from: `Entry.fingerprint` and `settings_id`."""

    input: str
    settings: str


@dataclass(frozen=True)
class Result:
    """What came of the work on a scan, small enough to be sent.

    exit_code: 0 or that of the failure, with its sentence.  told: `told_by` the record.  markups_sha256: None for none.
    """

    exit_code: int
    message: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict, repr=False)
    markups_sha256: str | None = None


@dataclass(frozen=True)
class Found:
    """What lies at a scan's place in the output folder.

    row: what the manifest knows, None for nothing.  existing: names of the output files that are there.
    markups_sha256: hash of the markups that are there.  recorded_sha256: what the record beside says they should have.
    """

    row: Row | None
    existing: tuple[str, ...]
    markups_sha256: str | None
    recorded_sha256: str | None = None

    @property
    def was_changed(self) -> bool:
        """Whether the markups are not as a batch run wrote them."""
        own = {self.row.markups_sha256 if self.row else None, self.recorded_sha256}
        return self.row is not None and self.markups_sha256 is not None and self.markups_sha256 not in own


def look(outputs: OutputPaths, row: Row | None, scan: str) -> Found:
    """See what earlier runs, or the user, have left; a scan that the manifest does not know is known by its record."""
    named = outputs.named()
    record = read_record(named["record"])
    if row is None and record is not None:
        row = adopted(record, scan)
    digest = file_sha256(outputs.markups) if outputs.markups.is_file() else None
    return Found(row, existing(outputs), digest, record and record["batch"]["markups_sha256"])


def existing(outputs: OutputPaths) -> tuple[str, ...]:
    """Names of the output files that are there."""
    return tuple(name for name, path in outputs.named().items() if path.exists())


def read_record(path: Path) -> dict[str, Any] | None:
    """The run record at `path`; None where there is none, or one that no batch run wrote."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = adopted(values, "") and isinstance(values["batch"]["markups_sha256"], str | None)
        return values if known else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def adopted(record: Mapping[str, Any], scan: str) -> Row:
    """The row of a scan by a record alone, also by one of version 0.1, which had no manifest.

    That left records of scans that had failed (exit_code not 0) or were only begun (None).
    """
    code, batch = record["exit_code"], record["batch"]
    state = {0: "done", None: "waiting"}.get(code, "failed")
    begun = int(batch.get("begun", 0)) if code is None else 0
    return Row(
        scan, state, code, str(record.get("message", "")), begun, begun, input=batch["input"],
        settings=batch["settings"], markups_sha256=batch["markups_sha256"], files=tuple(batch["files"]),
        seconds=record.get("seconds", {}), told=told_by(record) if code == 0 else {},
    )  # fmt: skip


def decide(found: Found, identity: Identity, wanted: int, retry_failed: bool) -> Action:
    """What to do with a scan; wanted: number of output files of a whole result.

    Files that no batch run wrote, and markups that were changed since, are never replaced.  Outputs that could not be
    written are no failure of the scan, so it is tried again.
    """
    row = found.row
    if not set(found.existing) <= set(row.files if row else ()):
        return Action.REFUSE
    if row is None:
        return Action.LABEL
    no_reason_to_retry = row.input == identity.input and not retry_failed
    if no_reason_to_retry and in_vain(row) and is_hopeless(row):
        return Action.GIVE_UP
    if no_reason_to_retry and row.state == "failed" and row.exit_code != UsageError.exit_code:
        return Action.SKIP
    if row.state == "done" and _identity(row) == identity and len(found.existing) == wanted:
        return Action.SKIP
    return Action.KEEP if found.was_changed else Action.LABEL


def in_vain(row: Row | None) -> int:
    """How often the work on a scan was begun and did not end."""
    return row.attempts if row and row.state in ("waiting", "running") else 0


def is_hopeless(row: Row) -> bool:
    """Whether a scan has been begun in vain too often."""
    return row.deaths >= MAX_DEATHS or row.attempts >= MAX_ATTEMPTS


def _identity(row: Row) -> Identity:
    return Identity(row.input, row.settings)


# --- how a row changes ------------------------------------------------------------------------------------------------


def begun(row: Row, identity: Identity, files: tuple[str, ...], worker: str, charged: bool) -> Row:
    """The work on a scan begins; files: names of the outputs to come.

    charged: count a death in advance, where nobody is left to count it when the process dies.
    """
    goes_on = in_vain(row) and row.input == identity.input
    attempts, deaths = (row.attempts, row.deaths) if goes_on else (0, 0)
    return replace(
        row, state="running", exit_code=None, message="", attempts=attempts + 1, deaths=deaths + charged, worker=worker,
        begun_utc=_now(), ended_utc=None, input=identity.input, settings=identity.settings,
        files=tuple(sorted({*row.files, *files})),
    )  # fmt: skip


def ended(row: Row, result: Result, written: tuple[str, ...]) -> Row:
    """The work has ended, well or not; written: names of the outputs that are a batch run's own now."""
    state = "failed" if result.exit_code else "done"
    return replace(
        row, state=state, exit_code=result.exit_code, message=result.message, deaths=0, ended_utc=_now(),
        seconds=result.seconds, markups_sha256=result.markups_sha256 or row.markups_sha256, told=result.told,
        files=tuple(sorted(written)),
    )  # fmt: skip


def died(row: Row) -> Row:
    """The process has ended under the scan: it waits for another try."""
    return replace(row, state="waiting", deaths=row.deaths + 1)


def settings_id(recipe: Recipe) -> str:
    """Hash of the recipe: a result of another one is made anew.

    The version of the program is not of it: most new ones change no result, and a long run is not to be made twice.
    """
    values = {each.name: getattr(recipe, each.name) for each in fields(Recipe)}
    values["weights_sha256"] = dict(recipe.weights_sha256)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
