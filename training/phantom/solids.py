"""Implicit solids and the canvas they are painted on.

A solid is a function that gives the distance in mm to its surface, negative inside, for open grids of x, y, z in LPS
mm, together with the box outside which it is empty.  Only the voxels of that box are ever touched.  The grids are
NumPy arrays or torch tensors; the distances use only what both understand, so one code paints on the host and on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.geometry import Geometry

from .spine import Frame

Array = Any
"""A float32 NumPy array or torch tensor."""
Distance = Callable[[Array, Array, Array], Array]
"""Distance in mm at x (1, 1, nx), y (1, ny, 1), z (nz, 1, 1), or at full arrays of one shape; result (nz, ny, nx)."""

CHUNK_VOXELS = 250_000


@dataclass(frozen=True)
class Solid:
    """box_lps_mm: (2, 3) lower and upper corner.  distance_mm: see `Distance`."""

    box_lps_mm: NDArray[np.float64]
    distance_mm: Distance


@dataclass(frozen=True)
class Bone:
    """Spongiosa inside a cortical shell."""

    core_hu: float
    shell_hu: float = 600.0
    shell_mm: float = 1.2


Material = float | Bone | Array
"""HU of a solid: one value, bone, or a field of HU as large as the canvas."""


class Canvas:
    """A float32 HU grid, air at first, on which solids are painted in order; later ones cover earlier ones.

    device: None for NumPy on the host, else where torch paints ("cpu", "cuda").
    """

    def __init__(self, geometry: Geometry, device: str | None = None) -> None:
        self.geometry = geometry
        self.device = device
        self.hu = self.array(np.full(geometry.shape_zyx, -1000.0, np.float32))
        shape_xyz = geometry.shape_zyx[::-1]
        self.axes_xyz_mm = [
            self.array(origin + spacing * np.arange(count))
            for origin, spacing, count in zip(geometry.origin_lps_mm, geometry.spacing_xyz_mm, shape_xyz, strict=True)
        ]
        self._softness_mm = float(np.mean(geometry.spacing_xyz_mm))

    def array(self, values: NDArray[Any]) -> Array:
        """`values` as float32 where this canvas lives."""
        values = np.ascontiguousarray(values, np.float32)
        if self.device is None:
            return values
        import torch

        return torch.from_numpy(values).to(self.device)

    def smooth_field(self, feature_mm: float, rng: np.random.Generator) -> Array:
        """Unit-variance noise (nz, ny, nx) whose features are about `feature_mm` wide."""
        spacing_zyx, shape = self.geometry.spacing_xyz_mm[::-1], self.geometry.shape_zyx
        cells = [max(feature_mm / spacing, 1.0) for spacing in spacing_zyx]
        count = [int(n / cell) + 4 for n, cell in zip(shape, cells, strict=True)]
        field = self.array(rng.standard_normal(count, dtype=np.float32))
        z, y, x = (
            self.array(_interpolation(*sizes, float(rng.random()))) for sizes in zip(shape, count, cells, strict=True)
        )
        field = y @ (field @ x.T)
        return (z @ field.reshape(count[0], -1)).reshape(shape)

    def paint(self, solid: Solid, material: Material) -> None:
        """Blend `material` into the voxels of the solid; borders get the share of the voxel that they fill."""
        ranges = [self._range(axis, solid.box_lps_mm[:, axis]) for axis in range(3)]
        if any(start >= stop for start, stop in ranges):
            return
        (x0, x1), (y0, y1), (z0, z1) = ranges
        rows = max(1, CHUNK_VOXELS // ((x1 - x0) * (y1 - y0))) if self.device is None else z1 - z0
        for start in range(z0, z1, rows):
            part = (slice(start, min(start + rows, z1)), slice(y0, y1), slice(x0, x1))
            self._paint_part(part, solid.distance_mm, material)

    def paint_all(self, solids: Iterable[Solid], material: Material) -> None:
        """Paint several solids of one material."""
        for solid in solids:
            self.paint(solid, material)

    def paint_bone(self, solids: Sequence[Solid], bone: Bone) -> None:
        """Solids of one bone: all shells before all cores, so that no shell crosses the marrow where they meet."""
        self.paint_all(solids, bone.shell_hu)
        self.paint_all((Solid(s.box_lps_mm, _inset(s.distance_mm, bone.shell_mm)) for s in solids), bone.core_hu)

    def _range(self, axis: int, bounds_mm: NDArray[np.float64]) -> tuple[int, int]:
        origin, spacing = self.geometry.origin_lps_mm[axis], self.geometry.spacing_xyz_mm[axis]
        start, stop = ((float(bound) - origin) / spacing for bound in bounds_mm)
        return max(int(start) - 1, 0), min(int(np.ceil(stop)) + 2, self.geometry.shape_zyx[2 - axis])

    def _paint_part(self, part: tuple[slice, slice, slice], distance: Distance, material: Material) -> None:
        x, y, z = (axis[index] for axis, index in zip(self.axes_xyz_mm, part[::-1], strict=True))
        depth = distance(x[None, None, :], y[None, :, None], z[:, None, None])
        target = self.hu[part]
        if isinstance(material, Bone):
            _blend(target, self._share(depth), material.shell_hu)
            _blend(target, self._share(depth + material.shell_mm), material.core_hu)
        else:
            _blend(target, self._share(depth), material if isinstance(material, int | float) else material[part])

    def _share(self, depth_mm: Array) -> Array:
        """Share of a voxel inside a surface at this distance."""
        return (0.5 - depth_mm * (1 / self._softness_mm)).clip(0, 1)


def _interpolation(fine: int, coarse: int, cells: float, shift: float) -> NDArray[np.float64]:
    """(fine, coarse) linear interpolation, each row scaled to keep the variance of independent samples."""
    place = np.arange(fine)[:, None] / cells + 1 + shift
    weights = np.clip(1 - np.abs(place - np.arange(coarse)), 0, 1)
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def _blend(target: Array, share: Array, hu: float | Array) -> None:
    target += share * (hu - target)


def _inset(distance: Distance, by_mm: float) -> Distance:
    return lambda u, v, w: distance(u, v, w) + by_mm


def slabs(hu: Array) -> Iterator[slice]:
    """Ranges of slices to work on at a time: few on the host, where a slab should fit the cache, all on a device."""
    step = SLAB_SLICES if isinstance(hu, np.ndarray) else len(hu)
    for start in range(0, len(hu), step):
        yield slice(start, start + step)


SLAB_SLICES = 6


def maximum(a: Array, b: Array) -> Array:
    """Element-wise maximum of two arrays or two tensors."""
    return np.maximum(a, b) if isinstance(a, np.ndarray) else a.maximum(b)


def minimum(a: Array, b: Array) -> Array:
    """Element-wise minimum of two arrays or two tensors."""
    return np.minimum(a, b) if isinstance(a, np.ndarray) else a.minimum(b)


def interpolated(z: Array, at: NDArray[np.float64], values: NDArray[np.float64]) -> Array:
    """`np.interp` of a table at the heights z (nz, 1, 1), where z lives."""
    if isinstance(z, np.ndarray):
        return np.interp(z, at, values).astype(np.float32)
    return z.new_tensor(np.interp(z.cpu().numpy(), at, values))


def box_around(points_mm: NDArray[np.float64], margin_mm: float) -> NDArray[np.float64]:
    """(2, 3) box around points (n, 3)."""
    return np.stack([points_mm.min(axis=0) - margin_mm, points_mm.max(axis=0) + margin_mm])


def ellipsoid(centre_mm: Iterable[float], radii_mm: Iterable[float], axes: NDArray[np.float64] | None = None) -> Solid:
    """Ellipsoid; `axes` rows are the directions of the radii (default x, y, z); distance exact on its surface only."""
    centre, radii = np.asarray(tuple(centre_mm), float), np.asarray(tuple(radii_mm), float)
    a, b, c = radii.tolist()

    def distance(u: Array, v: Array, w: Array) -> Array:
        return (((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2) ** 0.5 - 1) * min(a, b, c)

    return in_frame(Frame(centre, np.eye(3) if axes is None else axes), distance, np.stack([-radii, radii]))


def in_frame(frame: Frame, distance: Distance, local_box_mm: NDArray[np.float64]) -> Solid:
    """A solid whose distance is given in the coordinates (left, back, up) of a frame."""
    (ox, oy, oz), axes = frame.origin_lps_mm.tolist(), frame.axes.tolist()

    def in_lps(x: Array, y: Array, z: Array) -> Array:
        dx, dy, dz = x - ox, y - oy, z - oz
        return distance(*(row[0] * dx + row[1] * dy + row[2] * dz for row in axes))

    # the box of a turned box: centre plus the absolute turned half sizes
    middle, half = local_box_mm.mean(axis=0), np.ptp(local_box_mm, axis=0) / 2
    reach = half @ np.abs(frame.axes)
    centre = middle @ frame.axes + frame.origin_lps_mm
    return Solid(np.stack([centre - reach, centre + reach]), in_lps)


Point = Sequence[float]


def capsule(start: Point, stop: Point, radius_mm: float, stretch: Point = (1.0, 1.0, 1.0)) -> Distance:
    """Distance to a rod with round ends; `stretch` widens it along single axes (a lamina is high but thin)."""
    sx, sy, sz = (float(value) for value in stretch)
    ax, ay, az = float(start[0]) / sx, float(start[1]) / sy, float(start[2]) / sz
    bx, by, bz = float(stop[0]) / sx - ax, float(stop[1]) / sy - ay, float(stop[2]) / sz - az
    length2 = max(bx * bx + by * by + bz * bz, 1e-6)
    cx, cy, cz = bx / length2, by / length2, bz / length2

    def distance(u: Array, v: Array, w: Array) -> Array:
        pu, pv, pw = u / sx - ax, v / sy - ay, w / sz - az
        along = (pu * cx + pv * cy + pw * cz).clip(0, 1)
        return ((pu - along * bx) ** 2 + (pv - along * by) ** 2 + (pw - along * bz) ** 2) ** 0.5 - radius_mm

    return distance


def rod(frame: Frame, start: Point, stop: Point, radius_mm: float, stretch: Point = (1.0, 1.0, 1.0)) -> Solid:
    """A `capsule` in the coordinates of a frame, with its own box."""
    ends = np.array([start, stop], float)
    reach = radius_mm * np.asarray(stretch, float)
    box = np.stack([ends.min(axis=0) - reach, ends.max(axis=0) + reach])
    return in_frame(frame, capsule(start, stop, radius_mm, stretch), box)


def without(solid: Distance, hole: Distance) -> Distance:
    """A solid with another one cut out of it."""
    return lambda u, v, w: maximum(solid(u, v, w), -hole(u, v, w))


def cut_out(solids: Iterable[Solid], hole: Distance) -> list[Solid]:
    """Each of the solids without the hole (a distance in LPS)."""
    return [Solid(solid.box_lps_mm, without(solid.distance_mm, hole)) for solid in solids]


def tube(
    points_lps_mm: NDArray[np.float64], radii_mm: float | NDArray[np.float64], stretch_z: float = 1.0
) -> list[Solid]:
    """Rods along a polyline (n, 3); `radii_mm` one or one per point; `stretch_z` makes them higher than thick."""
    points = np.asarray(points_lps_mm, float)
    radii = np.broadcast_to(np.asarray(radii_mm, float), len(points))
    low, high = np.minimum(points[:-1], points[1:]), np.maximum(points[:-1], points[1:])
    widest = np.maximum(radii[:-1], radii[1:])[:, None] * np.array([1.0, 1.0, stretch_z])
    boxes = np.stack([low - widest, high + widest], axis=1)
    mean, ends = ((radii[:-1] + radii[1:]) / 2).tolist(), points.tolist()
    stretch = (1.0, 1.0, stretch_z)
    return [Solid(boxes[i], capsule(ends[i], ends[i + 1], mean[i], stretch)) for i in range(len(points) - 1)]


def paint_bone_tube(
    canvas: Canvas, points_lps_mm: NDArray[np.float64], radii_mm: float, bone: Bone, stretch_z: float = 1.0
) -> None:
    """A tubular bone along a polyline (n, 3)."""
    canvas.paint_all(tube(points_lps_mm, radii_mm, stretch_z), bone.shell_hu)
    if radii_mm > bone.shell_mm:
        canvas.paint_all(tube(points_lps_mm, radii_mm - bone.shell_mm, stretch_z), bone.core_hu)
