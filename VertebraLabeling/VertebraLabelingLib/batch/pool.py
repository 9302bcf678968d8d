"""The crew of one or several processes on this machine: each has its networks, and one dies without the others.

A GPU is shared by turns: all workers have their networks on it, one at a time labels, the others read and write.
Several GPUs are dealt out among the workers.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from ..core.errors import MemoryExhaustedError
from .desk import Desk
from .hand import Hand
from .task import Assignment, too_slow
from .worker import Broken, Ended, Ready, Step, Turn, serve

if TYPE_CHECKING:
    from .run import Labellers

_LOOK_EVERY_S = 0.2
_END_WITHIN_S = 5.0
_LOAD_WITHIN_S = 600.0
"""So long the networks may take to load, or as long as a scan where that is longer."""
_STARTS_IN_VAIN = 3
"""After so many workers that died before their networks were loaded, with no scan done meanwhile, none is started."""


def work_in_pool(desk: Desk, args: argparse.Namespace, labellers: Labellers, workers: int) -> None:
    """Work on all scans of the desk with so many processes; what ends a worker for good ends the run."""
    pool = Pool(desk, args, labellers, workers)
    try:
        pool.work()
    finally:
        pool.close()


def threads_each(workers: int) -> int:
    """Threads for the networks of each worker: the cores that this process may use, or the user's limit, divided."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, min(cores, int(limit) if limit.isdecimal() and int(limit) else cores) // workers)


class Pool:
    """The workers and what they have; one thread, which waits for messages."""

    def __init__(self, desk: Desk, args: argparse.Namespace, labellers: Labellers, workers: int) -> None:
        self._desk, self._args, self._labellers = desk, args, labellers
        self._size = min(workers, desk.waiting)
        self._hands: list[Hand] = []
        self._turns: dict[str, list[Hand]] = defaultdict(list)
        self._in_vain, self._is_started = 0, False

    def work(self) -> None:
        """Until nothing waits and nothing is worked on."""
        self._desk.progress("loading the networks", 0.0)
        while self._desk.waiting or any(hand.given for hand in self._hands):
            self._man()
            self._hand_out()
            for hand in self._heard():
                self._hear(hand)
            self._end_overdue()
            self._desk.check()

    def close(self) -> None:
        """End all workers: a closed pipe ends them at once."""
        for hand in self._hands:
            hand.connection.close()
        for hand in self._hands:
            hand.process.join(_END_WITHIN_S)
            hand.process.kill()
            hand.process.join()
        self._hands.clear()

    def _man(self) -> None:
        """Start workers for the places that nobody has; MemoryExhaustedError when none can be had."""
        taken = {hand.number for hand in self._hands}
        free = [number for number in range(len(taken) + self._size) if number not in taken]
        wanted = min(self._size - len(taken), self._desk.waiting)
        if self._in_vain < _STARTS_IN_VAIN:
            self._hands += [self._start(number) for number in free[: max(0, wanted)]]
        elif not self._hands:
            raise MemoryExhaustedError(
                "The worker processes end or hang while they load the networks (want of memory?); use fewer --workers."
            )

    def _start(self, number: int) -> Hand:
        context = multiprocessing.get_context("spawn")  # torch and forked processes do not go together
        ours, theirs = context.Pipe()
        given = (theirs, number, threads_each(self._size), self._args, self._labellers, self._desk.job)
        process = context.Process(target=serve, args=given, name=f"vertebra-labeling-{number}")
        with _signals_held():
            process.start()
        theirs.close()
        return Hand(number, process, ours)

    def _hand_out(self) -> None:
        """A scan for each idle worker, then one to read ahead while there are enough for all."""
        ready = [hand for hand in self._hands if hand.device is not None]
        for hand in ready:
            if not hand.given and (assignment := self._desk.take()):
                self._give(hand, assignment)
        for hand in ready:
            may_read = len(hand.given) == 1 and not hand.given[0].alone and self._desk.waiting >= len(self._hands)
            if may_read and (assignment := self._desk.take(may_be_alone=False)):
                self._give(hand, assignment)

    def _give(self, hand: Hand, assignment: Assignment) -> None:
        self._desk.begin(assignment, hand.name)
        if not hand.given:
            hand.begun_s = time.monotonic()
        hand.given.append(assignment)
        hand.send(assignment)

    def _heard(self) -> list[Hand]:
        """Those who have something to tell, or have died."""
        by_connection = {hand.connection: hand for hand in self._hands}
        return [by_connection[found] for found in wait(list(by_connection), _LOOK_EVERY_S)]  # type: ignore[index]

    def _hear(self, hand: Hand) -> None:
        try:
            message = hand.connection.recv()
        except (EOFError, OSError):
            self._bury(hand)
            return
        if isinstance(message, Step):
            self._desk.progress(message.stage, message.fraction, message.entry)
        elif isinstance(message, Ended):
            hand.given.pop(0)
            hand.begun_s, self._in_vain = time.monotonic(), 0
            self._desk.ended(message.entry, message.result)
        elif isinstance(message, Turn):
            self._queue_up(hand) if message.wanted else self._step_back(hand)
        elif isinstance(message, Ready):
            self._welcome(hand, message.device)
        elif isinstance(message, Broken):
            self._do_without(hand, message.error)

    def _do_without(self, hand: Hand, error: Exception) -> None:
        """Go on with fewer workers where there is no memory for so many networks; else the error ends the run."""
        if not isinstance(error, MemoryExhaustedError) or hand.device is not None or self._size == 1:
            raise error
        self._size -= 1

    def _welcome(self, hand: Hand, device: str) -> None:
        hand.device, self._in_vain = device, 0
        if not self._is_started:
            self._desk.start()
            self._is_started = True

    def _queue_up(self, hand: Hand) -> None:
        queue = self._turns[str(hand.device)]
        queue.append(hand)
        hand.waits_s = time.monotonic()
        if queue[0] is hand:
            hand.take_turn()

    def _step_back(self, hand: Hand) -> None:
        """The turn is over, or the worker dead."""
        queue = self._turns[str(hand.device)]
        had_it = bool(queue) and queue[0] is hand
        if hand in queue:
            queue.remove(hand)
        if had_it and queue:
            queue[0].take_turn()

    def _end_overdue(self) -> None:
        """End the workers that take longer than they may."""
        scan_s = self._args.scan_timeout
        for hand in self._hands if scan_s else ():
            if hand.seconds() > (scan_s if hand.device is not None else max(scan_s, _LOAD_WITHIN_S)):
                hand.end()

    def _bury(self, hand: Hand) -> None:
        """A worker has died: what it had is tried again by others, but for a scan that took too long."""
        self._hands.remove(hand)
        self._step_back(hand)
        hand.connection.close()
        hand.process.join()
        self._in_vain += hand.device is None
        for assignment in hand.given:
            if assignment is hand.overdue:
                self._desk.ended(assignment.entry, too_slow(self._args.scan_timeout))
            elif hand.overdue:
                self._desk.put_back(assignment.entry, "the scan before took too long")
            else:
                self._desk.died(assignment.entry, hand.why_ended())


@contextmanager
def _signals_held() -> Iterator[None]:
    """A process started inside is not ended by Ctrl-C before it can say that it leaves that to this one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
