"""A worker process as `pool` sees it."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from .task import Assignment
from .worker import Turn


@dataclass(eq=False)
class Hand:
    """A worker process.

    device: None until its networks are loaded.  given: what it has, the current scan first.
    begun_s, waits_s: when that was begun (or the process started), and since when it waits for a GPU.
    overdue: the scan for which the process was ended.
    """

    number: int
    process: BaseProcess
    connection: Connection
    device: str | None = None
    given: list[Assignment] = field(default_factory=list)
    begun_s: float = field(default_factory=time.monotonic)
    waits_s: float | None = None
    overdue: Assignment | None = None

    @property
    def name(self) -> str:
        """For the manifest."""
        return f"process {self.process.pid}"

    def seconds(self) -> float:
        """So long it has been at its scan, or at loading the networks; 0 for one that has nothing to do."""
        is_idle = self.device is not None and not self.given
        return 0.0 if is_idle else (self.waits_s or time.monotonic()) - self.begun_s

    def end(self) -> None:
        """End the process for its current scan; what it has told before is heard next, then its end."""
        self.overdue = next(iter(self.given), None)
        self.process.kill()

    def take_turn(self) -> None:
        """The GPU is this worker's."""
        self.begun_s += time.monotonic() - (self.waits_s or time.monotonic())
        self.waits_s = None
        self.send(Turn(wanted=True))

    def why_ended(self) -> str:
        """As far as the exit code of the ended process tells."""
        code = self.process.exitcode
        if code == -getattr(signal, "SIGKILL", 9):
            return "killed, perhaps for want of memory"
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"crashed, {signal.Signals(-code).name}"
        return f"crashed, exit code {code}"

    def send(self, message: Any) -> None:
        """Send; when the process has just died, its pipe says so next."""
        with suppress(OSError):
            self.connection.send(message)
