"""A scan as the networks want it: axes along L, P, S and isotropic voxels."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .geometry import Geometry
from .scan import Scan, geometry_of

AIR_HU = -1000.0
PREPARED_SPACING_MM = 2.0


def prepare(scan: Scan, spacing_mm: float = PREPARED_SPACING_MM) -> Scan:
    """The scan on an axis-aligned LPS grid of isotropic `spacing_mm`, clamped below at -1000 HU.

    Fine axes are first averaged in whole-voxel blocks (area resampling), the rest is linear interpolation: a recursive
    Gaussian would cost more time than the network.  Outside the original grid is air.
    """
    image = _shrunk(scan.to_sitk(), spacing_mm)
    grid = _aligned_grid(geometry_of(image), spacing_mm)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.shape_zyx[::-1])
    resampler.SetOutputSpacing(grid.spacing_xyz_mm)
    resampler.SetOutputOrigin(grid.origin_lps_mm)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(AIR_HU)
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    prepared = Scan.from_sitk(resampler.Execute(image), scan.name, scan.notes)
    np.maximum(prepared.hu, AIR_HU, out=prepared.hu)
    return prepared


def _shrunk(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """Block-averaged by the largest whole factor per axis that stays at or below `spacing_mm`."""
    factors = [max(1, int(spacing_mm / s + 0.05)) for s in image.GetSpacing()]
    factors = [min(f, n) for f, n in zip(factors, image.GetSize(), strict=True)]
    return sitk.BinShrink(image, factors) if max(factors) > 1 else image


def _aligned_grid(source: Geometry, spacing_mm: float) -> Geometry:
    """Smallest axis-aligned LPS grid that covers the source voxels, its first voxel border on the source's."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in source.shape_zyx])).reshape(3, -1).T
    lps = source.lps_from_index_zyx(corners)
    low, high = lps.min(axis=0), lps.max(axis=0)
    size_xyz = np.maximum(1, np.ceil((high - low) / spacing_mm - 1e-3).astype(int))
    x, y, z = (float(v) for v in low + spacing_mm / 2)
    nx, ny, nz = (int(n) for n in size_xyz)
    return Geometry((nz, ny, nx), (spacing_mm,) * 3, (x, y, z))
