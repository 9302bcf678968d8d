"""A run on a volume of the scene: exported, given to a child process, followed, cancelled; the scene is only read.

Whoever owns a timer calls `Job.poll`; nothing here waits, but `Job.start` while it writes the volume.
"""

from __future__ import annotations

import logging
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any, Literal

import slicer

from ..core.errors import CancelledError, MemoryExhaustedError, ModelError, VertebraLabelingError
from . import job_words
from .installed import state as installed_state
from .process import ChildProcess, Event, Launch
from .time_left import TimeLeft
from .volume import export_volume

JobState = Literal["ready", "running", "cancelling", "done", "failed", "cancelled"]
CANCEL_PATIENCE_S = 5.0
"""After that long a child that was asked to stop is ended with all that it started."""
END_PATIENCE_S = 5.0
"""A child that has told its result may take that long to end; some libraries hang there."""
CT, OUTPUT, CANCEL = "ct.nrrd", "out.mrk.json", "cancel"
"""Short names: Windows allows 260 characters for the whole path."""


class Job:
    """One run; see the sub-classes.

    state: "ready" before `start`, then "running", perhaps "cancelling", at last "done", "failed" or "cancelled".
    stage: what is going on, for people.  fraction: 0..1, never falling.  result: the child's result event when done,
    with positions in the volume's local LPS mm.  message: one sentence for the user when failed or cancelled.
    """

    def __init__(self, volume_node: Any, roi_node: Any, engine: str, device: str, launch: Launch | None = None) -> None:
        self.state: JobState = "ready"
        self.stage, self.fraction, self.message = "", 0.0, ""
        self.result: dict[str, Any] | None = None
        self._volume_node, self._roi_node = volume_node, roi_node
        self._volume_name = volume_node.GetName()
        self._engine, self._device, self._launch = engine, device, launch
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._child: ChildProcess | None = None
        self._notes: tuple[str, ...] = ()
        self._reset()

    def _reset(self) -> None:
        self._result_event: Event | None = None
        self._error_event: Event | None = None
        self._deadline_s: float | None = None
        self._time_left = TimeLeft()
        self.fraction = 0.0

    def start(self) -> None:
        """Write the volume and launch the child; when that fails the job has failed, nothing is raised."""
        self.state, self.stage = "running", job_words.exporting()
        try:
            self._folder = _new_folder()
            self.write_inputs()
            export_volume(self._volume_node, self.file(CT), self._roi_node)
            self._run_child()
        except MemoryError:
            self._end("failed", job_words.no_memory())
        except (VertebraLabelingError, OSError) as error:
            self._end("failed", str(error))
        except Exception as error:
            logging.exception("VertebraLabeling: a run could not be started")
            self._end("failed", job_words.unexpected(error))

    def poll(self) -> None:
        """Take in what the child has said and done; call it every 100 to 200 ms while `is_running`."""
        if not self.is_running or self._child is None:
            return
        code = self._child.returncode
        for event in self._child.poll():
            self._hear(event)
        if code is not None:
            self._child_ended(code)
        elif self._overdue():
            self._child.kill_tree()

    @property
    def is_running(self) -> bool:
        """Whether `poll` still has something to do."""
        return self.state in ("running", "cancelling")

    @property
    def volume_node(self) -> Any:
        """The volume that is labelled; None once it has left its scene."""
        return self._volume_node if self._volume_node.GetScene() else None

    @property
    def seconds_left(self) -> float | None:
        """Estimate; None in the beginning and when nothing runs."""
        return self._time_left.seconds if self.state == "running" else None

    @property
    def log(self) -> str:
        """What the child and its libraries have printed, the last lines."""
        return self._child.log if self._child else ""

    def cancel(self) -> None:
        """Ask the child to stop; `poll` ends it and all that it started when it does not within `CANCEL_PATIENCE_S`."""
        if self.state != "running" or self._child is None:
            return
        self.state, self.stage = "cancelling", job_words.cancelling()
        self._deadline_s = time.monotonic() + CANCEL_PATIENCE_S
        try:
            self._child.request_cancel(self.file(CANCEL))
        except OSError:  # the disk is full or the folder gone
            self._child.kill_tree()

    def close(self) -> None:
        """End the child at once and remove the temporary folder; for a closing scene or application."""
        if self.is_running:
            self._end("cancelled", job_words.cancelled())

    def command(self) -> list[str]:
        """Sub-command of the command line and its own options; the volume and what all share are added."""
        raise NotImplementedError

    def write_inputs(self) -> None:
        """Write what the child needs besides the volume."""

    def file(self, name: str) -> Path:
        """A place in the temporary folder."""
        assert self._folder is not None
        return Path(self._folder.name) / name

    def _run_child(self) -> None:
        command, *options = self.command()
        common = ["--engine", self._engine, "--device", self._device, "--cancel-file", str(self.file(CANCEL))]
        arguments = [command, str(self.file(CT)), "--output", str(self.file(OUTPUT)), *options, *common]
        module = ["-m", "VertebraLabelingLib.predict"]
        self._child = ChildProcess([*module, *arguments, "--json-lines", "--debug"], self._launch)
        # a job that was forgotten, and the end of Slicer, end the child as well
        self._safety = weakref.finalize(self, ChildProcess.close, self._child)
        self.stage = job_words.stage_name("starting")

    def _hear(self, event: Event) -> None:
        kind = event["event"]
        if kind == "result" and isinstance(event.get("points"), list):
            self._result_event = event
            self._deadline_s = self._deadline_s or time.monotonic() + END_PATIENCE_S
        elif kind == "error":
            self._error_event = event
        elif kind == "progress" and self.state == "running" and isinstance(event.get("fraction"), (int, float)):
            self.stage = job_words.stage_name(str(event.get("stage", "")))
            self.fraction = max(self.fraction, min(float(event["fraction"]), 1.0))
            self._time_left.update(self.fraction)

    def _overdue(self) -> bool:
        return self._deadline_s is not None and time.monotonic() > self._deadline_s

    def _child_ended(self, code: int) -> None:
        """What the end of the child means; a result that was told stands, however the child ended after it."""
        error_code = self._error_event.get("code", code) if self._error_event else code
        if self.state == "cancelling" or (error_code == CancelledError.exit_code and not self._result_event):
            self._end("cancelled", job_words.cancelled())
        elif self._result_event is not None:
            self.result = self._finished(self._result_event)
            self.fraction = 1.0
            self._end("done", "")
        elif error_code == MemoryExhaustedError.exit_code and self._was_on_gpu:
            self._run_again_on_cpu()
        else:
            self._end("failed", self._failure(code))

    @property
    def _was_on_gpu(self) -> bool:
        """Whether the networks ran on a graphics card when the memory ran out."""
        device = self._error_event.get("device") if self._error_event else None
        return self._device != "cpu" and device not in (None, "", "cpu")

    def _run_again_on_cpu(self) -> None:
        self._safety()
        self._reset()
        self._device, self._notes = "cpu", (job_words.on_the_cpu(),)
        try:
            self._run_child()
        except (VertebraLabelingError, OSError) as error:
            self._end("failed", str(error))

    def _finished(self, event: Event) -> dict[str, Any]:
        """The result without the paths of files that are gone, with what this job has to add."""
        notes = [*event.get("notes", ()), *self._notes]
        return {key: value for key, value in event.items() if key != "files"} | {"notes": notes}

    def _failure(self, code: int) -> str:
        """The child's own sentence, naming the volume and not its temporary file."""
        if self._error_event is None or not self._error_event.get("message"):
            return job_words.death(code, self.log)
        if self._error_event.get("code") == ModelError.exit_code and not installed_state().can_label:
            return job_words.no_engine()
        message = str(self._error_event["message"])
        return message.replace(str(self.file(CT)), self._volume_name).replace(CT, self._volume_name)

    def _end(self, state: JobState, message: str) -> None:
        self.state, self.message, self.stage = state, message, ""
        if self._child is not None:
            self._safety()
        if self._folder is not None:
            self._folder.cleanup()


def _new_folder() -> tempfile.TemporaryDirectory[str]:
    """In Slicer's own temporary folder where there is one; removed at the end of the program at the latest."""
    place = Path(slicer.app.temporaryPath)
    return tempfile.TemporaryDirectory(prefix="VL", dir=place if place.is_dir() else None, ignore_cleanup_errors=True)
