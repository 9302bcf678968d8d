"""Random windows of a case: placed, rotated, stretched, deformed, cut and degraded, with their points.

Positions inside a window are (z, y, x) in mm from its lower corner; voxel n has its centre at (n + 0.5) spacing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from VertebraLabelingLib.core.prepare import AIR_HU

from .cases import Case
from .degrade import degraded

CUT_MARGIN_MM = 9.0
"""A centre this close to the end of the field of view is neither demanded nor forbidden."""


@dataclass(frozen=True)
class WindowSettings:
    """Size of a window and how much it is changed; all amounts are standard deviations or ranges of uniform draws."""

    window_zyx: tuple[int, int, int]
    spacing_mm: float
    jitter_zyx_mm: tuple[float, float, float] = (70.0, 14.0, 14.0)
    rotation_deg: float = 12.0
    scale: tuple[float, float] = (0.8, 1.25)
    stretch: float = 0.08
    deformation_mm: float = 4.0
    mirror: bool = True
    cut_probability: float = 0.4

    @property
    def extent_zyx_mm(self) -> NDArray[np.float64]:
        """Outer size of the window."""
        return np.array(self.window_zyx) * self.spacing_mm


@dataclass(frozen=True)
class Window:
    """hu: (z, y, x).  levels (n,) and points_mm (n, 3): all vertebrae of the case, also those outside the window.

    beyond_mm (m, 3): where unlabelled ones may lie.  visible_z_mm: the range that the field of view leaves.
    """

    hu: Tensor
    levels: NDArray[np.int64]
    points_mm: NDArray[np.float64]
    beyond_mm: NDArray[np.float64]
    visible_z_mm: tuple[float, float]
    extent_zyx_mm: NDArray[np.float64]

    def present(self, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each point (n, 3) lies in the visible part of the window."""
        low, high = self.visible_z_mm
        inside = ((points_mm > 0) & (points_mm < self.extent_zyx_mm)).all(1)
        return inside & (points_mm[:, 0] > low) & (points_mm[:, 0] < high)

    def doubtful(self, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each point is within `CUT_MARGIN_MM` of the end of the field of view."""
        return np.min(np.abs(points_mm[:, :1] - np.array(self.visible_z_mm)), axis=1) < CUT_MARGIN_MM


def draw_window(case: Case, settings: WindowSettings, rng: np.random.Generator) -> Window:
    """A random window of the case."""
    centre = _draw_centre(case, settings, rng)
    matrix = _draw_matrix(settings, rng)
    field = _draw_field(settings, rng)
    hu = _resample(case, settings, centre, matrix, field)
    points, beyond = (
        _into_window(p, settings, centre, matrix, field) for p in (case.points_zyx_mm, case.beyond_zyx_mm)
    )
    hu, visible = _cut(hu, settings, rng)
    return Window(degraded(hu, rng), case.levels, points, beyond, visible, settings.extent_zyx_mm)


def _draw_centre(case: Case, settings: WindowSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    """Source position (z, y, x) mm near a random vertebra, or anywhere in a case without one."""
    if len(case.levels) == 0:
        size = np.array(case.volume(settings.spacing_mm).shape) * settings.spacing_mm
        return case.corner_zyx_mm + rng.uniform(0.2, 0.8, 3) * size
    return case.points_zyx_mm[rng.integers(len(case.levels))] + rng.uniform(-1, 1, 3) * settings.jitter_zyx_mm


def _draw_matrix(settings: WindowSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    """(3, 3): window mm (from its centre) to source mm; rotation, anisotropic scale and mirror."""
    matrix = np.eye(3)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = np.deg2rad(rng.normal(0, settings.rotation_deg * (0.6 if first == 0 else 1)))
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    sizes = rng.uniform(*settings.scale) * np.exp(rng.normal(0, settings.stretch, 3))
    if settings.mirror and rng.random() < 0.5:
        sizes[2] *= -1
    return matrix / sizes


def _draw_field(settings: WindowSettings, rng: np.random.Generator) -> Tensor:
    """(1, 3, 6, 4, 4) smooth displacement in source mm at control points that span the window."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    amount = float(rng.uniform(0, 1.5)) * settings.deformation_mm
    return torch.randn(1, 3, 6, 4, 4, generator=generator) * amount


def _resample(
    case: Case, settings: WindowSettings, centre: NDArray[np.float64], matrix: NDArray[np.float64], field: Tensor
) -> Tensor:
    """HU on the window's grid, air outside the scan."""
    axes = [(torch.arange(n) + 0.5 - n / 2) * settings.spacing_mm for n in settings.window_zyx]
    z, y, x = (
        axis[:, None] * torch.tensor(column, dtype=torch.float32) for axis, column in zip(axes, matrix.T, strict=True)
    )
    moved = F.interpolate(field, size=settings.window_zyx, mode="trilinear", align_corners=True)[0].permute(1, 2, 3, 0)
    offset = torch.tensor(centre - case.corner_zyx_mm, dtype=torch.float32)
    source = z[:, None, None] + y[:, None] + x + moved + offset
    index = source / settings.spacing_mm - 0.5
    return _read(case.volume(settings.spacing_mm), index)


def _read(volume: NDArray[np.int16], index: Tensor) -> Tensor:
    """Trilinear HU of `volume` at fractional indices (..., 3); reads only the box that is needed."""
    low = np.clip(index.amin((0, 1, 2)).floor().long().numpy() - 1, 0, np.array(volume.shape) - 2)
    high = np.clip(index.amax((0, 1, 2)).ceil().long().numpy() + 2, low + 2, volume.shape)
    z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
    box = torch.from_numpy(volume[z, y, x].astype(np.float32)) - AIR_HU
    grid = (2 * (index - torch.tensor(low) + 0.5) / torch.tensor(high - low) - 1).flip(-1)
    return F.grid_sample(box[None, None], grid[None], align_corners=False)[0, 0] + AIR_HU


def _into_window(
    points: NDArray[np.float64],
    settings: WindowSettings,
    centre: NDArray[np.float64],
    matrix: NDArray[np.float64],
    field: Tensor,
) -> NDArray[np.float64]:
    """Source points (n, 3) as window positions: the inverse of the resampling, by fixed-point iteration."""
    half = settings.extent_zyx_mm / 2
    inverse = np.linalg.inv(matrix)
    local = (points - centre) @ inverse.T
    for _ in range(6):
        local = (points - centre - _displacement(local, field, half - settings.spacing_mm / 2)) @ inverse.T
    return local + half


def _displacement(local: NDArray[np.float64], field: Tensor, half: NDArray[np.float64]) -> NDArray[np.float64]:
    """The field (n, 3) at positions from the window's centre; `half`: distance of the outermost voxel centres."""
    if len(local) == 0:
        return np.zeros((0, 3))
    grid = torch.tensor(local / half, dtype=torch.float32).flip(-1)[None, None, None]
    read = F.grid_sample(field, grid, align_corners=True, padding_mode="border")
    return read[0, :, 0, 0].T.numpy().astype(float)


def _cut(hu: Tensor, settings: WindowSettings, rng: np.random.Generator) -> tuple[Tensor, tuple[float, float]]:
    """The window with its lower and/or upper end beyond the field of view."""
    low, high = 0.0, float(settings.extent_zyx_mm[0])
    if rng.random() < settings.cut_probability:
        low = high * rng.uniform(0.05, 0.45) if rng.random() < 0.6 else low
        high = high * rng.uniform(0.55, 0.95) if rng.random() < 0.6 else high
        a, b = round(low / settings.spacing_mm), round(high / settings.spacing_mm)
        hu = hu.clone()
        hu[:a], hu[b:] = AIR_HU, AIR_HU
        low, high = a * settings.spacing_mm, b * settings.spacing_mm
    return hu, (low, high)
