"""Implicit solids and the canvas they are painted on.

A solid is a function that gives the distance in mm to its surface, negative inside, for open grids of x, y, z in LPS
mm, together with the box outside which it is empty.  Only the voxels of that box are ever touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.geometry import Geometry

from .spine import Frame

Array = NDArray[np.float32]
Distance = Callable[[Array, Array, Array], Array]
"""Distance in mm at x (1, 1, nx), y (1, ny, 1), z (nz, 1, 1), or at full arrays of one shape; result (nz, ny, nx)."""

CHUNK_VOXELS = 2_000_000


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
    """A float32 HU grid, air at first, on which solids are painted in order; later ones cover earlier ones."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.hu = np.full(geometry.shape_zyx, -1000.0, np.float32)
        shape_xyz = geometry.shape_zyx[::-1]
        self.axes_xyz_mm = [
            (origin + spacing * np.arange(count)).astype(np.float32)
            for origin, spacing, count in zip(geometry.origin_lps_mm, geometry.spacing_xyz_mm, shape_xyz, strict=True)
        ]
        self._softness_mm = float(np.mean(geometry.spacing_xyz_mm))

    def paint(self, solid: Solid, material: Material) -> None:
        """Blend `material` into the voxels of the solid; borders get the share of the voxel that they fill."""
        ranges = [self._range(axis, solid.box_lps_mm[:, axis]) for axis in range(3)]
        if any(start >= stop for start, stop in ranges):
            return
        (x0, x1), (y0, y1), (z0, z1) = ranges
        rows = max(1, CHUNK_VOXELS // ((x1 - x0) * (y1 - y0)))
        for start in range(z0, z1, rows):
            self._paint_part(
                (slice(start, min(start + rows, z1)), slice(y0, y1), slice(x0, x1)), solid.distance_mm, material
            )

    def paint_all(self, solids: Iterable[Solid], material: Material) -> None:
        """Paint several solids of one material."""
        for solid in solids:
            self.paint(solid, material)

    def _range(self, axis: int, bounds_mm: NDArray[np.float64]) -> tuple[int, int]:
        origin, spacing = self.geometry.origin_lps_mm[axis], self.geometry.spacing_xyz_mm[axis]
        start, stop = (bounds_mm - origin) / spacing
        return max(int(start) - 1, 0), min(int(np.ceil(stop)) + 2, len(self.axes_xyz_mm[axis]))

    def _paint_part(self, part: tuple[slice, slice, slice], distance: Distance, material: Material) -> None:
        z, y, x = (
            np.expand_dims(self.axes_xyz_mm[2 - i][index], tuple(other for other in range(3) if other != i))
            for i, index in enumerate(part)
        )
        depth = distance(x, y, z)
        target = self.hu[part]
        if isinstance(material, Bone):
            _blend(target, self._share(depth), material.shell_hu)
            _blend(target, self._share(depth + np.float32(material.shell_mm)), material.core_hu)
        else:
            _blend(target, self._share(depth), material[part] if isinstance(material, np.ndarray) else material)

    def _share(self, depth_mm: Array) -> Array:
        """Share of a voxel inside a surface at this distance."""
        return np.clip(0.5 - depth_mm / np.float32(self._softness_mm), 0, 1)


def _blend(target: Array, share: Array, hu: float | Array) -> None:
    target += share * (hu - target)


def box_around(points_mm: NDArray[np.float64], margin_mm: float) -> NDArray[np.float64]:
    """(2, 3) box around points (n, 3)."""
    return np.stack([points_mm.min(axis=0) - margin_mm, points_mm.max(axis=0) + margin_mm])


def ellipsoid(centre_mm: Iterable[float], radii_mm: Iterable[float], axes: NDArray[np.float64] | None = None) -> Solid:
    """Ellipsoid; `axes` rows are the directions of the radii (default x, y, z); distance exact on its surface only."""
    centre, radii = np.asarray(tuple(centre_mm), float), np.asarray(tuple(radii_mm), float)
    frame = Frame(centre, np.eye(3) if axes is None else axes)

    def distance(u: Array, v: Array, w: Array) -> Array:
        a, b, c = radii.astype(np.float32)
        return (np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2) - 1) * min(a, b, c)

    return in_frame(frame, distance, np.stack([-radii, radii]))


def in_frame(frame: Frame, distance: Distance, local_box_mm: NDArray[np.float64]) -> Solid:
    """A solid whose distance is given in the coordinates (left, back, up) of a frame."""
    corners = np.stack(np.meshgrid(*local_box_mm.T, indexing="ij"), axis=-1).reshape(-1, 3)
    origin, axes = frame.origin_lps_mm.astype(np.float32), frame.axes.astype(np.float32)

    def in_lps(x: Array, y: Array, z: Array) -> Array:
        dx, dy, dz = x - origin[0], y - origin[1], z - origin[2]
        return distance(*(row[0] * dx + row[1] * dy + row[2] * dz for row in axes))

    return Solid(box_around(frame.to_lps(corners), 0.0), in_lps)


def capsule(
    start: Iterable[float],
    stop: Iterable[float],
    radius_mm: float,
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Distance:
    """Distance to a rod with round ends; `stretch` widens it along single axes (a lamina is high but thin)."""

    def distance(u: Array, v: Array, w: Array) -> Array:
        # made here and not outside, for most rods of a body lie outside the canvas and are never asked
        scale = np.asarray(stretch, np.float32)
        a = np.asarray(tuple(start), np.float32) / scale
        d = np.asarray(tuple(stop), np.float32) / scale - a
        length2 = np.float32(max(float(d @ d), 1e-6))
        pu, pv, pw = u / scale[0] - a[0], v / scale[1] - a[1], w / scale[2] - a[2]
        along = np.clip((pu * d[0] + pv * d[1] + pw * d[2]) / length2, 0, 1)
        offset2 = (pu - along * d[0]) ** 2 + (pv - along * d[1]) ** 2 + (pw - along * d[2]) ** 2
        return np.sqrt(offset2) - np.float32(radius_mm)

    return distance


def union(parts: Iterable[Distance]) -> Distance:
    """The nearest of several surfaces."""
    members = tuple(parts)

    def distance(u: Array, v: Array, w: Array) -> Array:
        nearest = members[0](u, v, w)
        for member in members[1:]:
            nearest = np.minimum(nearest, member(u, v, w))
        return nearest

    return distance


def without(solid: Distance, hole: Distance) -> Distance:
    """A solid with another one cut out of it."""
    return lambda u, v, w: np.maximum(solid(u, v, w), -hole(u, v, w))


def tube(points_lps_mm: NDArray[np.float64], radii_mm: float | NDArray[np.float64]) -> list[Solid]:
    """Rods along a polyline (n, 3); `radii_mm` one or one per point."""
    radii = np.broadcast_to(radii_mm, len(points_lps_mm))
    return [
        Solid(
            box_around(points_lps_mm[i : i + 2], float(radii[i : i + 2].max())),
            capsule(points_lps_mm[i], points_lps_mm[i + 1], float(radii[i : i + 2].mean())),
        )
        for i in range(len(points_lps_mm) - 1)
    ]


def paint_bone_tube(canvas: Canvas, points_lps_mm: NDArray[np.float64], radii_mm: float, bone: Bone) -> None:
    """A tubular bone; all shells before all cores, so that no shell crosses the marrow at a joint of the polyline."""
    canvas.paint_all(tube(points_lps_mm, radii_mm), bone.shell_hu)
    if radii_mm > bone.shell_mm:
        canvas.paint_all(tube(points_lps_mm, radii_mm - bone.shell_mm), bone.core_hu)
