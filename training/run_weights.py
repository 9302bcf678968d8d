"""What a run of training ends with, as a weight file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from VertebraLabelingLib.engines.weights import Weights, load_weights, save_weights

from .loop import load_averaged
from .settings import Configuration
from .tasks import make_task


def weights_of_run(configuration: Configuration, checkpoints: Sequence[Path], file: Path) -> Weights:
    """The mean of checkpoints, weight by weight, written to a file as fp16.

    configuration: what they were trained with.
    """
    task = make_task(configuration.task, configuration.network, configuration.windows)
    network = task.build_network()
    load_averaged(network, *checkpoints)
    save_weights(file, network.state_dict(), {"model": task.model_id, "network": task.metadata()})
    return load_weights(file)
