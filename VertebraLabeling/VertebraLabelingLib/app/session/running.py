"""The run that is going on: at most one, followed to its end, and forgotten without a trace when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ...core.errors import VertebraLabelingError
from ..signal import Signal

if TYPE_CHECKING:
    from ..job import Job

Finish = Callable[[dict[str, Any]], object]
"""Puts a complete result into the scene; VertebraLabelingError when it cannot be used any more."""


class Runs:
    """Starts, polls and ends jobs.

    changed(): a run began or ended.  progressed(): it went on.  failed(message): it ended without a result.
    log: what the last run printed.  last_result: of the last run that had one.
    """

    def __init__(self) -> None:
        self.changed, self.progressed, self.failed = Signal(), Signal(), Signal()
        self.log = ""
        self.last_result: dict[str, Any] | None = None
        self._job: Job | None = None
        self._finish: Finish | None = None

    @property
    def job(self) -> Job | None:
        """The job that is going on."""
        return self._job

    def start(self, job: Job, finish: Finish) -> bool:
        """Start a job, whose result `finish` will take; False when it did not even start (`failed` says why)."""
        if self._job is not None:
            raise VertebraLabelingError(_("A run is going on; wait for its end or cancel it."))
        self._job, self._finish, self.log = job, finish, ""
        try:
            job.start()
        except BaseException:
            self.abandon()
            raise
        if not job.is_running:
            self._ended()
            return False
        self.changed.emit()
        return True

    def poll(self) -> None:
        """Follow the job; returns at once when there is none."""
        if self._job is None:
            return
        self._job.poll()
        self.log = self._job.log
        if self._job.is_running:
            self.progressed.emit()
        else:
            self._ended()

    def cancel(self) -> None:
        """Ask the job to end; it has ended only when a later `poll` finds it so."""
        if self._job is not None:
            self._job.cancel()
            self.progressed.emit()

    def abandon(self) -> None:
        """End the job at once; nothing of it will be heard."""
        job, self._job, self._finish = self._job, None, None
        if job is not None:
            job.close()

    def _ended(self) -> None:
        """The job is forgotten before its result is taken: a question to the user lets the timer poll again."""
        job, finish = self._job, self._finish
        self._job = self._finish = None
        message = job.message if job.state == "failed" else ""
        try:
            if job.state == "done":
                self.last_result = job.result
                finish(job.result)
        except VertebraLabelingError as error:
            message = str(error)
        finally:
            job.close()
            self.changed.emit()
        if message:
            self.failed.emit(message)
