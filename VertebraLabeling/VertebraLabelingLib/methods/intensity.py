"""Hounsfield units as network input, with fixed statistics: padding with air must not change what tissue looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

HuRanges = tuple[tuple[float, float], ...]


@overload
def normalise(hu: NDArray[np.float32], hu_ranges: HuRanges, dimensions: int = 3) -> NDArray[np.float32]: ...
@overload
def normalise(hu: Tensor, hu_ranges: HuRanges, dimensions: int = 3) -> Tensor: ...
def normalise(hu: Any, hu_ranges: HuRanges, dimensions: int = 3) -> Any:
    """(..., z, y, x) HU -> (..., channels, z, y, x), each range mapped to -1..1 and clipped; arrays or tensors.

    dimensions: 2 for images of a plane, (..., y, x).
    """
    channels = [((hu - low) * (2 / (high - low)) - 1).clip(-1, 1) for low, high in hu_ranges]
    if isinstance(hu, np.ndarray):
        return np.stack(channels, axis=-1 - dimensions)
    import torch

    return torch.stack(channels, dim=-1 - dimensions)
