"""The training loop: Lightning around a task, the same for every network."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, Timer, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.profilers import Profiler
from torch import Tensor, nn
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.engines.device import tune_cpu
from VertebraLabelingLib.engines.weights import load_weights

from .callbacks import SaveAtTheEnd, ValidationPictures, progress_bar
from .cases import Case
from .data import WindowData
from .fresh_phantoms import FRESH_FOLDER, FreshCases, PhantomMaker, stored_poses
from .schedule import WATCHED, make_optimiser, make_schedule
from .settings import RunSettings
from .tasks import Sample, Task

LAST_CHECKPOINT = "last.ckpt"
NETWORK, ENCODER = "network.", "encoder."
"""What the names of the weights of a network begin with in a checkpoint, and those of its encoder in the network."""
WEIGHTS_SUFFIX = ".npz"


class Training(lightning.LightningModule):
    """A task as Lightning wants it.  timer: tells how much of the run's time is over, also after a restart."""

    def __init__(self, task: Task, run: RunSettings, timer: Timer) -> None:
        super().__init__()
        self.task, self.run, self.timer = task, run, timer
        self.network: nn.Module = task.build_network()

    def on_train_batch_start(self, batch: Sample, index: int) -> None:
        """The losses draw random numbers: the same after a restart, others in each process."""
        seeds = np.random.SeedSequence([self.run.seed, self.global_rank, self.global_step])
        torch.manual_seed(int(seeds.generate_state(1)[0]))

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Losses of one batch, logged by name."""
        losses = self.task.loss(self.network, batch)
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, prog_bar=True)
        return losses["loss"]

    def validation_step(self, batch: Sample, index: int) -> None:
        """Losses of one batch of the fixed windows, their mean over all logged by name."""
        torch.manual_seed(index)
        for name, value in self.task.loss(self.network, batch).items():
            self.log(f"val/{name}", value, batch_size=len(batch["image"]), sync_dist=True, prog_bar=name == "loss")

    def configure_optimizers(self) -> dict[str, Any]:
        """What `schedule` says."""
        optimiser = make_optimiser(self.network.parameters(), self.run)
        return {"optimizer": optimiser, "lr_scheduler": make_schedule(optimiser, self.run, self._done)}

    def _done(self, step: int) -> float:
        """Share of the run that is over, the same in every process: their weights must not drift apart."""
        time = self.timer.time_elapsed() / (60 * self.run.minutes)
        return self.trainer.strategy.broadcast(min(1.0, max(step / self.run.steps, time)))


def train(
    task: Task,
    cases: Sequence[Case],
    run: RunSettings,
    folder: Path,
    start: Path | None = None,
    *,
    start_encoder: Path | None = None,
    validation: Sequence[Case] = (),
    resume: bool = False,
    profiler: Profiler | None = None,
) -> Path:
    """Train and return the last checkpoint, `folder`/last.ckpt, which is also written every few minutes.

    start: initial weights (a checkpoint or weight file of the same network).  start_encoder: those of the encoder
    alone, from a checkpoint of any network with the same encoder.  resume: go on from the last checkpoint instead,
    with its optimiser, averaged weights, step count and time already used.  validation: cases of which a few fixed
    windows are watched, never learnt from.  UsageError when there is nothing to learn from, to watch or to resume, or
    when what is to be resumed holds objects that would run code.
    """
    last = folder / LAST_CHECKPOINT
    _check(cases, validation, run, last if resume else None)
    lightning.seed_everything(run.seed, verbose=False)
    torch.set_num_threads(run.threads)
    tune_cpu()
    timer = Timer(timedelta(minutes=run.minutes))
    module = Training(task, run, timer)
    if start is not None:
        load_averaged(module.network, start)
    if start_encoder is not None:
        load_encoder(module.network, start_encoder)
    trainer = _make_trainer(run, folder, timer, bool(validation), profiler)
    fresh = FreshCases(folder / FRESH_FOLDER, run.fresh_phantoms) if run.fresh_phantoms else None
    if fresh:
        trainer.callbacks.append(PhantomMaker(fresh.folder, stored_poses(cases[0].folder)))
    data = WindowData(task, cases, validation, run, fresh)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=last if resume else None, weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(f"'{last}' holds more than numbers, so it is not a checkpoint of `train`.") from error
    return last


def _check(cases: Sequence[Case], validation: Sequence[Case], run: RunSettings, last: Path | None) -> None:
    if not cases:
        raise UsageError("There is no case to learn from; fill the cache with `python -m training prepare` first.")
    if run.schedule == "plateau" and not validation:
        raise UsageError(f"The plateau schedule watches {WATCHED}, but no case of split val is in the cache.")
    if last is not None and not last.exists():
        raise UsageError(f"{last} does not exist, so there is no run to resume; leave --resume out.")


def _make_trainer(
    run: RunSettings, folder: Path, timer: Timer, validated: bool, profiler: Profiler | None
) -> lightning.Trainer:
    devices, nodes = processes_and_nodes(run)
    return lightning.Trainer(
        # not "auto": Apple's MPS lacks 3-D operations that the networks need
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision=run.precision,
        max_steps=run.steps,
        gradient_clip_val=run.clip,
        val_check_interval=run.validate_every if validated else None,
        limit_val_batches=1.0 if validated else 0,
        num_sanity_val_steps=0,
        callbacks=[
            timer,
            SaveAtTheEnd(folder / LAST_CHECKPOINT),
            WeightAveraging(avg_fn=partial(moving_average, decay=run.ema)),
            ModelCheckpoint(
                folder,
                filename=Path(LAST_CHECKPOINT).stem,
                train_time_interval=timedelta(minutes=run.checkpoint_minutes),
                enable_version_counter=False,
            ),
            LearningRateMonitor(),
            ValidationPictures(),
            progress_bar(),
        ],
        logger=TensorBoardLogger(folder, name="", version=""),
        log_every_n_steps=20,
        enable_model_summary=False,
        profiler=profiler,
        default_root_dir=folder,
    )


def processes_and_nodes(run: RunSettings) -> tuple[int, int]:
    """Processes on each node, and nodes: those torchrun or SLURM have started, otherwise those of the settings."""
    if TorchElasticEnvironment.detect():
        on_node = int(os.environ["LOCAL_WORLD_SIZE"])
        return on_node, int(os.environ["WORLD_SIZE"]) // on_node
    if SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // nodes, nodes
    return run.processes, 1


def moving_average(average: Tensor, current: Tensor, updates: Tensor | int, decay: float) -> Tensor:
    """Exponential moving average whose memory grows with the run, so that it soon forgets the random start."""
    return torch.lerp(current, average, min(decay, float(updates) / (float(updates) + 10)))


def load_averaged(network: nn.Module, *checkpoints: Path) -> None:
    """Give a network the mean weights of checkpoints; UsageError when they are those of another one."""
    try:
        network.load_state_dict(averaged_weights(*checkpoints))
    except RuntimeError as error:
        names = ", ".join(f"'{path}'" for path in checkpoints)
        raise UsageError(f"{names}: the network of this configuration is another one.") from error


def load_encoder(network: nn.Module, checkpoint: Path) -> None:
    """Give the encoder of a network the weights of that in a checkpoint; UsageError when either has no such one."""
    weights = averaged_weights(checkpoint)
    encoder = {name.removeprefix(ENCODER): value for name, value in weights.items() if name.startswith(ENCODER)}
    try:
        network.get_submodule(ENCODER.rstrip(".")).load_state_dict(encoder)
    except (AttributeError, RuntimeError) as error:
        raise UsageError(f"'{checkpoint}': the encoder of this configuration is another one.") from error


def averaged_weights(*checkpoints: Path) -> dict[str, Tensor]:
    """State dict of the network, the mean over the checkpoints; weight files (*.npz) do as well.

    Lightning stores the moving average as the `state_dict` of a checkpoint; that is what is read.
    UsageError when a file is missing or no checkpoint, ModelError of a weight file.
    """
    states = [_state(path) for path in checkpoints]
    names = [name for name in states[0] if name.startswith(NETWORK)]
    return {name.removeprefix(NETWORK): torch.stack([s[name] for s in states]).mean(0) for name in names}


def _state(path: Path) -> dict[str, Tensor]:
    if path.suffix == WEIGHTS_SUFFIX:
        return {f"{NETWORK}{name}": torch.from_numpy(array) for name, array in load_weights(path).arrays.items()}
    try:
        return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except OSError as error:
        raise UsageError(f"The checkpoint '{path}' cannot be read ({error.strerror}); check the path.") from error
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UsageError(f"'{path}' is not a checkpoint of `train`; choose another file.") from error
