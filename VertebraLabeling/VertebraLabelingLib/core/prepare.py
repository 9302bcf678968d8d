"""A scan as the networks want it: axes along L, P, S and isotropic voxels."""

from __future__ import annotations

from functools import partial, reduce

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .geometry import Geometry
from .scan import Scan, Voxels
from .upright import is_upright, resampled_upright

AIR_HU = -1000.0
PREPARED_SPACING_MM = 2.0
_SLAB = 8


def prepare(scan: Scan, spacing_mm: float = PREPARED_SPACING_MM) -> Scan:
    """The scan on an axis-aligned LPS grid of isotropic `spacing_mm`, clamped below at -1000 HU.

    Fine axes are first averaged in whole-voxel blocks (area resampling), the rest is linear interpolation: a recursive
    Gaussian would cost more time than the network.  Outside the original grid is air.
    """
    near = _shrunk(scan, spacing_mm)
    grid = _aligned_grid(near.geometry, spacing_mm)
    resampled = resampled_upright if is_upright(near.geometry) else _resampled
    hu = resampled(near, grid, AIR_HU)
    return Scan(np.maximum(hu, AIR_HU, out=hu), grid, scan.name, scan.notes)


def on_grid(scan: Scan, spacing_mm: float) -> Scan:
    """A prepared scan on the grid of a network: itself when it has that spacing, else prepared again."""
    return scan if np.allclose(scan.geometry.spacing_xyz_mm, spacing_mm) else prepare(scan, spacing_mm)


def _shrunk(scan: Scan, spacing_mm: float) -> Scan:
    """Block-averaged by the largest whole factor per axis that stays at or below `spacing_mm`.

    Incomplete blocks at the ends are left out.  Slab by slab, because the sums on the way need memory.
    """
    geometry = scan.geometry
    factors = np.array([max(1, int(spacing_mm / s + 0.05)) for s in geometry.spacing_zyx_mm])
    factors = np.minimum(factors, geometry.shape_zyx)
    if factors.max() == 1:
        return scan
    whole = scan.part(np.zeros(3, int), geometry.shape_zyx // factors * factors).hu
    hu = np.empty(geometry.shape_zyx // factors, np.float32)
    for first in range(0, len(hu), _SLAB):
        slab = hu[first : first + _SLAB]
        sums = whole[first * factors[0] : (first + len(slab)) * factors[0]]
        for axis, factor in enumerate(factors):
            sums = _sums(sums, axis, int(factor))
        np.divide(sums, factors.prod(), out=slab)
    return Scan(hu, _shrunk_geometry(geometry, factors), scan.name, scan.notes)


def _sums(values: Voxels, axis: int, factor: int) -> Voxels:
    """Sums of `factor` neighbours along an axis; whole slices added are several times faster than `numpy.sum`."""
    slices = [values[(slice(None),) * axis + (slice(n, None, factor),)] for n in range(factor)]
    return reduce(partial(np.add, dtype=np.float32), slices)


def _shrunk_geometry(geometry: Geometry, factors_zyx: NDArray[np.int64]) -> Geometry:
    """The grid of the blocks."""
    nz, ny, nx = (int(n) for n in geometry.shape_zyx // factors_zyx)
    x, y, z = (float(v) for v in geometry.lps_from_index_zyx((factors_zyx - 1) / 2))
    sx, sy, sz = (float(s) for s in geometry.spacing_xyz_mm * factors_zyx[::-1])
    return Geometry((nz, ny, nx), (sx, sy, sz), (x, y, z), geometry.direction)


def _resampled(scan: Scan, grid: Geometry, fill: float) -> NDArray[np.float32]:
    """The scan, whatever its direction, on the points of an LPS grid; `fill` beyond its outer voxel borders."""
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.shape_zyx[::-1])
    resampler.SetOutputSpacing(grid.spacing_xyz_mm)
    resampler.SetOutputOrigin(grid.origin_lps_mm)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(fill)
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    hu: NDArray[np.float32] = sitk.GetArrayFromImage(resampler.Execute(scan.to_sitk()))
    return hu


def _aligned_grid(source: Geometry, spacing_mm: float) -> Geometry:
    """Smallest axis-aligned LPS grid that covers the source voxels, its first voxel border on the source's."""
    corners = source.corners_lps_mm
    low, high = corners.min(axis=0), corners.max(axis=0)
    size_xyz = np.maximum(1, np.ceil((high - low) / spacing_mm - 1e-3).astype(int))
    x, y, z = (float(v) for v in low + spacing_mm / 2)
    nx, ny, nz = (int(n) for n in size_xyz)
    return Geometry((nz, ny, nx), (spacing_mm,) * 3, (x, y, z))
