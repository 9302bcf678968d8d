"""What the scanner does to the body: calibration, kernel, slice thickness, sampling, streaks, noise, view, clipping.

Works on NumPy arrays and on torch tensors alike, see `canvas.Canvas`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.geometry import Geometry

from .canvas import Canvas, slabs
from .distances import Array
from .spec import Acquisition

HU_RANGE = (-1024, 3071)
POINT_SPREAD_MM = 1.0
"""SD of the point spread of a neutral kernel."""
METAL_FROM_HU = 2500.0


def acquire(canvas: Canvas, wanted: Geometry, spec: Acquisition, rng: np.random.Generator) -> Array:
    """HU (z, y, x) as scanned on the grid `wanted`; the canvas is used up."""
    hu, spacing_xyz_mm = canvas.hu, canvas.geometry.spacing_xyz_mm
    _calibrate(hu, spec, rng)
    if spec.streaks_hu:
        _add_streaks(canvas, hu, spec.streaks_hu, rng)
    hu = _blur(hu, 0, _slice_profile(spec.slice_mm or wanted.spacing_xyz_mm[2], spacing_xyz_mm[2]))
    kernel = _kernel(spec.kernel, spacing_xyz_mm[0])
    for slab in slabs(hu):
        hu[slab] = _blur(_blur(hu[slab], 1, kernel), 2, kernel)
    fine = np.prod(wanted.shape_zyx) > np.prod(canvas.geometry.shape_zyx)
    if fine:
        add_noise(hu, spec.noise_hu, rng, spec.kernel)
    hu = _resample(hu, canvas.geometry, wanted)
    if not fine:
        add_noise(hu, spec.noise_hu, rng, spec.kernel)
    hu = hu.clip(*HU_RANGE)
    _mask(hu, wanted, spec)
    return hu


def _calibrate(hu: Array, spec: Acquisition, rng: np.random.Generator) -> None:
    """Gain and offset of all that is denser than fat, or a contrast that no scanner gives (in place)."""
    knots = np.array([-1000.0, -200.0, -100.0, 50.0, 200.0, 700.0, 8000.0])
    goals = knots + 0
    goals[2:-1] = knots[2:-1] * spec.gain + spec.offset_hu
    if spec.random_contrast:
        goals[2:-1] += rng.normal(0, (60, 40, 60, 150))
    for slab in slabs(hu):
        hu[slab] = _mapped(hu[slab], knots.tolist(), goals.tolist())


def _mapped(hu: Array, knots: list[float], goals: list[float]) -> Array:
    """The polyline through (knots, goals) as a sum of clipped ramps; outside of them as it was."""
    result = hu + 0
    pairs = zip(knots[:-1], knots[1:], goals[:-1], goals[1:], strict=True)
    for low, high, goal_low, goal_high in pairs:
        extra = (goal_high - goal_low) / (high - low) - 1
        if extra:
            result += extra * (hu - low).clip(0, high - low)
    return result


def _slice_profile(thickness_mm: float, spacing_mm: float) -> NDArray[np.float64]:
    """Weights along z: a box of the slice thickness, smeared by the point spread."""
    reach = max(thickness_mm / spacing_mm - 1, 0.0) / 2
    whole = int(np.ceil(reach))
    box = np.clip(reach + 1 - np.abs(np.arange(-whole, whole + 1)), 0, 1)
    return np.convolve(box / box.sum(), _point_spread(POINT_SPREAD_MM, spacing_mm))


def _point_spread(sd_mm: float, spacing_mm: float) -> NDArray[np.float64]:
    """Three taps with the variance of the point spread, as far as three taps can have it."""
    side = min(0.5 * (sd_mm / spacing_mm) ** 2, 0.3)
    return np.array([side, 1 - 2 * side, side])


def _kernel(sharpness: float, spacing_mm: float) -> NDArray[np.float64]:
    """In-plane weights of a kernel from soft (-1) to sharp with edge enhancement (1), where the taps turn negative."""
    if sharpness <= 0:
        return _point_spread(POINT_SPREAD_MM * (1 - 0.8 * sharpness), spacing_mm)
    narrow = _point_spread(POINT_SPREAD_MM * (1 - 0.5 * sharpness), spacing_mm)
    return np.convolve(narrow, [-0.08 * sharpness, 1 + 0.16 * sharpness, -0.08 * sharpness])


def _blur(hu: Array, axis: int, weights: NDArray[np.float64]) -> Array:
    """Convolution along one axis with symmetric weights; the border is repeated."""
    reach = len(weights) // 2
    result = hu * float(weights[reach])
    before: tuple[slice, ...] = (slice(None),) * axis
    for shift, weight in enumerate(weights[reach + 1 :].tolist(), start=1):
        if not weight:
            continue
        first, rest, but_last, last = (
            (*before, part) for part in (slice(1), slice(shift, None), slice(-shift), slice(-1, None))
        )
        low, high = (*before, slice(shift)), (*before, slice(-shift, None))
        result[rest] += weight * hu[but_last]
        result[but_last] += weight * hu[rest]
        result[low] += weight * hu[first]
        result[high] += weight * hu[last]
    return result


def _taken(hu: Array, axis: int, index: NDArray[np.int64]) -> Array:
    return hu[(slice(None),) * axis + (index,)]


def _add_streaks(canvas: Canvas, hu: Array, sd_hu: float, rng: np.random.Generator) -> None:
    """Lines across the slices: everywhere a little (shoulders), star-shaped and strong around metal (in place)."""
    for slab in slabs(hu):
        part, waves, stars = hu[slab], [], {}
        for k, brightest in enumerate(_brightest(part)):
            waves.append(_wave(part.shape[1:], sd_hu, rng))
            if brightest + waves[-1].max() > METAL_FROM_HU:
                metal = _on_host(part[k]) + waves[-1] > METAL_FROM_HU
                if metal.any():
                    stars[k] = canvas.array(_star(metal, canvas, rng))
        part += canvas.array(np.stack(waves))
        for k, star in stars.items():
            part[k] += star


def _brightest(hu: Array) -> NDArray[np.float32]:
    """The highest HU of each slice."""
    return hu.max(axis=(1, 2)) if isinstance(hu, np.ndarray) else _on_host(hu.amax(dim=(1, 2)))


def _on_host(values: Array) -> NDArray[np.float32]:
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


def _wave(shape_yx: tuple[int, int], sd_hu: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """(y, x) HU of parallel lines, nearly along the slice's x."""
    rows, columns = shape_yx
    angle = float(rng.normal(0, 0.12))
    across = np.arange(rows)[:, None] * np.cos(angle) + np.arange(columns)[None] * np.sin(angle)
    places = np.arange(0, rows + columns, 3) - columns / 3
    return np.interp(across, places, rng.normal(0, sd_hu, (rows + columns + 2) // 3)).astype(np.float32)


def _star(metal: NDArray[np.bool_], canvas: Canvas, rng: np.random.Generator) -> NDArray[np.float64]:
    """(y, x) HU of bright and dark rays that leave the metal's centre and fade with distance."""
    y, x = metal.nonzero()
    sx, sy = canvas.geometry.spacing_xyz_mm[:2]
    dy, dx = (
        (np.arange(n) - float(at.mean())) * step for n, at, step in zip(metal.shape, (y, x), (sy, sx), strict=True)
    )
    angle, radius = np.arctan2(dy[:, None], dx[None]), np.hypot(dy[:, None], dx[None])
    rays = np.interp(angle, np.linspace(-np.pi, np.pi, 61), rng.normal(0, 350, 61), period=2 * np.pi)
    return rays * np.exp(-radius / 35.0) * min(np.sqrt(len(y) / 10), 1.5)


def add_noise(hu: Array, sd_hu: float, rng: np.random.Generator, sharpness: float = -1.0) -> None:
    """Gaussian noise correlated in the slice, stronger where more of the slice is body (in place).

    The kernel s-1-s in x and y leaves (1 + 2 s^2) / (1 + 2 s)^2 of the SD of white noise, which is given back;
    s = 1/2 for a soft kernel, falling to 0 for a sharp one.
    """
    s = 0.25 * (1 - sharpness)
    keeps = (1 + 2 * s * s) / (1 + 2 * s) ** 2
    taps = np.array([s, 1.0, s]) / (1 + 2 * s)
    for slab in slabs(hu):
        part = hu[slab]
        white = _blur(_blur(_white(part, rng), 1, taps), 2, taps)
        filled = (part[:, ::4, ::4] > -500).reshape(len(part), -1)
        share = filled.mean(axis=1, dtype=np.float32) if isinstance(part, np.ndarray) else filled.float().mean(dim=1)
        white *= ((0.7 + 0.6 * share) * (sd_hu / keeps))[:, None, None]
        part += white


def _white(hu: Array, rng: np.random.Generator) -> Array:
    """White noise of unit variance, as large as `hu`, where it lives."""
    if isinstance(hu, np.ndarray):
        return rng.standard_normal(hu.shape, dtype=np.float32)
    import torch

    generator = torch.Generator(hu.device).manual_seed(int(rng.integers(2**62)))
    return torch.randn(hu.shape, generator=generator, device=hu.device)


def _resample(hu: Array, built: Geometry, wanted: Geometry) -> Array:
    """Linear interpolation onto another upright grid inside the first one."""
    if wanted == built:
        return hu
    for axis in range(3):
        xyz = 2 - axis
        place = wanted.origin_lps_mm[xyz] + np.arange(wanted.shape_zyx[axis]) * wanted.spacing_xyz_mm[xyz]
        place = np.clip((place - built.origin_lps_mm[xyz]) / built.spacing_xyz_mm[xyz], 0, hu.shape[axis] - 1)
        low = np.minimum(place.astype(np.int64), hu.shape[axis] - 2)
        share = (place - low).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        share = share if isinstance(hu, np.ndarray) else hu.new_tensor(share)
        below = _taken(hu, axis, low)
        hu = below + share * (_taken(hu, axis, low + 1) - below)
    return hu


def in_view(geometry: Geometry, spec: Acquisition, points_lps_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points (n, 3) lie inside the grid and inside what round view and tilt leave of it."""
    inside = geometry.contains_lps(points_lps_mm)
    x, y, z = (points_lps_mm - _middle(geometry)).T
    half = _half_size(geometry)
    if spec.circular_view:
        inside = inside & (_off_axis(x, y, geometry, spec) <= 1)
    if spec.tilt_deg:
        inside = inside & (np.abs(z - y * np.tan(np.radians(spec.tilt_deg))) <= half[2])
    return np.asarray(inside)


def _middle(geometry: Geometry) -> NDArray[np.float64]:
    return np.array(geometry.origin_lps_mm) + _half_size(geometry)


def _half_size(geometry: Geometry) -> NDArray[np.float64]:
    return (np.array(geometry.shape_zyx[::-1]) - 1) * np.array(geometry.spacing_xyz_mm) / 2


def _off_axis(
    x: NDArray[np.float64], y: NDArray[np.float64], geometry: Geometry, spec: Acquisition
) -> NDArray[np.float64]:
    """Squared distance from the axis of the view, 1 on its rim: an ellipse that fills the slice, or a circle."""
    half = _half_size(geometry)
    rx, ry = (spec.view_mm, spec.view_mm) if spec.view_mm else (half[0], half[1])
    return (x / rx) ** 2 + (y / ry) ** 2


def _mask(hu: Array, geometry: Geometry, spec: Acquisition) -> None:
    """No data outside the round field of view and beyond the tilted first and last slice (in place)."""
    half = _half_size(geometry)
    z, y, x = (np.linspace(-half[2 - i], half[2 - i], n) for i, n in enumerate(geometry.shape_zyx))
    if spec.circular_view:
        hu[:, _like(hu, _off_axis(x[None], y[:, None], geometry, spec) > 1)] = HU_RANGE[0]
    if spec.tilt_deg:
        outside = np.abs(z[:, None] - y * np.tan(np.radians(spec.tilt_deg))) > half[2]
        hu[_like(hu, outside)] = HU_RANGE[0]


def _like(hu: Array, mask: NDArray[np.bool_]) -> Array:
    if isinstance(hu, np.ndarray):
        return mask
    import torch

    return torch.from_numpy(mask).to(hu.device)
