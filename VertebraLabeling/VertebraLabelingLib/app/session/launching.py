"""Starting runs on what is shown, following them, and taking their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slicer.i18n import tr as _

from ...core.correction.column import Column
from ...core.errors import InputError, VertebraLabelingError
from .. import volume
from ..job import LabelJob, LabelRequest, RefineJob
from ..placement import volume_of
from ..points_node import is_corrected
from ..signal import Signal
from .correcting import Corrections
from .engine_check import EngineCheck
from .running import Runs
from .showing import Showing
from .tasks import Ask, Event, LabelTask, RefineTask


class Launching(Showing):
    """One run at a time.

    ask(question) -> bool: asked before anything of the user's is replaced.

    progressed(): the run went on.  failed(message): why an action or a run was not done, one sentence.
    """

    def __init__(
        self,
        scene,
        make_job: Callable[..., Any] = LabelJob,
        make_refine_job: Callable[..., Any] = RefineJob,
        ask: Ask = lambda question: False,
    ) -> None:
        super().__init__(scene)
        self.progressed, self.failed = Signal(), Signal()
        self._make_job, self._make_refine_job, self._ask = make_job, make_refine_job, ask
        self._runs = Runs()
        # another kind of job brings its own engine
        self._engines = EngineCheck() if make_job is LabelJob else None
        self._corrections = Corrections(self._points, ask)
        self._runs.changed.connect(self.changed.emit)
        self._runs.progressed.connect(self.progressed.emit)
        self._runs.failed.connect(self.failed.emit)
        self._watch.closing.connect(self.scene_closing)
        self._settle()

    def close(self) -> None:
        """End a run and let go of the scene, for good."""
        self._runs.abandon()
        super().close()

    def scene_closing(self) -> None:
        """The scene is about to be emptied: a run ends, nothing of it will be heard."""
        self._runs.abandon()
        self._points.attach(None)

    @property
    def refusal(self) -> str:
        """Why a run cannot be started now, a sentence; "" when it can."""
        return self._run_refusal(self.input_volume)

    def _run_refusal(self, volume_node) -> str:
        if self.is_running:
            return _("A run is going on; wait for its end or cancel it.")
        return volume.refusal(volume_node) or (self._engines.refusal if self._engines is not None else "")

    @property
    def can_label(self) -> bool:
        """Whether `label` can start a run."""
        return not self.refusal

    @property
    def is_running(self) -> bool:
        """Whether a run of either kind is going on; `poll` it."""
        return self._runs.job is not None

    @property
    def stopping(self) -> bool:
        """Whether the run was cancelled and has not ended yet."""
        return self.is_running and self._runs.job.state == "cancelling"

    @property
    def stage(self) -> str:
        """What the run is doing, for people; "" without one."""
        return self._runs.job.stage if self.is_running else ""

    @property
    def fraction(self) -> float:
        """How far the run is, 0..1."""
        return self._runs.job.fraction if self.is_running else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate for the run; None while it is not known."""
        return self._runs.job.seconds_left if self.is_running else None

    @property
    def log(self) -> str:
        """What the last run printed."""
        return self._runs.log

    @property
    def last_result(self) -> Event | None:
        """What the last run that came to its end told; for the diagnostics."""
        return self._runs.last_result

    def label(self) -> bool:
        """Start to label the CT; asks before corrected points are replaced, and whether confirmed ones are to stay."""
        return self._attempt(self._label)

    def _label(self) -> bool:
        if self.refusal:
            raise InputError(self.refusal)
        self._points.settle()
        node, column = self._points.node, self._points.column
        question = _("The points of '{name}' were corrected by hand. Replace them?")
        if node is not None and is_corrected(node) and not self._ask(question.format(name=node.GetName())):
            return False
        options = vars(self.options)
        request = LabelRequest(self.input_volume, self.roi, self._anchors(column), **options)
        task = LabelTask(self.input_volume, node, column)
        return self._runs.start(self._make_job(request), lambda event: self._take_labelling(task, event))

    def _anchors(self, column: Column) -> Column:
        """The confirmed points, if the user wants them kept."""
        from ...core.correction.column import points_of

        locked = tuple(point for point in column if point.locked)
        names = ", ".join(point.label for point in locked)
        question = _("Keep the confirmed points ({names}) as they are, and name the others from them?")
        if not locked or not self._ask(question.format(names=names)):
            return ()
        points_of(locked)  # says what is wrong with their names before anything starts
        return locked

    def _take_labelling(self, task: LabelTask, event: Event) -> None:
        """The result in the scene; shown, unless the user has turned to another CT meanwhile."""
        node = task.apply(event, self._points, self._ask)
        if self.input_volume is task.volume_node:
            self.set_points_node(node)
        self._points_changed()

    def refine(self, indices: Sequence[int]) -> bool:
        """Start to move these points to the centres of their bodies; asks before confirmed ones are moved."""
        return self._attempt(lambda: self._refine(tuple(indices)))

    def _refine(self, indices: tuple[int, ...]) -> bool:
        volume_node = self._volume_of_points()
        if self._run_refusal(volume_node):
            raise InputError(self._run_refusal(volume_node))
        if not self._corrections.may_move(indices):
            return False
        column = self._points.column
        task = RefineTask(self._points.node, column, indices)
        job = self._make_refine_job(volume_node, column, indices, self._machine.engine, self._machine.device)
        return self._runs.start(job, lambda event: task.apply(event, self._points))

    def _volume_of_points(self):
        """The CT of the points; the chosen one for points that know none."""
        own = volume_of(self._points.node) if self._points.node is not None else None
        return own if own is not None else self.input_volume

    def cancel(self) -> None:
        """Ask the run to end; it has ended when `is_running` is False."""
        self._runs.cancel()

    def poll(self) -> None:
        """Follow the run; call it every 100 to 200 ms while `is_running`."""
        self._runs.poll()

    def _attempt(self, action: Callable[[], object]) -> bool:
        """Whether it was done: not when the user said no, nor when it failed, of which `failed` tells."""
        try:
            return action() is not False
        except VertebraLabelingError as error:
            self.failed.emit(str(error))
            return False
