"""Which level is it: dense logits from a wide context, read at the sites."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...trunk import Residual, convolution


class LevelHead(nn.Sequential):
    """Features (B, width, z, y, x) -> level logits (B, levels, z, y, x) in single precision."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__(Residual(width, 2 * width), convolution(2 * width, levels, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Logits at every place; they mean something near a vertebra."""
        return super().forward(features).float()


def read_at(maps: Tensor, positions_mm: Tensor, extent_zyx_mm: Tensor) -> Tensor:
    """Maps (C, z, y, x) read trilinearly at positions (n, 3) in mm from the window's corner: (n, C)."""
    grid = (2 * positions_mm / extent_zyx_mm - 1).flip(-1)[None, None, None]
    return F.grid_sample(maps[None], grid.to(maps.dtype), align_corners=False, padding_mode="border")[0, :, 0, 0].T
