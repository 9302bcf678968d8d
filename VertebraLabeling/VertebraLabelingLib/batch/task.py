"""One scan of a batch run: what lies at its place already, and the way from the file to its outputs or its failure."""

from __future__ import annotations

import os
import traceback
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .. import __version__
from ..core.errors import CancelledError, VertebraLabelingError, is_disk_full
from ..core.progress import Progress, part
from ..outputs import OutputPaths, Writer, write_together, writers
from ..record import FORMAT, record_path, run_record, settings_values
from .discover import Entry
from .state import (
    CORRECTED,
    Action,
    Found,
    Identity,
    Record,
    batch_values,
    begin,
    decide,
    file_sha256,
    look,
    restore,
    was_changed,
    write_record,
)
from .summary import Outcome

if TYPE_CHECKING:
    from ..core.scan import Scan
    from ..pipeline import LabelledScan
    from ..record import RunSettings

_LONGEST_REASON = 300
_FOREIGN = "{names} of this scan lie in the output folder and are not of a batch run; move them away and run again."
_DIED = (
    "The program ended abruptly {count} times while it worked on this scan (killed for memory, or a crash); crop the "
    "scan to the spine, or use --retry-failed to try again."
)
_KEPT = f"{CORRECTED}, though input, settings or wanted outputs are others now; move them away to have them made again."


class LabellerLike(Protocol):
    """What a batch run needs of `options.Labeller`, with the networks in memory."""

    def label(self, scan: Scan, progress: Progress) -> LabelledScan:
        """Name the vertebrae of a scan."""
        ...

    def settings(self) -> RunSettings:
        """What the run record says of this labeller."""
        ...


@dataclass(frozen=True)
class Job:
    """What is the same for all scans of a run.

    root, output: absolute folders.  settings: the `settings_id`.  names: the outputs wanted, of "csv" and "preview".
    """

    root: Path
    output: Path
    settings: str
    names: tuple[str, ...]
    retry_failed: bool
    debug: bool

    def outputs(self, entry: Entry) -> OutputPaths:
        """Where the results of a scan go."""
        suffixes = {"csv": ".csv", "preview": ".png"}
        wanted = {name: self.output / f"{entry.stem}{suffixes[name]}" for name in self.names}
        return OutputPaths(self.output / f"{entry.stem}.mrk.json", **wanted)

    def identity(self, entry: Entry) -> Identity:
        """What a result of now would be made from."""
        return Identity(entry.fingerprint(), self.settings)

    def without_folders(self, text: str) -> str:
        """The text without the folders above the input and the output: they are nobody's business."""
        for folder in (self.root, self.output):
            if folder != Path(folder.anchor):
                text = text.replace(f"{folder}{os.sep}", "").replace(str(folder), folder.name)
        return text


def standing(entry: Entry, job: Job) -> Outcome:
    """What became of the scan so far; "waiting" when it is to be labelled."""
    outputs = job.outputs(entry)
    try:
        outputs.check(entry.path)
        found = look(outputs)
    except VertebraLabelingError as error:
        return Outcome(entry, "failed", error.exit_code, job.without_folders(str(error)))
    except OSError as error:
        reason = error.strerror or error
        return Outcome(entry, "failed", 2, f"The outputs of an earlier run cannot be read ({reason}); move them away.")
    return _judged(entry, found, decide(found, job.identity(entry), len(outputs.named()), job.retry_failed))


def _judged(entry: Entry, found: Found, action: Action) -> Outcome:
    """What an action means for the tables."""
    record = found.record
    if action is Action.REFUSE:
        foreign = sorted(set(found.existing) - (record.files if record else frozenset()))
        return Outcome(entry, "failed", 2, _FOREIGN.format(names=" and ".join(foreign).capitalize()))
    if record is None or action is Action.LABEL:
        return Outcome(entry)
    if action is Action.GIVE_UP:
        return Outcome(entry, "failed", 1, _DIED.format(count=record.begun))
    if action is Action.KEEP:
        kept = dict(record.values) if record.exit_code == 0 else {}
        return Outcome(entry, "done", 0, values=kept, remark=_KEPT)
    return Outcome.from_record(entry, record, f"{CORRECTED}." if was_changed(found) else "")


def work(entry: Entry, job: Job, labeller: LabellerLike, progress: Progress) -> Outcome:
    """Label a scan and write its outputs and its record; a failure becomes an outcome with its sentence.

    Raises CancelledError, KeyboardInterrupt, and UsageError when the disk is full, everything being as it was before;
    also UsageError when not even the record can be written.
    """
    from ..engines.device import memory_guard
    from ..pipeline import Stopwatch

    outputs, identity, watch = job.outputs(entry), job.identity(entry), Stopwatch()
    record = record_path(outputs.markups)
    with suppress(OSError):  # writing the record says why
        record.parent.mkdir(parents=True, exist_ok=True)
    found = look(outputs)
    begin(outputs, found, identity, _head(entry, labeller))
    try:
        with memory_guard(), watch.stage("all"):
            batch = batch_values(identity, found.record, outputs.named())
            values = _label(entry, job, labeller, batch, progress)
        return Outcome.from_record(entry, Record(values))
    except (CancelledError, KeyboardInterrupt):
        restore(record, found)
        raise
    except Exception as error:
        if is_disk_full(error):  # it would be for all others, and the time that they take is lost
            restore(record, found)
            raise
        if job.debug:
            traceback.print_exc()
        code, message = _reason(error)
        values = {
            **_head(entry, labeller), "exit_code": code, "message": job.without_folders(message),
            "seconds": {"all": round(watch.seconds["all"], 3)}, "batch": batch_values(identity, found.record, ()),
        }  # fmt: skip
        write_record(record, values)
        return Outcome.from_record(entry, Record(values))


def _head(entry: Entry, labeller: LabellerLike) -> dict[str, Any]:
    """What the record of a scan without a labelling says."""
    return {
        "format": FORMAT,
        "created_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {"vertebra-labeling": __version__},
        "settings": settings_values(labeller.settings()),
        "input": {"name": entry.path.name},
    }


def _reason(error: Exception) -> tuple[int, str]:
    """Exit code and sentence of what stopped a scan."""
    if isinstance(error, VertebraLabelingError):
        return error.exit_code, str(error)
    first = (str(error).splitlines() or [""])[0][:_LONGEST_REASON]
    return (
        1,
        f"Unexpected error ({type(error).__name__}: {first}). Run again with --debug and --retry-failed for details.",
    )


def _label(entry: Entry, job: Job, labeller: LabellerLike, batch: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Read, label and write a scan; returns its record, with the values `batch` of `batch_values` in it."""
    from ..core.readers import read_scan
    from ..pipeline import Stopwatch

    watch = Stopwatch()
    progress("reading", 0.0)
    with watch.stage("read"):
        scan = read_scan(entry.path, subfolders=False)
    result = labeller.label(scan, part(progress, 0.10, 0.95))
    progress("writing", 0.95)
    record = run_record(result.scan, result.labelling, labeller.settings(), watch.seconds | result.seconds)
    values = record | {"batch": batch}
    _write(job.outputs(entry), result, values)
    return values


def _write(outputs: OutputPaths, result: LabelledScan, values: dict[str, Any]) -> None:
    """Write all outputs, the record as the last one; it gets the hash of the markups, to know them again."""
    chosen = writers(outputs, result, values)
    write_markups: Writer = chosen[outputs.markups]

    def remember(path: Path) -> None:
        write_markups(path)
        values["batch"]["markups_sha256"] = file_sha256(path)

    write_together(chosen | {outputs.markups: remember})
