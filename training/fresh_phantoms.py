"""Phantoms that nobody has seen before, made while a network trains."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from VertebraLabelingLib.core.anatomy import Level

from .cases import Case, cache_phantom, drop_case, read_case
from .phantom import phantom_stream
from .phantom.poses import Pose, pose_of
from .repose import read_poses
from .seeds import STREAM_SEED

FRESH_FOLDER = "fresh"
KEPT = 16
"""The newest phantoms stay in the folder; only the newer half of them is drawn, so that none is removed meanwhile."""
SEEDS_A_PROCESS = 10_000_000
DEVICE_BATCH = 8
"""So many are painted together on an accelerator, in about 2 GB of its memory; on the CPU they gain nothing by it."""


@dataclass(frozen=True)
class FreshCases:
    """The phantoms made last.  share: of the windows that show one."""

    folder: Path
    share: float

    def drawn(self, rng: np.random.Generator) -> Case | None:
        """One of the newest, or None: as often as the share says, and while there is none yet."""
        if rng.random() >= self.share:
            return None
        newest = [file for folder in self.folder.glob("*") for file in sorted(folder.glob("[!.]*.json"))[-KEPT // 2 :]]
        return read_case(newest[int(rng.integers(len(newest)))]) if newest else None


class PhantomMaker(Callback):
    """Makes phantoms without end in a thread, in batches on the device that trains, as long as the training lasts.

    poses: real columns that they follow, where there are any.  Every process makes its own, of seeds that go on where a
    resumed run had stopped.
    """

    def __init__(self, folder: Path, poses: Sequence[Pose] = ()) -> None:
        self._folder, self._poses = folder, poses
        self._stopped, self._thread = Event(), Thread()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin with an empty folder."""
        rank = trainer.global_rank
        folder = self._folder / str(rank)
        shutil.rmtree(folder, ignore_errors=True)
        first_seed = STREAM_SEED + rank * SEEDS_A_PROCESS + trainer.global_step
        device = None if pl_module.device.type == "cpu" else str(pl_module.device)
        self._stopped.clear()
        self._thread = Thread(target=self._make, args=(folder, first_seed, device), daemon=True)
        self._thread.start()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Finish the ones that are being made."""
        self._stop()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """The same."""
        self._stop()

    def _make(self, folder: Path, first_seed: int, device: str | None) -> None:
        batch = 1 if device is None else DEVICE_BATCH
        for number, phantom in enumerate(phantom_stream(first_seed, self._poses or None, device, batch)):
            cache_phantom(folder, _name(number), phantom)
            if number >= KEPT:
                drop_case(folder, _name(number - KEPT))
            if self._stopped.is_set():
                return

    def _stop(self) -> None:
        self._stopped.set()
        self._thread.join()


def stored_poses(cache: Path) -> tuple[Pose, ...]:
    """The real columns that `prepare` has stored in a cache; empty when there are none."""
    columns = [(points, np.flatnonzero(np.isfinite(points).all(1))) for points in read_poses(cache)]
    poses = (pose_of([Level(level) for level in known], points[known, ::-1]) for points, known in columns)
    return tuple(pose for pose in poses if pose)


def _name(number: int) -> str:
    return f"fresh-{number:07}"
