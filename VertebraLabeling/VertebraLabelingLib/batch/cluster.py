"""The crew of a Dask cluster: many machines that see the same folders under the same names.

Dask tries a scan again when its worker dies and gives it up after `distributed.scheduler.allowed-failures` more times.
How long a scan takes, only its worker knows: Dask may keep it for hours until there is one.  So the worker looks at the
clock, says when the time is over, and ends itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..core.errors import CancelledError, TooSlowError, UsageError, VertebraLabelingError
from ..core.progress import silent
from .desk import Desk
from .state import Result
from .task import Assignment, Job, LabellerLike, read_entry, too_slow, work

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

    from .run import Labellers

_CONNECT_WITHIN_S = 30.0
_LOOK_EVERY_S, _STEP_S = 0.5, 0.02
_FETCH_WITHIN_S = 5.0
_ASK_EVERY_S = 2.0
_END_LATER_S = 2.0
"""After a worker has said that its scan takes too long; the scheduler is not to give the scan to another one first."""
_GONE_WITHIN_S = 10.0
"""So long after a worker has said so it may still seem to be there, idle, and would take a scan with it."""
Overdue = dict[str, float]
"""Task -> when its worker said that it takes too long."""


def work_on_cluster(desk: Desk, args: argparse.Namespace, labellers: Labellers) -> None:
    """Work on all scans of the desk by the workers that the scheduler has, or gets meanwhile."""
    with connected(args.scheduler) as client:
        desk.start()
        pending: dict[Future, Assignment] = {}
        overdue = _heard_overdue(client, desk.job)
        try:
            while desk.waiting or pending:
                workers = _workers(client)
                busy = len(pending) + _soon_gone(overdue)
                pending |= _handed_out(client, desk, args, labellers, workers - busy)
                for future in _ended(pending):
                    if _settle(desk, pending[future], future):
                        del pending[future]
                _give_up_overdue(client, desk, pending, overdue, args.scan_timeout)
                desk.progress(f"{workers} workers" if workers else "waiting for workers", 0.0)
        finally:
            with suppress(Exception):  # the scheduler may be gone
                client.cancel(list(pending))


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of the scheduler; UsageError when Dask is not installed or nobody answers."""
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError("--scheduler needs Dask: pip install 'vertebra-labeling[scale]'.") from error
    try:
        client = Client(address, timeout=_CONNECT_WITHIN_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"No Dask scheduler answers at '{address}' ({error}); check the address.") from error
    with client:
        yield client


def _workers(client: Client) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])


def _handed_out(
    client: Client, desk: Desk, args: argparse.Namespace, labellers: Labellers, idle: int
) -> dict[Future, Assignment]:
    """Scans given to the scheduler, one for each idle worker: Dask would blame all that a worker has for its death."""
    found: dict[Future, Assignment] = {}
    while len(found) < idle and (assignment := desk.take()):
        desk.begin(assignment, "dask")
        found[client.submit(label_on_worker, assignment, desk.job, args, labellers, pure=False)] = assignment
    return found


def _heard_overdue(client: Client, job: Job) -> Overdue:
    """What workers say of scans that take too long; it fills by itself."""
    overdue: Overdue = {}
    client.subscribe_topic(_topic(job), lambda event: overdue.setdefault(event[1]["task"], time.monotonic()))
    return overdue


def _topic(job: Job) -> str:
    return f"vertebra-labeling-{job.run}"


def _soon_gone(overdue: Overdue) -> int:
    """Number of workers that end themselves now."""
    return sum(time.monotonic() - since_s < _GONE_WITHIN_S for since_s in list(overdue.values()))


def _ended(pending: dict[Future, Assignment]) -> list[Future]:
    """Those that have ended; waits for one, for a short while."""
    until_s = time.monotonic() + _LOOK_EVERY_S
    while not (found := [future for future in pending if future.done()]) and time.monotonic() < until_s:
        time.sleep(_STEP_S)
    return found


def _give_up_overdue(
    client: Client, desk: Desk, pending: dict[Future, Assignment], overdue: Overdue, limit_s: int
) -> None:
    """Give up what takes longer than it may, before Dask has it tried again."""
    for future in [future for future in pending if future.key in overdue and not future.done()]:
        client.cancel([future])
        desk.ended(pending.pop(future).entry, too_slow(limit_s))


def _settle(desk: Desk, assignment: Assignment, future: Future) -> bool:
    """Tell the desk what became of a scan; raises what ends the run.

    False when nobody can tell yet: the worker has died before its result was fetched, and Dask has it made again.
    """
    from distributed import KilledWorker

    try:
        if future.status == "finished":
            desk.ended(assignment.entry, future.result(timeout=_FETCH_WITHIN_S))
            return True
        error = future.exception(timeout=_FETCH_WITHIN_S) if future.status == "error" else None
    except (TimeoutError, asyncio.TimeoutError):  # two types before Python 3.11
        return False
    except KilledWorker as killed:
        error = killed
    if error is None:  # the scheduler was started anew, or somebody has cancelled it there
        desk.died(assignment.entry, "the scheduler has lost it")
    elif isinstance(error, KilledWorker):
        desk.lost(assignment.entry, error.allowed_failures + 1, f"last on {error.last_worker.address}")
    elif isinstance(error, CancelledError):  # the run has not ended, so the worker could not see that it goes on
        raise UsageError(
            f"A Dask worker does not see the output folder {desk.job.output}; make input and output visible there "
            "under the same paths."
        ) from error
    elif isinstance(error, VertebraLabelingError):
        raise error
    else:
        raise UsageError(
            f"A Dask worker cannot do the work ({type(error).__name__}: {error}); install this version of "
            "vertebra-labeling there, with the same Python."
        ) from error
    return True


# --- what runs on a worker --------------------------------------------------------------------------------------------

_one_at_a_time = threading.Lock()
_loaded: dict[Any, LabellerLike] = {}


def label_on_worker(assignment: Assignment, job: Job, args: argparse.Namespace, labellers: Labellers) -> Result:
    """Label a scan with the networks that this process keeps; CancelledError once the run has ended."""
    with _one_at_a_time, _ended_after(args.scan_timeout, _topic(job)):
        job.require_current()
        labeller = _labeller(job, args, labellers)
        return work(assignment, job, labeller, read_entry, _Watch(job))


@contextmanager
def _ended_after(limit_s: int, topic: str) -> Iterator[None]:
    """The process says so and ends when the block takes longer; a call into a library cannot be ended otherwise.

    limit_s: 0 for none.
    """
    if not limit_s:
        yield
        return
    from distributed import get_worker

    worker = get_worker()
    timer = threading.Timer(limit_s, _end, (worker, topic, worker.get_current_task()))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(worker: Worker, topic: str, task: str) -> None:
    worker.log_event(topic, {"task": task})
    time.sleep(_END_LATER_S)
    os._exit(TooSlowError.exit_code)


def _labeller(job: Job, args: argparse.Namespace, labellers: Labellers) -> LabellerLike:
    key = (job.settings, args.engine, args.device)
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = labellers.load(args, silent)
    return _loaded[key]


class _Watch:
    """A progress callback that only looks, from time to time, whether the run still wants the scan."""

    def __init__(self, job: Job) -> None:
        self._job, self._next_s = job, 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _ASK_EVERY_S
            self._job.require_current()
