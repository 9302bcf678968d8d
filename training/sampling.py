"""Random windows of a case: placed, rotated, stretched, deformed, cut and degraded, with their points.

Positions inside a window are (z, y, x) in mm from its lower corner; voxel n has its centre at (n + 0.5) spacing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.prepare import AIR_HU

from .cases import Case
from .degrade import degraded
from .implants import with_implants
from .plane_view import PlaneView, draw_plane_view
from .repose import Repose, draw_repose, read_poses
from .scan_list import UNLABELLED

LAST_FINE_LEVEL = Level.T4
SEAM_MM = 6.0
"""Thickness over which two stacked patients are blended."""
CUT_MARGIN_MM = 9.0
"""A centre this close to the end of the field of view is neither demanded nor forbidden."""


@dataclass(frozen=True)
class WindowSettings:
    """Size of a window and how much it is changed; all amounts are standard deviations or ranges of uniform draws.

    fine_probability, fine_scale: share of the windows on the neck that are drawn with finer voxels, and how much finer.
    plane_view_probability: share of the windows seen through a circle, or cut off at one side.
    repose_probability: share of the windows whose column is bent and stretched onto another spine.
    stack_probability: share of the windows whose lower part is that of another patient.
    implant_probability: share of the windows with screws and rods.
    """

    window_zyx: tuple[int, int, int]
    spacing_mm: float
    jitter_zyx_mm: tuple[float, float, float] = (70.0, 14.0, 14.0)
    rotation_deg: float = 12.0
    scale: tuple[float, float] = (0.8, 1.25)
    stretch: float = 0.08
    deformation_mm: float = 4.0
    mirror: bool = True
    cut_probability: float = 0.4
    plane_view_probability: float = 0.0
    fine_probability: float = 0.0
    fine_scale: float = 1.4
    repose_probability: float = 0.0
    stack_probability: float = 0.0
    implant_probability: float = 0.0

    @property
    def extent_zyx_mm(self) -> NDArray[np.float64]:
        """Outer size of the window."""
        return np.array(self.window_zyx) * self.spacing_mm


@dataclass(frozen=True)
class Window:
    """hu: (z, y, x).  levels (n,) and points_mm (n, 3): all vertebrae of the case, also those outside the window.

    beyond_mm (m, 3): where unlabelled ones may lie.  visible_z_mm, visible_plane: what the field of view leaves; None:
    the whole plane.  labelled: whether anybody has said where vertebrae are.
    """

    hu: Tensor
    levels: NDArray[np.int64]
    points_mm: NDArray[np.float64]
    beyond_mm: NDArray[np.float64]
    visible_z_mm: tuple[float, float]
    extent_zyx_mm: NDArray[np.float64]
    visible_plane: PlaneView | None = None
    labelled: bool = True

    def present(self, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each point (n, 3) lies in the visible part of the window."""
        low, high = self.visible_z_mm
        inside = ((points_mm > 0) & (points_mm < self.extent_zyx_mm)).all(1)
        return inside & (points_mm[:, 0] > low) & (points_mm[:, 0] < high) & (self._depth_mm(points_mm) > 0)

    def doubtful(self, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each point is within `CUT_MARGIN_MM` of the border of the field of view."""
        ends = np.min(np.abs(points_mm[:, :1] - np.array(self.visible_z_mm)), axis=1)
        return np.minimum(ends, np.abs(self._depth_mm(points_mm))) < CUT_MARGIN_MM

    def _depth_mm(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) how far each point is inside the visible part of the plane."""
        plane = self.visible_plane
        return np.full(len(points_mm), np.inf) if plane is None else plane.depth_mm(points_mm[:, 1:])


@dataclass(frozen=True)
class _View:
    """How a window looks at a case: through `matrix` (window mm to source mm), `field` and the new pose."""

    centre_zyx_mm: NDArray[np.float64]
    matrix: NDArray[np.float64]
    field: Tensor
    pose: Repose | None


def draw_window(case: Case, settings: WindowSettings, rng: np.random.Generator, below: Case | None = None) -> Window:
    """A random window of the case; with `below`, what lies under a random disc is that of the other patient."""
    pose = _draw_pose(case, settings, rng)
    centre, level = _draw_centre(case, pose, settings, rng)
    view = _View(centre, _draw_matrix(settings, level, rng), _draw_field(settings, rng), pose)
    seen = _seen(case, settings, view)
    if below is not None and (seam := _draw_seam(case, below, view, settings, rng)) is not None:
        seen = _stacked(seen, *seam, settings)
    hu, points, beyond, levels = seen
    if rng.random() < settings.implant_probability:
        hu = with_implants(hu, points, settings.spacing_mm, rng)
    hu, visible = _cut(hu, settings, rng)
    plane = None
    if rng.random() < settings.plane_view_probability:
        plane = draw_plane_view(settings.extent_zyx_mm[1:], rng)
        hu = plane.shown(hu, settings.spacing_mm)
    return Window(
        degraded(hu, rng), levels, points, beyond, visible, settings.extent_zyx_mm, plane, case.split != UNLABELLED
    )


def _draw_pose(case: Case, settings: WindowSettings, rng: np.random.Generator) -> Repose | None:
    if rng.random() >= settings.repose_probability:
        return None
    return draw_repose(case.levels, case.points_zyx_mm, read_poses(case.folder), rng)


def _draw_centre(
    case: Case, pose: Repose | None, settings: WindowSettings, rng: np.random.Generator
) -> tuple[NDArray[np.float64], int | None]:
    """Position (z, y, x) mm near a random vertebra and its level, or anywhere in a case without one."""
    if len(case.levels) == 0:
        size = np.array(case.volume(settings.spacing_mm).shape) * settings.spacing_mm
        return case.corner_zyx_mm + rng.uniform(0.2, 0.8, 3) * size, None
    chosen = rng.integers(len(case.levels))
    points = case.points_zyx_mm if pose is None else pose.moved(case.points_zyx_mm)
    return points[chosen] + rng.uniform(-1, 1, 3) * settings.jitter_zyx_mm, int(case.levels[chosen])


class _Seen(NamedTuple):
    """HU of a window, the points of a case and where more may lie, both in window mm, and the levels of the points."""

    hu: Tensor
    points_mm: NDArray[np.float64]
    beyond_mm: NDArray[np.float64]
    levels: NDArray[np.int64]


def _seen(case: Case, settings: WindowSettings, view: _View) -> _Seen:
    """What a view shows of a case."""
    points, beyond = (
        _into_window(p if view.pose is None or len(p) == 0 else view.pose.moved(p), settings, view)
        for p in (case.points_zyx_mm, case.beyond_zyx_mm)
    )
    return _Seen(_resample(case, settings, view), points, beyond, case.levels)


def _draw_matrix(settings: WindowSettings, level: int | None, rng: np.random.Generator) -> NDArray[np.float64]:
    """(3, 3): window mm (from its centre) to source mm; rotation, anisotropic scale and mirror."""
    matrix = np.eye(3)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = np.deg2rad(rng.normal(0, settings.rotation_deg * (0.6 if first == 0 else 1)))
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    sizes = rng.uniform(*settings.scale) * np.exp(rng.normal(0, settings.stretch, 3))
    if level is not None and level <= LAST_FINE_LEVEL and rng.random() < settings.fine_probability:
        sizes *= settings.fine_scale
    if settings.mirror and rng.random() < 0.5:
        sizes[2] *= -1
    return matrix / sizes


def _draw_field(settings: WindowSettings, rng: np.random.Generator) -> Tensor:
    """(1, 3, 6, 4, 4) smooth displacement in source mm at control points that span the window."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    amount = float(rng.uniform(0, 1.5)) * settings.deformation_mm
    return torch.randn(1, 3, 6, 4, 4, generator=generator) * amount


def _resample(case: Case, settings: WindowSettings, view: _View) -> Tensor:
    """HU on the window's grid, air outside the scan."""
    axes = [(torch.arange(n) + 0.5 - n / 2) * settings.spacing_mm for n in settings.window_zyx]
    z, y, x = (
        axis[:, None] * torch.tensor(column, dtype=torch.float32)
        for axis, column in zip(axes, view.matrix.T, strict=True)
    )
    size = settings.window_zyx
    moved = F.interpolate(view.field, size=size, mode="trilinear", align_corners=True)[0].permute(1, 2, 3, 0)
    source = z[:, None, None] + y[:, None] + x + moved + torch.tensor(view.centre_zyx_mm, dtype=torch.float32)
    source = source if view.pose is None else view.pose.source(source)
    index = (source - torch.tensor(case.corner_zyx_mm, dtype=torch.float32)) / settings.spacing_mm - 0.5
    return _read(case.volume(settings.spacing_mm), index)


def _read(volume: NDArray[np.int16], index: Tensor) -> Tensor:
    """Trilinear HU of `volume` at fractional indices (..., 3); reads only the box that is needed."""
    low = np.clip(index.amin((0, 1, 2)).floor().long().numpy() - 1, 0, np.array(volume.shape) - 2)
    high = np.clip(index.amax((0, 1, 2)).ceil().long().numpy() + 2, low + 2, volume.shape)
    z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
    box = torch.from_numpy(volume[z, y, x].astype(np.float32)) - AIR_HU
    grid = (2 * (index - torch.tensor(low) + 0.5) / torch.tensor(high - low) - 1).flip(-1)
    return F.grid_sample(box[None, None], grid[None], align_corners=False)[0, 0] + AIR_HU


def _into_window(points: NDArray[np.float64], settings: WindowSettings, view: _View) -> NDArray[np.float64]:
    """Points (n, 3) of the pose as window positions: the inverse of the resampling, by fixed-point iteration."""
    half = settings.extent_zyx_mm / 2
    inverse = np.linalg.inv(view.matrix)
    offset = points - view.centre_zyx_mm
    local = offset @ inverse.T
    for _ in range(6):
        local = (offset - _displacement(local, view.field, half - settings.spacing_mm / 2)) @ inverse.T
    return local + half


def _displacement(local: NDArray[np.float64], field: Tensor, half: NDArray[np.float64]) -> NDArray[np.float64]:
    """The field (n, 3) at positions from the window's centre; `half`: distance of the outermost voxel centres."""
    if len(local) == 0:
        return np.zeros((0, 3))
    grid = torch.tensor(local / half, dtype=torch.float32).flip(-1)[None, None, None]
    read = F.grid_sample(field, grid, align_corners=True, padding_mode="border")
    return read[0, :, 0, 0].T.numpy().astype(float)


def _draw_seam(
    case: Case, below: Case, view: _View, settings: WindowSettings, rng: np.random.Generator
) -> tuple[int, _Seen] | None:
    """A level that both cases have with its successor, and the other case seen so that its disc lies at the same place.

    None when the two have no such pair in common.
    """
    shared = [v for v in case.levels[:-1] if {v, v + 1} <= set(below.levels) and v + 1 in case.levels]
    if not shared:
        return None
    last = int(shared[rng.integers(len(shared))])
    own, other = _pair(case, last), _pair(below, last)
    own = own if view.pose is None else view.pose.moved(own)
    stature = np.linalg.norm(other[1] - other[0]) / np.linalg.norm(own[1] - own[0])
    centre = other.mean(0) + stature * (view.centre_zyx_mm - own.mean(0))
    aligned = _View(centre, view.matrix * stature, view.field * stature, None)
    return last, _seen(below, settings, aligned)


def _pair(case: Case, level: int) -> NDArray[np.float64]:
    """(2, 3) centroids of the level and the one below it."""
    return case.points_zyx_mm[[int(np.flatnonzero(case.levels == v)[0]) for v in (level, level + 1)]]


def _stacked(upper: _Seen, last: int, lower: _Seen, settings: WindowSettings) -> _Seen:
    """The upper case above the disc under level `last`, the lower one below it, blended over one disc."""
    above, below = upper.levels <= last, lower.levels > last
    seam_mm = (upper.points_mm[above][-1] + lower.points_mm[below][0])[0] / 2
    z = (torch.arange(settings.window_zyx[0]) + 0.5) * settings.spacing_mm
    share = ((z - seam_mm) / SEAM_MM + 0.5).clamp(0, 1)[:, None, None]
    more_above, more_below = upper.beyond_mm[:, 0] > seam_mm, lower.beyond_mm[:, 0] < seam_mm
    return _Seen(
        torch.lerp(lower.hu, upper.hu, share),
        np.concatenate([upper.points_mm[above], lower.points_mm[below]]),
        np.concatenate([upper.beyond_mm[more_above], lower.beyond_mm[more_below]]),
        np.concatenate([upper.levels[above], lower.levels[below]]),
    )


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
