"""Finding and naming apart: the default method."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...engines.weights import Weights
    from .method import Sites


def load(weights: Weights, corridor: Weights, device: str, config: str = "default") -> Sites:
    """The method from its weight files; see `method.load`."""
    from .method import load as load_method

    return load_method(weights, corridor, device, config)
