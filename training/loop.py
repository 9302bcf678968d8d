"""The training loop: Lightning around a task, the same for every network."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import cos, pi
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.engines.device import tune_cpu

from .cases import Case
from .sampling import draw_window
from .tasks import Sample, Task


@dataclass(frozen=True)
class RunSettings:
    """How long and how fast.  Training ends at `minutes` or `steps`, whichever comes first; the schedule follows.

    processes: data-parallel ones (Lightning DDP), each with its own windows; on a CPU one a core is the fastest.
    """

    minutes: float = 60.0
    steps: int = 1_000_000
    batch: int = 2
    rate: float = 2e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.03
    clip: float = 5.0
    ema: float = 0.998
    workers: int = 1
    threads: int = 1
    processes: int = 1
    seed: int = 0
    precision: str = "32-true"


class RandomWindows(IterableDataset[Sample]):
    """An endless stream of samples; each worker draws its own, reproducible from the seed."""

    def __init__(self, cases: list[Case], task: Task, seed: int, rank: int = 0) -> None:
        self.cases, self.task, self.seed, self.rank = cases, task, seed, rank

    def __iter__(self) -> Iterator[Sample]:
        """Samples, forever."""
        torch.set_num_threads(1)
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, self.rank, worker.id if worker else 0])
        chances = case_chances(self.cases)
        while True:
            case = self.cases[rng.choice(len(self.cases), p=chances)]
            yield self.task.sample(draw_window(case, self.task.windows, rng), rng)


def case_chances(cases: list[Case]) -> np.ndarray:
    """Probability of each case: its weight, times the mean rarity of its levels (1 / sqrt of the cases with it)."""
    shown = np.array([np.bincount(case.levels, minlength=len(Level)) for case in cases])
    weight_by_level = (shown * np.array([[case.weight] for case in cases])).sum(0)
    rarity = 1 / np.sqrt(np.maximum(weight_by_level, 1e-6))
    chances = [c.weight * (rarity[c.levels].mean() if len(c.levels) else np.median(rarity)) for c in cases]
    return np.array(chances) / np.sum(chances)


class Training(lightning.LightningModule):
    """A task as Lightning wants it: AdamW, warm-up, cosine."""

    def __init__(self, task: Task, run: RunSettings) -> None:
        super().__init__()
        self.task, self.run = task, run
        self.network: nn.Module = task.build_network()
        self.started = time.monotonic()

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Losses of one batch, logged by name."""
        losses = self.task.loss(self.network, batch)
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, prog_bar=True)
        return losses["loss"]

    def configure_optimizers(self) -> dict[str, object]:
        """AdamW with a rate that follows `_factor`."""
        optimizer = torch.optim.AdamW(self.network.parameters(), self.run.rate, weight_decay=self.run.weight_decay)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._factor(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _factor(self, step: int) -> float:
        elapsed = (time.monotonic() - self.started) / (60 * self.run.minutes)
        done = min(1.0, max(step / self.run.steps, elapsed))
        return max(1e-3, min(done / self.run.warm_up, 0.5 * (1 + cos(pi * done)))) if step else 1e-3


def train(task: Task, cases: list[Case], run: RunSettings, folder: Path, start: Path | None = None) -> Path:
    """Train and return the last checkpoint; `start` gives initial weights (a checkpoint of the same network)."""
    lightning.seed_everything(run.seed, verbose=False)
    torch.set_num_threads(run.threads)
    tune_cpu()
    module = Training(task, run)
    if start is not None:
        module.network.load_state_dict(averaged_weights(start))
    loader = DataLoader(
        RandomWindows(cases, task, run.seed, int(os.environ.get("LOCAL_RANK", "0"))),
        batch_size=run.batch,
        num_workers=run.workers,
        prefetch_factor=4 if run.workers else None,
    )
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=run.processes,
        strategy="ddp" if run.processes > 1 else "auto",
        precision=run.precision,
        max_steps=run.steps,
        max_time=timedelta(minutes=run.minutes),
        gradient_clip_val=run.clip,
        callbacks=[
            WeightAveraging(avg_fn=partial(moving_average, decay=run.ema)),
            ModelCheckpoint(folder, save_last=True, train_time_interval=timedelta(minutes=4)),
            LearningRateMonitor(),
        ],
        logger=TensorBoardLogger(folder, name="", version=""),
        log_every_n_steps=20,
        enable_model_summary=False,
    )
    module.started = time.monotonic()
    trainer.fit(module, loader)
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt"


def moving_average(average: Tensor, current: Tensor, updates: Tensor | int, decay: float) -> Tensor:
    """Exponential moving average whose memory grows with the run, so that it soon forgets the random start."""
    return torch.lerp(current, average, min(decay, float(updates) / (float(updates) + 10)))


def averaged_weights(*checkpoints: Path) -> dict[str, Tensor]:
    """State dict of the network, the mean over the checkpoints.

    Lightning stores the moving average as the `state_dict` of a checkpoint; that is what is read.
    """
    states = [torch.load(path, map_location="cpu", weights_only=False)["state_dict"] for path in checkpoints]
    names = [name for name in states[0] if name.startswith("network.")]
    return {name.removeprefix("network."): torch.stack([s[name] for s in states]).mean(0) for name in names}
