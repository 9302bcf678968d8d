"""From a weight file to what a method or a stage is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..engines.network import Network, load_network
from ..engines.weights import Weights, fitting
from .metadata import AnySettings

if TYPE_CHECKING:
    from torch import nn


def ready(
    weights: Weights,
    kind: type[AnySettings],
    build: Callable[[Mapping[str, Any]], nn.Module],
    device: str = "cpu",
    engine: str = "torch",
) -> tuple[Network, AnySettings]:
    """The network of a weight file, ready to run, and what it was trained for; ModelError when they do not fit.

    kind: of settings.  build, device, engine: as for `load_network`.
    """
    with fitting(weights):
        settings = kind.from_metadata(weights.metadata["network"])
    return load_network(weights, build, engine, device), settings
