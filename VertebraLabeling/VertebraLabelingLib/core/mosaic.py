"""Overlapping windows laid together to one volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_WEIGHT = 0.02


def taper(window_zyx: tuple[int, int, int]) -> NDArray[np.float32]:
    """(z, y, x) weight of a window's voxels: 1 in the middle, falling linearly to almost 0 at the borders.

    What a network says near the border of its window is the worst of what it says.
    """
    ramps = [np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / (n / 2) for n in window_zyx]
    z, y, x = (np.clip(2 * ramp, LEAST_WEIGHT, 1).astype(np.float32) for ramp in ramps)
    return z[:, None, None] * y[:, None] * x


class Mosaic:
    """Weighted mean of windows with `channels` values per voxel, on the box that all the windows span."""

    def __init__(self, starts_zyx: NDArray[np.int64], window_zyx: tuple[int, int, int], channels: int) -> None:
        """starts_zyx: (n, 3) of all windows to come, in voxels of this grid; they may be negative."""
        self.origin_zyx = starts_zyx.min(0)
        shape = starts_zyx.max(0) - self.origin_zyx + window_zyx
        self._window, self._weight = window_zyx, taper(window_zyx)
        self._sum = np.zeros((channels, *shape), np.float32)
        self._weights = np.zeros(shape, np.float32)

    def add(self, start_zyx: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Lay one window (channels, z, y, x) at its start."""
        place = tuple(slice(s, s + w) for s, w in zip(start_zyx - self.origin_zyx, self._window, strict=True))
        self._sum[(slice(None), *place)] += values * self._weight
        self._weights[place] += self._weight

    def mean(self) -> NDArray[np.float32]:
        """(channels, z, y, x); zero where no window was laid."""
        return (self._sum / np.maximum(self._weights, 1e-6)).astype(np.float32, copy=False)
