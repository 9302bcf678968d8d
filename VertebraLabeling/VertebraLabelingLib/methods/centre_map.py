"""Maps that are high at centres: their targets and their loss, for every network that learns one."""

from __future__ import annotations

from functools import reduce
from math import exp

import torch
import torch.nn.functional as F
from torch import Tensor

UNKNOWN_BELOW = 0.1
"""Where a target is at least as high, a known centre is nearer than one that may be."""


def centre_targets(positions_mm: Tensor, sigmas_mm: Tensor, shape: tuple[int, ...], spacing_mm: float) -> Tensor:
    """Map of `shape`, (z, y, x) or any other axes, in 0..1: the highest of the Gaussians at positions (n, axes).

    Positions in mm from the corner of the map, along the same axes; sigma follows vertebra size.
    """
    target = torch.zeros(shape)
    axes = [(torch.arange(n) + 0.5) * spacing_mm for n in shape]
    for position, sigma in zip(positions_mm, sigmas_mm, strict=True):
        falls = (torch.exp((axis - p).square() / (-2 * sigma**2)) for axis, p in zip(axes, position, strict=True))
        target = torch.maximum(target, reduce(lambda outer, fall: outer[..., None] * fall, falls))
    return target


def centre_weight(target: Tensor, ignored_mm: Tensor, radius_mm: float, spacing_mm: float) -> Tensor:
    """Weight of each place of a target: 0 within a radius of positions (n, axes) that may be centres, otherwise 1.

    A known centre counts wherever it is.
    """
    radii = torch.full((len(ignored_mm),), radius_mm)
    near = centre_targets(ignored_mm, radii, tuple(target.shape), spacing_mm) > exp(-0.5)
    return (~(near & (target < UNKNOWN_BELOW))).float()


def centre_loss(logits: Tensor, target: Tensor, weight: Tensor, sites: int) -> Tensor:
    """Focal cross-entropy for soft targets, |t - p|^2 BCE (Li et al., Generalized Focal Loss, eq. 3), per site."""
    focus = (target - logits.sigmoid()).square()
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (focus * loss * weight).sum() / max(1, sites)
