"""Optimiser and learning rate: warm-up and cosine over the run, or the paper's rate that falls on a plateau."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import cos, pi
from typing import Any

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from .settings import RunSettings

LEAST_FACTOR = 1e-3
WATCHED = "val/loss"


def make_optimiser(parameters: Iterable[nn.Parameter], run: RunSettings) -> Optimizer:
    """AdamW, or Adam as in the paper."""
    kind = {"adamw": AdamW, "adam": Adam}[run.optimiser]
    return kind(parameters, run.rate, weight_decay=run.weight_decay)


def make_schedule(optimiser: Optimizer, run: RunSettings, done: Callable[[int], float]) -> dict[str, Any]:
    """What Lightning wants to know of the rate.  done: from the step count to the share of the run that is over.

    A plateau counts validations: its frequency is the same number of steps as theirs.
    """
    if run.schedule == "plateau":
        plateau = ReduceLROnPlateau(optimiser, factor=run.plateau_factor, patience=run.plateau_patience)
        return {"scheduler": plateau, "monitor": WATCHED, "interval": "step", "frequency": run.validate_every}
    scheduler = LambdaLR(optimiser, lambda step: cosine_factor(done(step), run.warm_up))
    return {"scheduler": scheduler, "interval": "step"}


def cosine_factor(done: float, warm_up: float) -> float:
    """Share of the full rate after the share `done` of the run: a rise over the share `warm_up`, then the cosine."""
    return max(LEAST_FACTOR, min(done / warm_up, 0.5 * (1 + cos(pi * done))))
