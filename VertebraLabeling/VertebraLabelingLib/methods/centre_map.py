"""Maps that are high at centres: their targets and their loss, for every network that learns one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def centre_targets(positions_mm: Tensor, sigmas_mm: Tensor, shape_zyx: tuple[int, ...], spacing_mm: float) -> Tensor:
    """(z, y, x) map in 0..1: the highest of the Gaussians at positions (n, 3) mm; sigma follows vertebra size."""
    target = torch.zeros(shape_zyx)
    axes = [(torch.arange(n) + 0.5) * spacing_mm for n in shape_zyx]
    for position, sigma in zip(positions_mm, sigmas_mm, strict=True):
        z, y, x = (torch.exp((axis - p).square() / (-2 * sigma**2)) for axis, p in zip(axes, position, strict=True))
        target = torch.maximum(target, z[:, None, None] * y[:, None] * x)
    return target


def centre_loss(logits: Tensor, target: Tensor, weight: Tensor, sites: int) -> Tensor:
    """Focal cross-entropy for soft targets, |t - p|^2 BCE (Li et al., Generalized Focal Loss, eq. 3), per site."""
    focus = (target - logits.sigmoid()).square()
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (focus * loss * weight).sum() / max(1, sites)
