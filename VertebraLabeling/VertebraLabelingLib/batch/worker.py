"""A worker process of `pool`: loads the networks once, takes scans from its pipe and tells what became of them."""

from __future__ import annotations

import argparse
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from ..core.errors import VertebraLabelingError
from ..core.progress import Progress, silent
from .discover import Entry
from .read_ahead import ReadAhead
from .state import Result
from .task import Assignment, Job, LabellerLike, work

if TYPE_CHECKING:
    from ..core.scan import Scan
    from ..pipeline import LabelledScan
    from ..record import RunSettings
    from .run import Labellers

_TELL_EVERY_S = 0.25
_THREADS_VARIABLES = ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
"""What torch and ONNX Runtime, and what SimpleITK go by."""


@dataclass(frozen=True)
class Ready:
    """The networks are loaded."""

    device: str


@dataclass(frozen=True)
class Step:
    """Where the work on a scan is."""

    entry: Entry
    stage: str
    fraction: float


@dataclass(frozen=True)
class Turn:
    """The worker wants its turn on the GPU, which is answered by a `Turn`, or gives it back."""

    wanted: bool


@dataclass(frozen=True)
class Ended:
    """The work on a scan has ended, well or not."""

    entry: Entry
    result: Result


@dataclass(frozen=True)
class Broken:
    """The worker cannot go on, and another one could not either."""

    error: Exception


class Inbox:
    """What comes through the pipe; the process ends at once when nobody is at its other end any more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._assignments: queue.SimpleQueue[Assignment] = queue.SimpleQueue()
        self._turn = threading.Event()
        threading.Thread(target=self._receive, daemon=True, name="inbox").start()

    def _receive(self) -> None:
        try:
            while True:
                message = self._connection.recv()
                if isinstance(message, Turn):
                    self._turn.set()
                else:
                    self._assignments.put(message)
        except (EOFError, OSError):
            os._exit(0)  # outputs are whole or absent at any moment

    def next(self) -> Assignment:
        """The next scan to work on; waits for it."""
        return self._assignments.get()

    def next_if_any(self) -> Assignment | None:
        """The one after, where there is one already."""
        try:
            return self._assignments.get_nowait()
        except queue.Empty:
            return None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The GPU is this worker's while the block runs."""
        self._connection.send(Turn(wanted=True))
        self._turn.wait()
        try:
            yield
        finally:
            self._turn.clear()
            self._connection.send(Turn(wanted=False))


@dataclass(frozen=True)
class TakingTurns:
    """A labeller that has its device for itself while it labels."""

    labeller: LabellerLike
    inbox: Inbox

    def label(self, scan: Scan, progress: Progress) -> LabelledScan:
        """As the labeller's."""
        with self.inbox.turn() if self.settings().device != "cpu" else nullcontext():
            return self.labeller.label(scan, progress)

    def settings(self) -> RunSettings:
        """As the labeller's."""
        return self.labeller.settings()


def serve(
    connection: Connection, number: int, threads: int, args: argparse.Namespace, labellers: Labellers, job: Job
) -> None:
    """Work until the other end of the pipe is closed.

    number: place in the crew, by which the GPUs are dealt out.  threads: those that the networks may use.
    """
    from ..predict import take_paths_as_utf8

    for signal_number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C reaches all processes of a terminal
        signal.signal(signal_number, signal.SIG_IGN)
    os.environ.update(dict.fromkeys(_THREADS_VARIABLES, str(threads)))
    take_paths_as_utf8()
    inbox = Inbox(connection)
    try:
        labeller = TakingTurns(labellers.load(with_own_gpu(args, number), silent), inbox)
        connection.send(Ready(labeller.settings().device))
        _work(connection, inbox, labeller, job)
    except VertebraLabelingError as error:
        connection.send(Broken(error))
    except Exception as error:  # some cannot be sent
        connection.send(Broken(RuntimeError(f"{type(error).__name__}: {error}")))


def _work(connection: Connection, inbox: Inbox, labeller: LabellerLike, job: Job) -> None:
    ahead = ReadAhead()
    following: Assignment | None = None
    while True:
        assignment = following or inbox.next()
        tell = _Teller(connection, assignment.entry, inbox, ahead)
        result = work(assignment, job, labeller, ahead.read, tell)
        following = tell.following
        connection.send(Ended(assignment.entry, result))


class _Teller:
    """The progress of a scan, sent from time to time; as soon as another scan has come it begins to be read."""

    def __init__(self, connection: Connection, entry: Entry, inbox: Inbox, ahead: ReadAhead) -> None:
        self._connection, self._entry, self._inbox, self._ahead = connection, entry, inbox, ahead
        self._told: tuple[str, float] = ("", 0.0)
        self.following: Assignment | None = None

    def __call__(self, stage: str, fraction: float) -> None:
        if self.following is None and (following := self._inbox.next_if_any()):
            self.following = following
            self._ahead.begin(following.entry)
        now_s = time.monotonic()
        if stage != self._told[0] or now_s > self._told[1] + _TELL_EVERY_S:
            self._told = (stage, now_s)
            self._connection.send(Step(self._entry, stage, fraction))


def with_own_gpu(args: argparse.Namespace, number: int) -> argparse.Namespace:
    """The options with a GPU named where there are several and the user leaves the choice to us."""
    from ..engines.device import choose_device, choose_engine

    if args.device not in ("auto", "cuda"):
        return args
    if not choose_device(args.device, choose_engine(args.engine)).startswith("cuda"):
        return args
    import torch

    own = copy(args)
    own.device = f"cuda:{number % torch.cuda.device_count()}"
    return own
