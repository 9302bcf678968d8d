"""One scan of a batch run: the way from the file to its outputs or its failure, in whatever process.

What becomes of the scan is told by the `Result` alone; only the process that has the manifest notes it.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..core.errors import CancelledError, TooSlowError, VertebraLabelingError, is_disk_full
from ..core.progress import Progress, part
from ..outputs import OutputPaths, write_together, writers
from ..record import record_path, run_record
from .discover import Entry
from .lock import is_current
from .state import Identity, Result, file_sha256, told_by

if TYPE_CHECKING:
    from ..core.scan import Scan
    from ..pipeline import LabelledScan
    from ..record import RunSettings

_LONGEST_REASON = 300


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
    """What is the same for all scans of a run; it is sent to every worker.

    root, output: absolute folders.  settings: the `settings_id`.  names: the outputs wanted, of "csv" and "preview".
    run: the name of the run, see `lock.is_current`.
    """

    root: Path
    output: Path
    settings: str
    names: tuple[str, ...]
    retry_failed: bool
    debug: bool
    run: str = ""

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

    def require_current(self) -> None:
        """CancelledError when the run has ended or another one has the output folder."""
        if not is_current(self.output, self.run):
            raise CancelledError(
                f"Cancelled: the run of this scan has ended, or {self.output} is not seen here; nothing was written."
            )


@dataclass(frozen=True)
class Assignment:
    """A scan to work on.

    identity: what its result will be made from, looked up before it is read.
    files: names of the outputs that will be a batch run's own.
    alone: whether nothing else should be done beside it, because a process died under it before.
    """

    entry: Entry
    identity: Identity
    files: tuple[str, ...]
    alone: bool


Read = Callable[[Entry, Progress], "Scan"]
"""Gives the scan of an entry; errors as `read_scan`."""


def read_entry(entry: Entry, progress: Progress) -> Scan:
    """Read the scan now."""
    from ..core.readers import read_scan

    progress("reading", 0.0)
    return read_scan(entry.path, subfolders=False)


def work(assignment: Assignment, job: Job, labeller: LabellerLike, read: Read, progress: Progress) -> Result:
    """Read and label a scan and write its outputs; a failure becomes a result with its sentence.

    Raises CancelledError and KeyboardInterrupt, and UsageError when the disk is full, which it would be for all others,
    and the time that they take is lost; then nothing was written.
    """
    from ..engines.device import memory_guard
    from ..pipeline import Stopwatch

    watch = Stopwatch()
    try:
        with memory_guard(), watch.stage("all"):
            return _labelled(assignment, job, labeller, read, progress)
    except CancelledError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise
        if job.debug:
            traceback.print_exc()
        code, message = reason(error)
        return Result(code, job.without_folders(message), {"all": round(watch.seconds["all"], 3)})


def reason(error: BaseException) -> tuple[int, str]:
    """Exit code and sentence of what stopped a scan."""
    if isinstance(error, VertebraLabelingError):
        return error.exit_code, str(error)
    first = (str(error).splitlines() or [""])[0][:_LONGEST_REASON]
    return (
        1,
        f"Unexpected error ({type(error).__name__}: {first}). Run again with --debug and --retry-failed for details.",
    )


def too_slow(limit_s: int) -> Result:
    """What becomes of a scan that took longer than it may."""
    message = (
        f"The work on this scan took longer than {limit_s} s and was ended; crop it to the spine, or give it more time "
        "with --scan-timeout and --retry-failed."
    )
    return Result(TooSlowError.exit_code, message, {"all": float(limit_s)})


def _labelled(assignment: Assignment, job: Job, labeller: LabellerLike, read: Read, progress: Progress) -> Result:
    from ..pipeline import Stopwatch

    watch, entry = Stopwatch(), assignment.entry
    with watch.stage("read"):
        scan = read(entry, progress)
    result = labeller.label(scan, part(progress, 0.10, 0.95))
    progress("writing", 0.95)
    record = run_record(result.scan, result.labelling, labeller.settings(), watch.seconds | result.seconds)
    with watch.stage("write"):
        digest = _write(assignment, job, result, record)
    seconds = record["seconds"] | {"write": round(watch.seconds["write"], 3)}
    return Result(0, "", seconds, told_by(record), digest)


def _write(assignment: Assignment, job: Job, result: LabelledScan, record: dict[str, Any]) -> str:
    """Write all outputs; returns the hash of the markups.

    The record has that hash and is moved into place first: whatever end the process comes to then, it tells markups of
    this program from such as the user has corrected.
    """
    outputs = job.outputs(assignment.entry)
    chosen = writers(outputs, result, record)
    write_markups, write_record = chosen[outputs.markups], chosen[record_path(outputs.markups)]
    record["batch"] = {**vars(assignment.identity), "files": sorted(assignment.files)}

    def write_and_hash(path: Path) -> None:
        write_markups(path)
        record["batch"]["markups_sha256"] = file_sha256(path)

    def write_last(path: Path) -> None:
        write_record(path)
        job.require_current()  # all are moved next

    write_together(chosen | {outputs.markups: write_and_hash, record_path(outputs.markups): write_last})
    return str(record["batch"]["markups_sha256"])
