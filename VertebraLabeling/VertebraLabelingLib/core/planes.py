"""Bent planes through a scan as images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scan import Scan

Array = NDArray[np.float64]
Image = NDArray[np.float32]

PIXEL_MM = 1.0
SLAB_OFFSETS_MM = (-3.0, 0.0, 3.0)
OUTSIDE_HU = -1024.0


@dataclass(frozen=True)
class View:
    """A curved plane: pixels (rows downwards, columns) and the millimetres of its outer borders.

    extent_mm: left, right, bottom, top; the columns are y (sagittal) or x (coronal), the rows z.
    """

    pixels: Image
    extent_mm: tuple[float, float, float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        left, right, bottom, top = self.extent_mm
        return top - bottom, right - left


def view_of(scan: Scan, lps_mm: Array, across: Array, columns_mm: Array, rows_mm: Array) -> View:
    """The scan at LPS points (rows, columns, 3), averaged over a thin slab against noise; air outside the scan.

    across: unit vectors, broadcast against the points, along which the slab is thick.  columns_mm, rows_mm: what the
    middles of the pixels are called, at equal steps, rows from the top downwards.
    """
    pixels = _slab_mean(scan, lps_mm, across)
    half = PIXEL_MM / 2
    left, right, bottom, top = (float(v) for v in (columns_mm[0], columns_mm[-1], rows_mm[-1], rows_mm[0]))
    return View(pixels, (left - half, right + half, bottom - half, top + half))


def _slab_mean(scan: Scan, lps_mm: Array, across: Array) -> Image:
    from scipy.ndimage import map_coordinates

    voxel = _voxels(scan, lps_mm)
    outwards = _voxels(scan, np.broadcast_to(across, lps_mm[:, :1].shape)) - _voxels(scan, np.zeros((1, 1, 3)))
    total = np.zeros(lps_mm.shape[:2], np.float32)
    for offset in SLAB_OFFSETS_MM:
        place = voxel + offset * outwards
        total += map_coordinates(scan.hu, place, np.float32, order=1, mode="constant", cval=OUTSIDE_HU)
    total /= len(SLAB_OFFSETS_MM)
    return total


def _voxels(scan: Scan, lps_mm: Array) -> Array:
    """Index z, y, x (3, rows, columns) of points (rows, columns, 3)."""
    return np.ascontiguousarray(np.moveaxis(scan.geometry.index_zyx_from_lps(lps_mm), -1, 0))
