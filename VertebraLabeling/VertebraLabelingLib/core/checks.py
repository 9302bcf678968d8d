"""Is it a CT?  Judged from the intensities, because files lie about it and NIfTI does not say.

All thresholds are facts of the histogram, measured on 185 real scans (torso, neck, head, masked, thick, cadaver); the
number in brackets at each one is the worst real value.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .scan import Scan, Voxels

MIN_EXTENT_MM = 20.0
MIN_SLICES = 3
MAX_EXTENT_MM = 3000.0
MAX_BOX_ML = 4e6
"""Of the upright box around the scan: a whole body that lies across it has less than half."""
MAX_SPACING_MM = 12.5
"""Thicker slices than half a vertebra cannot show each one."""
RAW_OFFSET_HU = 1024.0
"""What scanners add to store air as 0 in unsigned numbers; RescaleIntercept takes it away again."""

_OFFSET_NOTES = {
    RAW_OFFSET_HU: "Rescale was missing (air at 0, water at 1024): 1024 was subtracted from all values.",
    -RAW_OFFSET_HU: "Rescale was applied twice (air at -2048, water at -1024): 1024 was added to all values.",
}
_SAMPLE_SIZE = 1_000_000
_BODY_HU = -500.0
_NOISE_HU = 200.0
_PADDING_GAP_HU = 500.0
Values = NDArray[np.float32]


def check_ct(scan: Scan) -> Scan:
    """`scan` itself when it looks like CT in HU; shifted by 1024, with a note, when it was rescaled never or twice.

    InputError, in one sentence for the user, for anything else: too small, too large, not finite, constant, label map,
    scaled to 0..1, MR, only air, only water, noise.
    """
    _check_size(scan)
    values = _sample(scan.hu)
    _check_variety(values, scan.name)
    offset = _offset(values)
    if offset:
        return replace(scan, hu=scan.hu - np.float32(offset), notes=(*scan.notes, _OFFSET_NOTES[offset]))
    _check_hu(values, scan)
    return scan


def _check_size(scan: Scan) -> None:
    """Slices, extent and spacing, before a grid of the network's spacing is made that covers all of it."""
    name, shape, extent_mm = scan.name, scan.geometry.shape_zyx, scan.geometry.extent_zyx_mm
    if min(shape) < MIN_SLICES:
        raise InputError(f"{name} has only {min(shape)} slice(s) along one axis; a 3-D volume is needed.")
    size = " x ".join(f"{mm:.4g}" for mm in reversed(extent_mm))
    if min(extent_mm) < MIN_EXTENT_MM:
        raise InputError(f"{name} measures {size} mm, too small to hold a vertebra; check the voxel spacing.")
    if max(scan.geometry.spacing_xyz_mm) > MAX_SPACING_MM:
        raise InputError(
            f"{name} has voxels of {max(scan.geometry.spacing_xyz_mm):.4g} mm, too coarse to tell vertebrae apart; "
            "give thinner slices, or check the voxel spacing."
        )
    box_ml = float(np.prod(np.ptp(scan.geometry.corners_lps_mm, axis=0))) / 1000
    if max(extent_mm) > MAX_EXTENT_MM or box_ml > MAX_BOX_ML:
        raise InputError(f"{name} measures {size} mm, larger than a patient; check the voxel spacing or crop it.")


def _sample(hu: Voxels) -> Values:
    """(n,) about a million values, evenly spread."""
    step = max(1, round((hu.size / _SAMPLE_SIZE) ** (1 / 3)))
    return hu[::step, ::step, ::step].ravel().astype(np.float32)


def _check_variety(values: Values, name: str) -> None:
    """Constant, few values, or a small range."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise InputError(f"{name} holds voxels that are no numbers (NaN or infinite); export the scan again.")
    if low == high:
        raise InputError(f"{name} is constant: every voxel is {low:g}; there is no picture in it.")
    if len(np.unique(values)) <= 64 and np.all(values == np.round(values)):
        raise InputError(f"{name} has a few whole numbers only, as a segmentation has; give the CT itself.")
    if high - low < 300:
        raise InputError(f"{name} has values {low:g} to {high:g}, scaled or not CT; give the CT in Hounsfield units.")


def _offset(values: Values) -> float:
    """What has to be taken away from the values to make HU of them: 1024, -1024, or 0 where that helps nothing."""
    inner = _without_padding(values)
    if _is_surely_hu(inner):
        return 0.0
    if inner.min() >= -_NOISE_HU and _is_surely_hu(inner - np.float32(RAW_OFFSET_HU)):
        return RAW_OFFSET_HU
    if inner.min() < -1.5 * RAW_OFFSET_HU and _is_surely_hu(inner + np.float32(RAW_OFFSET_HU)):
        return -RAW_OFFSET_HU
    return 0.0


def _without_padding(values: Values) -> Values:
    """The values but for those outside of the round field of view: one number, far below all others."""
    low = values.min()
    others = values[values > low]
    return others if others.min() > low + _PADDING_GAP_HU else values


def _is_surely_hu(hu: Values) -> bool:
    """Whether the values are those of a CT in every respect; that is more than `_is_hu` asks for, MR must not pass.

    Shares of the body: the valley between lung and fat is low [0.20], water-like tissue is there [0.25], and no more
    bright voxels than bone makes [0.22].
    """
    body = hu[hu > _BODY_HU]
    if not _is_hu(hu):
        return False
    valley, water = np.count_nonzero((hu > -700) & (hu < -250)), np.count_nonzero((body > -20) & (body < 100))
    return bool(valley < 0.35 * len(body) and water > 0.1 * len(body) and np.mean(body > 150) < 0.33)


def _is_hu(values: Values) -> bool:
    body = values[values > _BODY_HU]
    return len(body) > 0 and _has_tissue(body) and _has_dark(values) and _has_bone(body)


def _has_tissue(body: Values) -> bool:
    """Most of the body is fat, water, muscle, marrow (-250..300 HU) [0.77]."""
    return bool(np.mean((body > -250) & (body < 300)) > 0.45)


def _has_dark(values: Values) -> bool:
    """There is fat or air [0.43]."""
    return bool(np.mean(values < -50) > 0.02)


def _has_bone(body: Values) -> bool:
    """Some of the body exceeds 150 HU [0.033]."""
    return bool(np.mean(body > 150) > 0.003)


def _check_hu(values: Values, scan: Scan) -> None:
    name = scan.name
    body = values[values > _BODY_HU]
    voxel_ml = float(np.prod(scan.geometry.spacing_xyz_mm)) / 1000
    if len(body) / len(values) * scan.hu.size * voxel_ml < 10:
        raise InputError(f"{name} shows only air; give a CT with the spine in view.")
    if not _has_dark(values) or not _has_tissue(body):
        low, high = np.percentile(values, (0.1, 99.9))
        raise InputError(
            f"{name} is not a CT in Hounsfield units: air and fat or soft tissue are not where CT has them "
            f"(values {low:.0f} to {high:.0f}, an MR or a rescaled picture?); give the original CT."
        )
    if not _has_bone(body):
        raise InputError(f"{name} has no bone in it (water phantom, empty scan?); give a CT with the spine in view.")
    if _is_noise(scan.hu):
        raise InputError(f"{name} is noise: neighbouring voxels have nothing in common; export the scan again.")


def _is_noise(hu: Voxels) -> bool:
    """Neighbours along a row correlate in any picture [0.93], in noise they do not; some hundred rows tell."""
    rows = hu[:: max(1, len(hu) // 16), :: max(1, hu.shape[1] // 64)]
    return bool(np.corrcoef(rows[..., 1:].ravel(), rows[..., :-1].ravel())[0, 1] < 0.2)
