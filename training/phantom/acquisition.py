"""What the scanner does to the body: slice thickness, resampling, noise, field of view, clipping."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.scan import Scan

from .spec import PhantomSpec

Array = NDArray[np.float32]

HU_RANGE = (-1024, 3071)
POINT_SPREAD_MM = 1.0
"""SD of the point spread."""


def acquire(hu: Array, built: Geometry, wanted: Geometry, spec: PhantomSpec, rng: np.random.Generator) -> Array:
    """HU as scanned on the grid `wanted`: blur along z, noise on the smaller of both grids, resampled, clipped."""
    thickness_mm = spec.slice_mm or wanted.spacing_xyz_mm[2]
    hu = _blur_slices(hu, thickness_mm, built.spacing_xyz_mm[2])
    _blur_in_plane(hu, built.spacing_xyz_mm[0])
    fine = np.prod(wanted.shape_zyx) > np.prod(built.shape_zyx)
    if fine:
        add_noise(hu, spec.noise_hu, rng)
    if wanted != built:
        hu = _resample(hu, built, wanted)
    if not fine:
        add_noise(hu, spec.noise_hu, rng)
    np.clip(hu, *HU_RANGE, out=hu)
    if spec.circular_view:
        _mask_outside_circle(hu)
    return hu


def _blur_slices(hu: Array, thickness_mm: float, spacing_mm: float) -> Array:
    """Slice profile along z: a box of the slice thickness, smeared by the point spread."""
    reach = max(thickness_mm / spacing_mm - 1, 0.0) / 2
    whole = int(np.ceil(reach))
    box = np.clip(reach + 1 - np.abs(np.arange(-whole, whole + 1)), 0, 1)
    weights = np.convolve(box / box.sum(), _point_spread(spacing_mm)).astype(np.float32)
    padded = np.pad(hu, ((whole + 1, whole + 1), (0, 0), (0, 0)), mode="edge")
    result = np.zeros_like(hu)
    for i, weight in enumerate(weights):
        result += weight * padded[i : i + len(hu)]
    return result


def _point_spread(spacing_mm: float) -> Array:
    """Three taps (3,) with the variance of the point spread, as far as three taps can have it."""
    side = min(0.5 * (POINT_SPREAD_MM / spacing_mm) ** 2, 0.3)
    return np.array([side, 1 - 2 * side, side], np.float32)


def _blur_in_plane(hu: Array, spacing_mm: float) -> None:
    """The point spread in x and y (in place)."""
    side, centre, _ = _point_spread(spacing_mm)
    for row in hu:
        for axis in (0, 1):
            line = np.moveaxis(row, axis, 0)
            line[1:-1] = centre * line[1:-1] + side * (line[:-2] + line[2:])


def add_noise(hu: Array, sd_hu: float, rng: np.random.Generator) -> None:
    """Gaussian noise correlated in the slice, stronger where more of the slice is body (in place).

    The 1-2-1 kernel in x and y leaves 3/8 of the SD of white noise; the factor 8/3 gives it back.
    """
    for k, row in enumerate(hu):
        filled = float(np.mean(row[::4, ::4] > -500))
        white = rng.standard_normal((row.shape[0] + 2, row.shape[1] + 2), dtype=np.float32)
        smooth = white[:-2] + 2 * white[1:-1] + white[2:]
        smooth = smooth[:, :-2] + 2 * smooth[:, 1:-1] + smooth[:, 2:]
        hu[k] += smooth * np.float32(sd_hu * (0.7 + 0.6 * filled) * 8 / 3 / 16)


def _resample(hu: Array, built: Geometry, wanted: Geometry) -> Array:
    image = sitk.Resample(
        Scan(hu, built).to_sitk(), wanted.shape_zyx[::-1], sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear,
        wanted.origin_lps_mm, wanted.spacing_xyz_mm, wanted.direction, -1000.0, sitk.sitkFloat32,
    )  # fmt: skip
    return sitk.GetArrayFromImage(image)


def _mask_outside_circle(hu: Array) -> None:
    """The scanner's round field of view: the corners of each slice hold no data (in place)."""
    rows, columns = hu.shape[1:]
    y, x = np.ogrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    hu[:, x**2 + y**2 > 1] = HU_RANGE[0]
