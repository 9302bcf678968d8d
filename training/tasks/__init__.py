"""What is particular to each network: its windows, its targets, its losses.  The loop knows none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn
from VertebraLabelingLib.core.errors import UsageError

from ..sampling import Window, WindowSettings

Sample = dict[str, Tensor]


class Task(Protocol):
    """One network to train.  `model_id` names its weight file."""

    model_id: str
    windows: WindowSettings

    def build_network(self) -> nn.Module:
        """The network with random weights."""
        ...

    def metadata(self) -> dict[str, Any]:
        """Plain values that inference needs besides the weights."""
        ...

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """Tensors of one window, all of fixed shape, ready to be stacked."""
        ...

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """Named losses of a batch; "loss" is the one to minimise."""
        ...


def make_task(name: str, network: dict[str, Any], windows: dict[str, Any]) -> Task:
    """The task of that name with the `[network]` and `[windows]` tables of its configuration.

    UsageError for a setting that it does not have.
    """
    from .corridor import CorridorTask
    from .global_to_local import GlobalToLocalTask
    from .integral_regression import IntegralRegressionTask
    from .multi_view import MultiViewPretrainingTask, MultiViewTask
    from .refinement import RefinementTask
    from .sites import SitesTask

    tasks: dict[str, Callable[[dict[str, Any], dict[str, Any]], Task]] = {
        "sites": SitesTask,
        "corridor": CorridorTask,
        "integral-regression": IntegralRegressionTask,
        "global-to-local": GlobalToLocalTask,
        "refinement": RefinementTask,
        "multi-view": MultiViewTask,
        "multi-view-pretraining": MultiViewPretrainingTask,
    }
    try:
        return tasks[name](network, windows)
    except (TypeError, ValueError) as error:
        raise UsageError(f"[network] or [windows] do not fit the task '{name}': {error}.") from error
