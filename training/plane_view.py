"""The field of view in the plane: a circle that need not be in the middle, or a body that is cut off at one side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from VertebraLabelingLib.core.prepare import AIR_HU

RADIUS_MM = (40.0, 110.0)
OFF_CENTRE = 0.6
"""Of the radius: so far may the circle be from the middle of the window, near which the column is."""
SIDE_MM = (15.0, 60.0)
"""Distance of a straight edge from the middle of the window."""
SIDE_PROBABILITY = 0.3


@dataclass(frozen=True)
class PlaneView:
    """What is seen in the plane: inside a circle and on one side of a straight line, both in window mm (y, x).

    normal_yx: of unit length, from the line to the outside.  side_mm: distance of the line from the circle's centre
    along it; infinite where nothing is cut off.
    """

    centre_yx_mm: NDArray[np.float64]
    radius_mm: float
    normal_yx: NDArray[np.float64]
    side_mm: float = np.inf

    def depth_mm(self, points_yx_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) how far each point (n, 2) is inside, negative outside."""
        offset = points_yx_mm - self.centre_yx_mm
        return np.minimum(self.radius_mm - np.linalg.norm(offset, axis=1), self.side_mm - offset @ self.normal_yx)

    def shown(self, hu: Tensor, spacing_mm: float) -> Tensor:
        """The window (z, y, x) with air outside."""
        y, x = hu.shape[1:]
        voxels = np.stack(np.meshgrid(np.arange(y), np.arange(x), indexing="ij"), axis=-1).reshape(-1, 2)
        outside = self.depth_mm((voxels + 0.5) * spacing_mm).reshape(y, x) <= 0
        return hu.masked_fill(torch.from_numpy(outside), AIR_HU)


def draw_plane_view(extent_yx_mm: NDArray[np.float64], rng: np.random.Generator) -> PlaneView:
    """A random one whose circle holds the middle of a window of that size."""
    radius = float(rng.uniform(*RADIUS_MM))
    away, towards = rng.uniform(0, 2 * np.pi, 2)
    shift = OFF_CENTRE * radius * np.sqrt(rng.random()) * np.array([np.sin(away), np.cos(away)])
    normal = np.array([np.sin(towards), np.cos(towards)])
    # the line is placed from the window's middle, not from the circle's, or it could hide the column
    side = float(rng.uniform(*SIDE_MM) - shift @ normal) if rng.random() < SIDE_PROBABILITY else np.inf
    return PlaneView(extent_yx_mm / 2 + shift, radius, normal, side)
