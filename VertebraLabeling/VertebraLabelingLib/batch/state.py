"""What a batch run leaves in the run record of each scan, and what the next run makes of it.

The record lies beside the other outputs and is written last, at once: it says all that has to be known to go on after
any end of the process.  A record is *begun* (exit_code null), *failed* or *done*.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.anatomy import Level
from ..core.errors import UsageError
from ..core.files import atomic_write
from ..record import record_text

if TYPE_CHECKING:
    from ..outputs import OutputPaths
    from ..record import Recipe

MAX_ABRUPT_ENDS = 2
"""So often may the process die at a scan (crash, killed for memory) before the scan counts as failed."""
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
class Record:
    """A run record as a batch run writes it; values: all of the JSON file."""

    values: Mapping[str, Any] = field(repr=False)

    @property
    def exit_code(self) -> int | None:
        """None while the scan is worked on."""
        code: int | None = self.values["exit_code"]
        return code

    @property
    def identity(self) -> Identity:
        """What it was made from."""
        return Identity(self.values["batch"]["input"], self.values["batch"]["settings"])

    @property
    def markups_sha256(self) -> str | None:
        """Hash of the markups that a batch run wrote last, whatever became of the scan since."""
        digest: str | None = self.values["batch"]["markups_sha256"]
        return digest

    @property
    def files(self) -> frozenset[str]:
        """Names of the outputs, as `OutputPaths.named` has them, that are a batch run's own to replace."""
        return frozenset(self.values["batch"]["files"])

    @property
    def begun(self) -> int:
        """How often in a row a run began with the scan and did not end."""
        return int(self.values["batch"].get("begun", 0))


@dataclass(frozen=True)
class Found:
    """What lies at a scan's place in the output folder.

    record: None when there is none of a batch run.  existing: names of the output files that are there.
    """

    record: Record | None
    existing: tuple[str, ...]
    markups_sha256: str | None


def look(outputs: OutputPaths) -> Found:
    """See what earlier runs, or the user, have left."""
    named = outputs.named()
    existing = tuple(name for name, path in named.items() if path.exists())
    digest = file_sha256(outputs.markups) if outputs.markups.is_file() else None
    return Found(read_record(named["record"]), existing, digest)


def read_record(path: Path) -> Record | None:
    """The record at `path`; None where there is none, or one that no batch run wrote."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        record = Record(values)
        complete = record.exit_code != 0 or _is_labelling(values["labelling"])
        known = (record.identity, record.markups_sha256, record.files, record.begun)
        return record if complete and known else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_labelling(values: Mapping[str, Any]) -> bool:
    """Whether there is what the tables tell; one of the errors of `read_record` where not even the keys are there."""
    points = [(Level[point["level"]], float(point["probability"])) for point in values["points"]]
    return len(points) > 0 and isinstance(values["remarks"], list) and isinstance(values["level_certain"], bool)


def write_record(path: Path, values: Mapping[str, Any]) -> None:
    """Write a record whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(record_text(values), encoding="utf-8")


def decide(found: Found, identity: Identity, wanted: int, retry_failed: bool) -> Action:
    """What to do with a scan; wanted: number of output files of a whole result.

    Files that no batch run wrote, and markups that were changed since, are never replaced.  Outputs that could not be
    written are no failure of the scan, so it is tried again.
    """
    record = found.record
    if not set(found.existing) <= (record.files if record else set()):
        return Action.REFUSE
    if record is None:
        return Action.LABEL
    same_input = record.identity.input == identity.input
    if record.exit_code is None and record.begun >= MAX_ABRUPT_ENDS and same_input and not retry_failed:
        return Action.GIVE_UP
    if record.exit_code not in (None, 0, UsageError.exit_code) and same_input and not retry_failed:
        return Action.SKIP
    if record.exit_code == 0 and record.identity == identity and len(found.existing) == wanted:
        return Action.SKIP
    return Action.KEEP if was_changed(found) else Action.LABEL


def was_changed(found: Found) -> bool:
    """Whether the markups are not as a batch run wrote them.

    Markups beside a record that was only begun come from a run that ended between the two files.
    """
    if found.record is None or found.markups_sha256 is None:
        return False
    written = found.record.markups_sha256
    if written is None and found.record.exit_code is None:
        return False
    return found.markups_sha256 != written


def begin(outputs: OutputPaths, found: Found, identity: Identity, head: Mapping[str, Any]) -> None:
    """Note that the work on a scan begins; `head`: the values that every record has."""
    earlier, named = found.record, outputs.named()
    count = 1 + (earlier.begun if earlier and earlier.identity.input == identity.input else 0)
    batch = batch_values(identity, earlier, named) | {"begun": count}
    write_record(named["record"], {**head, "exit_code": None, "batch": batch})


def restore(path: Path, found: Found) -> None:
    """The record as it was before `begin`; a scan that was cancelled did not end abruptly."""
    if found.record is not None:
        write_record(path, found.record.values)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path} cannot be removed ({reason}); choose another output place.") from error


def batch_values(identity: Identity, earlier: Record | None, written: Iterable[str]) -> dict[str, Any]:
    """What `Record` needs beyond what every run record has; written: names of outputs that belong to it now."""
    files = sorted({*written, "record"} | (earlier.files if earlier else set()))
    digest = earlier.markups_sha256 if earlier else None
    return {"input": identity.input, "settings": identity.settings, "markups_sha256": digest, "files": files}


def settings_id(recipe: Recipe) -> str:
    """Hash of all that a labelling depends on."""
    kept = ("method", "config", "uses_sequence", "prepared_spacing_mm")
    values = {name: getattr(recipe, name) for name in kept} | {"weights": dict(recipe.weights_sha256)}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
