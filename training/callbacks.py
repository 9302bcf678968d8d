"""What happens beside the steps: the progress bar, the last checkpoint, pictures of the validation."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar, Timer, TQDMProgressBar

from .data import FixedWindows, WindowData

PICTURES = 2
PLAIN_REFRESH_STEPS = 50


class SaveAtTheEnd(Callback):
    """The last checkpoint, before `WeightAveraging` gives up the weights that a resumed run needs; stands before it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write it (only the first process does)."""
        trainer.save_checkpoint(self.file)


class ValidationPictures(Callback):
    """The first few fixed windows with their true and found points, for TensorBoard."""

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Once a validation, while the averaged weights are in place."""
        from .pictures import READERS

        data: WindowData = trainer.datamodule
        if batch_idx == 0 and trainer.is_global_zero and data.task.model_id in READERS:
            for n in range(min(PICTURES, len(data.fixed))):
                self._add(trainer, pl_module, data.fixed, n)

    def _add(self, trainer: lightning.Trainer, module: lightning.LightningModule, fixed: FixedWindows, n: int) -> None:
        from .pictures import READERS, draw_window_picture

        image = fixed[n]["image"][None].to(module.device)
        found = READERS[fixed.task.model_id](module.network(image), fixed.task)
        figure = draw_window_picture(fixed.window(n), found, fixed.task.windows.spacing_mm)
        trainer.logger.experiment.add_figure(f"val/window {n}", figure, trainer.global_step)


class _TimeLeft(ProgressBar):
    """Losses and how much of the run's time is left; a stream without end has no number of steps to count down."""

    def get_metrics(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> dict[str, Any]:
        """Values at the end of the bar."""
        items = super().get_metrics(trainer, pl_module)
        timer = next(callback for callback in trainer.callbacks if isinstance(callback, Timer))
        left = timedelta(seconds=round(max(0.0, timer.time_remaining() or 0.0)))
        return {**items, "left": str(left)}


class _RichBar(_TimeLeft, RichProgressBar):
    """In a terminal."""


class _PlainBar(_TimeLeft, TQDMProgressBar):
    """In a log file, a line now and then; rich would be silent there."""


def progress_bar() -> ProgressBar:
    """The bar that suits where the output goes."""
    return _RichBar() if sys.stdout.isatty() else _PlainBar(refresh_rate=PLAIN_REFRESH_STEPS)
