"""Where the time of a training step goes, measured on the loop itself."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from lightning.pytorch.profilers import SimpleProfiler

from .cases import Case, cache_phantoms
from .data import RandomWindows
from .loop import train
from .settings import RunSettings, read_configuration
from .tasks import Task, make_task

WARM_UP_STEPS = 2
DRAWN_BATCHES = 4

_STEP = "run_training_batch"
_PARTS = {
    "waiting for data": "[_TrainingEpochLoop].train_dataloader_next",
    "forward and loss": "[Strategy]SingleDeviceStrategy.training_step",
    "backward": "[Strategy]SingleDeviceStrategy.backward",
}
_OPTIMISER = "[LightningModule]Training.optimizer_step"
"""Lightning's names; its optimiser step runs forward and backward inside."""


@dataclass(frozen=True)
class StepTimes:
    """Means over the measured steps of one process, in seconds.

    parts: of one step, by name; together `step_seconds`.  drawing_seconds: for the windows of one step, which a worker
    draws beside the step.
    """

    task: str
    batch: int
    device: str
    steps: int
    step_seconds: float
    parts: dict[str, float]
    drawing_seconds: float


class _StepProfiler(SimpleProfiler):
    """Lightning's profiler, which also notes when each step begins; it waits for the GPU before it reads the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.step_starts: list[float] = []

    def start(self, action_name: str) -> None:
        """Begin an action."""
        _wait()
        if action_name == _STEP:
            self.step_starts.append(time.perf_counter())
        super().start(action_name)

    def stop(self, action_name: str) -> None:
        """End it."""
        _wait()
        super().stop(action_name)

    def describe(self) -> None:
        """Nothing: the command prints its own table."""


def measure_training(config: Path, steps: int) -> StepTimes:
    """Train `steps` steps of a configuration on windows of one phantom, after a few that warm up."""
    configuration = read_configuration(config)
    task = make_task(configuration.task, configuration.network, configuration.windows)
    run = replace(configuration.run, steps=WARM_UP_STEPS + steps + 1, processes=1)
    # Windows cannot remove what is still open, as the curves are
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        cases = list(cache_phantoms(Path(folder), 1))
        profiler = _StepProfiler()
        train(task, cases, run, Path(folder) / "run", profiler=profiler)
        drawing = _drawing_seconds(task, cases, run)
    device = "GPU" if torch.cuda.is_available() else "CPU"
    step_seconds, parts = _summary(profiler, steps)
    return StepTimes(configuration.task, run.batch, device, steps, step_seconds, parts, drawing)


def _summary(profiler: _StepProfiler, steps: int) -> tuple[float, dict[str, float]]:
    """Mean seconds from one step's beginning to the next, and of its parts; the last step has no next one."""
    starts = profiler.step_starts[-steps - 1 :]
    total = (starts[-1] - starts[0]) / steps
    parts = {name: _mean(profiler, action, steps) for name, action in _PARTS.items()}
    inside = parts["forward and loss"] + parts["backward"]
    parts["optimiser, clipping"] = _mean(profiler, _OPTIMISER, steps) - inside
    parts["rest: averaged weights, log"] = total - sum(parts.values())
    return total, parts


def _mean(profiler: SimpleProfiler, action: str, steps: int) -> float:
    return sum(profiler.recorded_durations[action][-steps - 1 : -1]) / steps


def _drawing_seconds(task: Task, cases: list[Case], run: RunSettings) -> float:
    """Seconds to draw the windows of one batch in this process, after the first batch, which maps the files."""
    windows = iter(RandomWindows(cases, task, run.batch, run.seed))
    for _ in islice(windows, run.batch):
        pass
    start = time.perf_counter()
    for _ in islice(windows, DRAWN_BATCHES * run.batch):
        pass
    return (time.perf_counter() - start) / DRAWN_BATCHES


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
