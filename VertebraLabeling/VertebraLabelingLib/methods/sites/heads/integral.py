"""Integral regression per site: the expectation over the neighbourhood of a candidate, differentiable.

Grids are cell-centred: voxel n of a grid with spacing s has its centre at (n + 0.5) s mm from the window's corner.
"""

from __future__ import annotations

import torch
from torch import Tensor


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


def neighbourhood(radius_mm: float, spacing_mm: float) -> Tensor:
    """(k, 3) voxel offsets (z, y, x) of the ball of `radius_mm`."""
    n = int(radius_mm / spacing_mm)
    axis = torch.arange(-n, n + 1)
    offsets = torch.cartesian_prod(axis, axis, axis)
    return offsets[offsets.square().sum(1) <= (radius_mm / spacing_mm) ** 2]
