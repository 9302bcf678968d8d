"""Who hands out the scans of a batch run and takes the results: the only place that changes the manifest."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import replace

from ..core.errors import TooSlowError, VertebraLabelingError
from ..core.progress import Progress
from ..outputs import OutputPaths
from ..record import record_path
from .discover import Entry
from .manifest import Manifest, Row
from .report import Reporter
from .standings import Standings
from .state import CORRECTED, Action, Found, Result, begun, decide, died, ended, existing, in_vain, is_hopeless, look
from .summary import Outcome
from .task import Assignment, Job

_FOREIGN = "{names} of this scan lie in the output folder and are not of a batch run; move them away and run again."
_DIED = (
    "The program ended abruptly {count} times while it worked on this scan ({reason}); crop the scan to the spine, or "
    "use --retry-failed to try again."
)
_KILLED = "killed for memory, or a crash"
_KEPT = f"{CORRECTED}, though input, settings or wanted outputs are others now; move them away to have them made again."


class Desk:
    """The queue of scans, and what the crew that works on them has to tell.

    check: the progress callback that raises when the user wants to stop.
    """

    def __init__(self, job: Job, manifest: Manifest, standings: Standings, says: Reporter, check: Progress) -> None:
        self.job, self.says = job, says
        self._manifest, self._standings, self._check = manifest, standings, check
        self._queue: deque[Entry] = deque()
        self._before: dict[Entry, Row] = {}

    # --- before the work

    def plan(self, limit: int | None) -> int:
        """Look how all scans stand and queue those to label, the ones that were begun in vain last; their number."""
        attempts = {}
        for outcome in self._standings:
            self.progress("looking what is done", 0.0)
            outcome = self._standing(outcome.entry)
            self._standings.set(outcome)
            if outcome.state == "waiting":
                attempts[outcome.entry] = in_vain(self._row(outcome.entry))
        self._queue = deque(sorted(attempts, key=lambda entry: attempts[entry])[:limit])
        return len(self._queue)

    def start(self) -> None:
        """The networks are loaded."""
        self.says.start(len(self._queue))

    # --- the work

    @property
    def waiting(self) -> int:
        """Number of scans that wait for somebody to work on them."""
        return len(self._queue)

    def take(self, may_be_alone: bool = True) -> Assignment | None:
        """The next scan to work on, None for none now; those whose place has changed since the plan are told done.

        may_be_alone: False when a scan that must be worked on alone cannot be.
        """
        while self._queue:
            entry = self._queue[0]
            attempts = in_vain(self._row(entry))
            if attempts and not may_be_alone:
                return None
            self._queue.popleft()
            outcome = self._standing(entry)
            if outcome.state == "waiting":
                named = self.job.outputs(entry).named()
                files = tuple(sorted({*self._row(entry).files, *named}))
                return Assignment(entry, self.job.identity(entry), files, alone=attempts > 0)
            self.says.scan_started(entry.relative)
            self._settle(outcome)
        return None

    def begin(self, assignment: Assignment, worker: str, charged: bool = False) -> None:
        """Somebody begins with the scan; charged: as in `state.begun`."""
        self._standings.write_if_due()
        entry = assignment.entry
        row = self._row(entry)
        with suppress(OSError):  # writing the results says why
            record_path(self.job.outputs(entry).markups).parent.mkdir(parents=True, exist_ok=True)
        self._manifest.put(entry.stem, begun(row, assignment.identity, assignment.files, worker, charged))
        self._before[entry] = row
        self.says.scan_started(entry.relative)

    def progress(self, stage: str, fraction: float, entry: Entry | None = None) -> None:
        """Tell where the run, or the work on a scan, is; raises when the user wants to stop."""
        self.check()
        self.says.progress(stage, fraction, entry and entry.relative)

    def check(self) -> None:
        """Raise what stops the run when the user wants so."""
        self._check("", 0.0)

    def ended(self, entry: Entry, result: Result) -> None:
        """The work on a scan has ended."""
        row = self._row(entry)
        # after a success all files are there, though NFS may not show them yet when another machine has written them;
        # and one that was too slow may write them yet, before it ends
        are_its_own = result.exit_code in (0, TooSlowError.exit_code)
        row = ended(row, result, row.files if are_its_own else self._owned(row, entry))
        self._manifest.put(entry.stem, row)
        del self._before[entry]
        self._settle(_outcome(entry, row))

    def died(self, entry: Entry, reason: str) -> None:
        """The process that had the scan has ended: it is tried again, or given up."""
        row = died(self._row(entry))
        if is_hopeless(row):
            self.lost(entry, row.attempts, reason)
            return
        self._manifest.put(entry.stem, row)
        del self._before[entry]
        self._queue.append(entry)
        self.says.scan_retried(entry.relative, reason, row.attempts)

    def put_back(self, entry: Entry, reason: str) -> None:
        """The process that had the scan was ended for the sake of another one: it waits as if it had not been begun."""
        self._restore(entry)
        attempts = self._before.pop(entry).attempts
        self._queue.appendleft(entry)
        self.says.scan_retried(entry.relative, reason, attempts)

    def lost(self, entry: Entry, attempts: int, reason: str) -> None:
        """The scan is given up, after so many processes have ended under it."""
        self.ended(entry, Result(1, _DIED.format(count=attempts, reason=reason)))

    def release(self) -> None:
        """Nobody works any more: the scans that were begun stand as before, as far as the disk lets us say so."""
        with suppress(VertebraLabelingError):
            for entry in self._before:
                self._restore(entry)
            self._before.clear()

    # --- how a scan stands

    def _restore(self, entry: Entry) -> None:
        """Note that the scan stands as before it was begun, but for outputs that are there now."""
        row, owned = self._before[entry], self._owned(self._row(entry), entry)
        self._manifest.put(entry.stem, replace(row, files=tuple(sorted({*row.files, *owned}))))

    def _settle(self, outcome: Outcome) -> None:
        self._standings.set(outcome)
        self.says.scan_ended(outcome)

    def _row(self, entry: Entry) -> Row:
        return self._manifest.get(entry.stem) or Row(entry.relative)

    def _owned(self, row: Row, entry: Entry) -> tuple[str, ...]:
        """Names of the outputs that are a batch run's own: of those of this run only what is there."""
        outputs = self.job.outputs(entry)
        return tuple({*(set(row.files) - set(outputs.named())), *(set(row.files) & set(existing(outputs)))})

    def _standing(self, entry: Entry) -> Outcome:
        """What became of the scan so far; "waiting" when it is to be labelled."""
        outputs, known = self.job.outputs(entry), self._manifest.get(entry.stem)
        try:
            outputs.check(entry.path)
            found = look(outputs, known, entry.relative)
        except VertebraLabelingError as error:
            return Outcome(entry, "failed", error.exit_code, self.job.without_folders(str(error)))
        except OSError as error:
            why = error.strerror or error
            return Outcome(entry, "failed", 2, f"The outputs of an earlier run cannot be read ({why}); move them away.")
        if known is None and found.row is not None:
            self._adopt(entry, found.row, outputs)
        action = decide(found, self.job.identity(entry), len(outputs.named()), self.job.retry_failed)
        if action is Action.GIVE_UP:
            row = self._row(entry)
            result = Result(1, _DIED.format(count=row.attempts, reason=_KILLED))
            row = ended(row, result, self._owned(row, entry))
            self._manifest.put(entry.stem, row)
            return _outcome(entry, row)
        return _judged(entry, found, action)

    def _adopt(self, entry: Entry, row: Row, outputs: OutputPaths) -> None:
        """Take over what a record alone tells; of a scan without a result it tells nothing more then."""
        self._manifest.put(entry.stem, row)
        if row.state != "done":
            record_path(outputs.markups).unlink(missing_ok=True)


def _judged(entry: Entry, found: Found, action: Action) -> Outcome:
    """What an action means for the tables."""
    row = found.row
    if action is Action.REFUSE:
        foreign = sorted(set(found.existing) - set(row.files if row else ()))
        return Outcome(entry, "failed", 2, _FOREIGN.format(names=" and ".join(foreign).capitalize()))
    if row is None or action is Action.LABEL:
        return Outcome(entry)
    if action is Action.KEEP:
        return replace(_outcome(entry, row, _KEPT), state="done", exit_code=0, message="")
    return _outcome(entry, row, f"{CORRECTED}." if found.was_changed else "")


def _outcome(entry: Entry, row: Row, remark: str = "") -> Outcome:
    """What a row of a scan that is done or has failed tells."""
    return Outcome(entry, row.state, row.exit_code, row.message, {**row.told, "seconds": dict(row.seconds)}, remark)
