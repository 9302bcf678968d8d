"""What scanners, protocols and patients do to a CT, at random, on one window of HU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from VertebraLabelingLib.core.prepare import AIR_HU

Degradation = Callable[[Tensor, np.random.Generator], Tensor]
GAMMA_RANGE_HU = (-200.0, 1500.0)


def degraded(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """(z, y, x) HU after a random few of the degradations, in the order in which a scanner causes them."""
    for probability, degradation in _CHAIN:
        if rng.random() < probability:
            hu = degradation(hu, rng)
    return hu.clamp(-1024, 3071)


def thick_slices(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Slices of 2 to 4 voxels, interpolated back."""
    k = int(rng.integers(2, 5))
    pooled = F.avg_pool3d(hu[None, None], (k, 1, 1), ceil_mode=True, count_include_pad=False)
    return F.interpolate(pooled, size=hu.shape, mode="trilinear", align_corners=False)[0, 0]


def coarse_pixels(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """In-plane pixels of twice the size, interpolated back."""
    pooled = F.avg_pool3d(hu[None, None], (1, 2, 2), ceil_mode=True, count_include_pad=False)
    return F.interpolate(pooled, size=hu.shape, mode="trilinear", align_corners=False)[0, 0]


def soft_kernel(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """A smoothing kernel of 3 voxels, mixed in."""
    smooth = F.avg_pool3d(hu[None, None], 3, stride=1, padding=1, count_include_pad=False)[0, 0]
    return torch.lerp(hu, smooth, float(rng.uniform(0.4, 1.0)))


def noise(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Correlated noise with a standard deviation of 5 to 60 HU."""
    seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
    grain = torch.randn(hu.shape, generator=seed)
    if rng.random() < 0.5:
        grain = F.avg_pool3d(grain[None, None], 3, stride=1, padding=1)[0, 0]
        grain = grain / grain.std()
    return hu + grain * float(rng.uniform(5, 60))


def miscalibrated(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Another gain of tissue and bone, another offset: scanner, kV, osteoporosis, contrast phase."""
    gain, offset = float(rng.uniform(0.8, 1.2)), float(rng.normal(0, 20))
    return torch.where(hu > -200, hu * gain + offset, hu)


def gamma(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Another curve between fat and dense bone, whose ends stay: contrast of soft tissue against spongiosa."""
    low, high = GAMMA_RANGE_HU
    share = ((hu - low) / (high - low)).clamp(0, 1)
    curved = low + (high - low) * share ** float(np.exp(rng.uniform(-0.2, 0.2)))
    return torch.where((hu > low) & (hu < high), curved, hu)


def contrast_vessel(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """A bright vessel, aneurysm or bowel loop: soft tissue of 100 to 400 HU inside a tilted, bent tube."""
    z, y, x = (torch.linspace(-1, 1, n) * n / 2 for n in hu.shape)
    half = torch.tensor(hu.shape) / 2
    (cy, cx), (ty, tx) = rng.uniform(-0.6, 0.6, 2) * half[1:].numpy(), rng.normal(0, 0.25, 2)
    # in front of the column more often than behind it: y grows to posterior
    cy = -abs(cy) if rng.random() < 0.85 else cy
    bend = 6 * torch.sin(z / 20 + float(rng.uniform(0, 6)))
    radius = float(rng.uniform(4, 14))
    distance = (y[:, None] - cy - (ty * z)[:, None, None]) ** 2 + (x - cx - (tx * z + bend)[:, None, None]) ** 2
    middle, length = float(rng.uniform(-0.7, 0.7)) * half[0], float(rng.uniform(0.2, 1.2)) * half[0]
    within = (distance < radius**2) & ((z - middle).abs() < length)[:, None, None]
    return torch.where(within & (hu > -60) & (hu < 130), hu + float(rng.uniform(100, 400)), hu)


def masked(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Air outside a tube around the window's axis, as in planning CT that was masked to its dose region."""
    _, y, x = (torch.linspace(-1, 1, n) * n for n in hu.shape)
    ry, rx = rng.uniform(20, 60, 2)
    cy, cx = rng.normal(0, 6, 2)
    outside = ((y - cy) / ry)[:, None].square() + ((x - cx) / rx).square() > 1
    return hu.masked_fill(outside, AIR_HU)


_CHAIN: tuple[tuple[float, Degradation], ...] = (
    (0.30, contrast_vessel),
    (0.60, miscalibrated),
    (0.30, gamma),
    (0.25, coarse_pixels),
    (0.35, thick_slices),
    (0.25, soft_kernel),
    (0.60, noise),
    (0.12, masked),
)
