"""Finding and naming apart, on the residual trunk of Qin et al.

One centre map for all levels, integral regression in the neighbourhood of each candidate (a *site*), and level logits
that are read at the sites from a wide context.

Grids are cell-centred: voxel n of a grid with spacing s has its centre at (n + 0.5) s mm from the window's corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..trunk import Decoder, Encoder, Residual, convolution, normalised
from .settings import SitesSettings


@dataclass(frozen=True)
class SitesOutput:
    """Of one batch of windows.

    centre: (B, z/2, y/2, x/2) logits, high at body centres.  integral: same shape, the logits of the site expectation.
    levels: (B, levels, z/4, y/4, x/4) logits.
    """

    centre: Tensor
    integral: Tensor
    levels: Tensor


class SitesNet(nn.Module):
    """(B, channels, z, y, x) normalised HU -> `SitesOutput`; window sizes are multiples of 16 voxels."""

    def __init__(self, settings: SitesSettings) -> None:
        super().__init__()
        a, b, _, _ = settings.widths
        self.settings = settings
        self.encoder = Encoder(len(settings.hu_ranges), settings.widths, stem_stride=2)
        self.decoder = Decoder(settings.widths)
        self.centre_head = nn.Sequential(normalised(convolution(a, a // 2, 3), a // 2), convolution(a // 2, 2, 1))
        self.level_head = nn.Sequential(Residual(b, 2 * b), convolution(2 * b, settings.levels, 1))
        # rare positives: start near the background, or the first steps only unlearn a grey map
        nn.init.constant_(self.centre_head[-1].bias, -3.0)

    def forward(self, image: Tensor) -> SitesOutput:
        """Dense logits of each window."""
        _, half, full = self.decoder(self.encoder(image))
        centre, integral = self.centre_head(full).float().unbind(1)
        return SitesOutput(centre, integral, self.level_head(half).float())


def neighbourhood(radius_mm: float, spacing_mm: float) -> Tensor:
    """(k, 3) voxel offsets (z, y, x) of the ball of `radius_mm`."""
    n = int(radius_mm / spacing_mm)
    axis = torch.arange(-n, n + 1)
    offsets = torch.cartesian_prod(axis, axis, axis)
    return offsets[offsets.square().sum(1) <= (radius_mm / spacing_mm) ** 2]


def integral_regression(logits: Tensor, seeds_voxel: Tensor, radius_mm: float, spacing_mm: float) -> Tensor:
    """Refined positions of candidates: softmax and expectation over the ball around each seed.

    The integral regression of Qin et al., eq. (2)-(3), with the window replaced by a neighbourhood, so that background
    far away cannot pull the expectation.  logits: (z, y, x).  seeds_voxel: (n, 3) whole voxel indices.
    Returns (n, 3) positions in mm from the window's corner.  Differentiable in the logits.
    """
    offsets = neighbourhood(radius_mm, spacing_mm).to(logits.device)
    voxels = seeds_voxel[:, None, :] + offsets
    size = torch.tensor(logits.shape, device=logits.device)
    inside = ((voxels >= 0) & (voxels < size)).all(-1)
    z, y, x = voxels.clamp(min=0).minimum(size - 1).unbind(-1)
    weights = logits[z, y, x].float().masked_fill(~inside, float("-inf")).softmax(-1)
    return (weights[..., None] * (voxels + 0.5)).sum(1) * spacing_mm


def read_at(maps: Tensor, positions_mm: Tensor, extent_zyx_mm: Tensor) -> Tensor:
    """Maps (C, z, y, x) read trilinearly at positions (n, 3) in mm from the window's corner: (n, C)."""
    grid = (2 * positions_mm / extent_zyx_mm - 1).flip(-1)[None, None, None]
    return F.grid_sample(maps[None], grid.to(maps.dtype), align_corners=False, padding_mode="border")[0, :, 0, 0].T
