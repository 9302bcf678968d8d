"""Pedicle screws and rods with their streaks, drawn into a window of HU at its vertebrae."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

METAL_HU = 3071.0
STREAK_REACH_MM = 35.0


def with_implants(hu: Tensor, points_mm: NDArray[np.float64], spacing_mm: float, rng: np.random.Generator) -> Tensor:
    """HU (z, y, x) after a fusion of 2 to 4 neighbours among the body centres (n, 3) z, y, x in mm, cranial first.

    Screws run from behind each pedicle into the body, rods join them; metal saturates and throws dark and bright rays
    into its slices, as beam hardening and photon starvation do.  Unchanged where fewer than two bodies are in view.
    """
    inside = points_mm[((points_mm > 0) & (points_mm < np.array(hu.shape) * spacing_mm)).all(1)]
    if len(inside) < 2:
        return hu
    count = int(min(len(inside), rng.integers(2, 5)))
    first = int(rng.integers(len(inside) - count + 1))
    bodies = inside[first : first + count]
    radius, half_width, depth = rng.uniform(2.2, 3.4), rng.uniform(11, 15), rng.uniform(32, 42)
    metal = torch.zeros(hu.shape, dtype=torch.bool)
    for side in (-1, 1):
        tips = bodies + [0, -4.0, side * 4.0]
        heads = bodies + [0, depth, side * half_width]
        for start, end in (*zip(tips, heads, strict=True), *pairwise(heads)):
            _draw_rod(metal, start, end, radius, spacing_mm)
    streaked = hu + _streaks(metal, bodies, spacing_mm, rng)
    return torch.where(metal, torch.tensor(METAL_HU), streaked).clamp(-1024, METAL_HU)


def _draw_rod(
    mask: Tensor, start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], radius_mm: float, spacing_mm: float
) -> None:
    """Set the voxels within `radius_mm` of a segment."""
    reach = radius_mm + spacing_mm
    corners = np.stack([np.minimum(start_mm, end_mm) - reach, np.maximum(start_mm, end_mm) + reach]) / spacing_mm
    low, high = np.clip(corners, 0, mask.shape).astype(int)
    axes = [(np.arange(a, b) + 0.5) * spacing_mm for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    along = end_mm - start_mm
    share = np.clip((grid - start_mm) @ along / (along @ along), 0, 1)
    near = np.linalg.norm(grid - start_mm - share[..., None] * along, axis=-1) < radius_mm
    z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
    mask[z, y, x] |= torch.from_numpy(near)


def _streaks(metal: Tensor, bodies_mm: NDArray[np.float64], spacing_mm: float, rng: np.random.Generator) -> Tensor:
    """(z, y, x) HU: rays around the implant, only in slices with metal."""
    _, y, x = ((torch.arange(n) + 0.5) * spacing_mm for n in metal.shape)
    centre = bodies_mm.mean(0)
    dy, dx = y[:, None] - (centre[1] + 15), x - centre[2]
    distance, angle = torch.hypot(dy, dx), torch.atan2(dy, dx)
    rays = torch.cos(angle * int(rng.integers(3, 9)) + rng.uniform(0, 6)) + torch.cos(angle * int(rng.integers(9, 20)))
    plane = rays * torch.exp(-distance / STREAK_REACH_MM) * float(rng.uniform(60, 250))
    return metal.any(2).any(1).float()[:, None, None] * plane
