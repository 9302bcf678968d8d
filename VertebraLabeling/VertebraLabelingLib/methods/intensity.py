"""Hounsfield units as network input, with fixed statistics: padding with air must not change what tissue looks like."""

from __future__ import annotations

import torch
from torch import Tensor

HuRanges = tuple[tuple[float, float], ...]


def normalise(hu: Tensor, hu_ranges: HuRanges) -> Tensor:
    """(..., z, y, x) HU -> (..., channels, z, y, x), each range mapped to -1..1 and clipped."""
    channels = [((hu - low) * (2 / (high - low)) - 1).clamp(-1, 1) for low, high in hu_ranges]
    return torch.stack(channels, dim=-4)
