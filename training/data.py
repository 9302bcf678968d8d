"""Windows for the loop: an endless random stream to learn from, and fixed ones to watch the loss on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.prepare import AIR_HU
from VertebraLabelingLib.core.windows import crop

from .cases import Case
from .fresh_phantoms import FreshCases
from .sampling import Window, WindowSettings, draw_window
from .settings import RunSettings
from .tasks import Sample, Task

PREFETCHED_BATCHES = 4


class RandomWindows(IterableDataset[Sample]):
    """An endless stream of samples, from batch number `first_batch` on.

    Every sample has a seed of its own (seed, rank, number), so that the stream is the same for any number of workers
    and can be taken up anywhere; but what `fresh` shows depends on what has been made by then.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        task: Task,
        batch: int,
        seed: int,
        rank: int = 0,
        first_batch: int = 0,
        fresh: FreshCases | None = None,
    ) -> None:
        self.cases, self.task, self.batch, self.fresh = cases, task, batch, fresh
        self.seed, self.rank, self.first_batch = seed, rank, first_batch

    def __iter__(self) -> Iterator[Sample]:
        """Samples, forever; a worker makes every n-th batch, as the loader collects them."""
        worker = get_worker_info()
        if worker:
            torch.set_num_threads(1)
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        chances = case_chances(self.cases)
        for batch in count(self.first_batch + number, workers):
            for index in range(batch * self.batch, (batch + 1) * self.batch):
                yield self._sample(chances, np.random.default_rng([self.seed, self.rank, index]))

    def _sample(self, chances: np.ndarray, rng: np.random.Generator) -> Sample:
        """One window of a fresh phantom, or of a random case, now and then with another case below it."""
        settings = self.task.windows
        if self.fresh and (phantom := self.fresh.drawn(rng)):
            return self.task.sample(draw_window(phantom, settings, rng), rng)
        stacked = rng.random() < settings.stack_probability
        case, *below = (self.cases[n] for n in rng.choice(len(self.cases), 1 + stacked, p=chances))
        return self.task.sample(draw_window(case, settings, rng, *below), rng)


class FixedWindows(Dataset[Sample]):
    """`number` windows of the cases in turn, the same in every run: placed with fixed seeds, otherwise untouched."""

    def __init__(self, cases: Sequence[Case], task: Task, number: int) -> None:
        self.cases, self.task, self.number = cases, task, number

    def __len__(self) -> int:
        """How many."""
        return self.number

    def window(self, n: int) -> Window:
        """The HU and the points of one."""
        return plain_window(self.cases[n % len(self.cases)], self.task.windows, np.random.default_rng(n))

    def __getitem__(self, n: int) -> Sample:
        """The tensors of one."""
        return self.task.sample(self.window(n), np.random.default_rng(n))


class WindowData(lightning.LightningDataModule):
    """Both, as Lightning wants them; the stream goes on where a resumed run had stopped."""

    def __init__(
        self,
        task: Task,
        cases: Sequence[Case],
        validation: Sequence[Case],
        run: RunSettings,
        fresh: FreshCases | None = None,
    ) -> None:
        super().__init__()
        self.task, self.cases, self.run, self.fresh = task, cases, run, fresh
        self.fixed = FixedWindows(validation, task, run.validate_windows if validation else 0)

    def train_dataloader(self) -> DataLoader[Sample]:
        """The random stream of this process."""
        rank, step = self.trainer.global_rank, self.trainer.global_step
        run = self.run
        return DataLoader(
            RandomWindows(self.cases, self.task, run.batch, run.seed, rank, first_batch=step, fresh=self.fresh),
            batch_size=run.batch,
            num_workers=run.workers,
            prefetch_factor=PREFETCHED_BATCHES if run.workers else None,
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        """The fixed windows; Lightning shares them out among the processes."""
        return DataLoader(self.fixed, batch_size=self.run.batch)


def case_chances(cases: Sequence[Case]) -> np.ndarray:
    """Probability of each case: its weight, times the mean rarity of its levels (1 / sqrt of the cases with it)."""
    shown = np.array([np.bincount(case.levels, minlength=len(Level)) for case in cases])
    weight_by_level = (shown * np.array([[case.weight] for case in cases])).sum(0)
    rarity = 1 / np.sqrt(np.maximum(weight_by_level, 1e-6))
    chances = [c.weight * (rarity[c.levels].mean() if len(c.levels) else np.median(rarity)) for c in cases]
    return np.array(chances) / np.sum(chances)


def plain_window(case: Case, settings: WindowSettings, rng: np.random.Generator) -> Window:
    """A window around a random vertebra (or anywhere in a case without one), neither deformed nor degraded."""
    if len(case.levels):
        jitter_mm = rng.uniform(-1, 1, 3) * settings.jitter_zyx_mm
        centre = case.points_zyx_mm[rng.integers(len(case.levels))] + jitter_mm - case.corner_zyx_mm
    else:
        centre = rng.uniform(0.2, 0.8, 3) * np.array(case.volume(settings.spacing_mm).shape) * settings.spacing_mm
    return window_at(case, settings, centre)


def window_at(
    case: Case, settings: WindowSettings, centre_zyx_mm: NDArray[np.float64], scan_ends: bool = False
) -> Window:
    """The window whose middle is within half a voxel of a place in mm from the case's corner; air outside the scan.

    scan_ends: the visible range ends with the scan, not with the window.
    """
    volume, spacing = case.volume(settings.spacing_mm), settings.spacing_mm
    start = np.round(centre_zyx_mm / spacing - np.array(settings.window_zyx) / 2).astype(np.int64)
    hu = crop(volume, start, settings.window_zyx, AIR_HU).astype(np.float32)
    corner = case.corner_zyx_mm + start * spacing
    points, beyond = case.points_zyx_mm - corner, case.beyond_zyx_mm - corner
    extent = settings.extent_zyx_mm
    low, high = 0.0, float(extent[0])
    if scan_ends:
        low, high = max(low, -float(start[0]) * spacing), min(high, float(volume.shape[0] - start[0]) * spacing)
    return Window(torch.from_numpy(hu), case.levels, points, beyond, (low, high), extent)
