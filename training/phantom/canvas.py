"""The canvas that solids are painted on, and what they are painted with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.geometry import Geometry

from .distances import Array, Distance, inset
from .solids import Solid, tube

CHUNK_VOXELS = 250_000
Ranges = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First voxel and the one after the last, along z, y and x."""


@dataclass(frozen=True)
class Bone:
    """Spongiosa inside a cortical shell."""

    core_hu: float
    shell_hu: float = 600.0
    shell_mm: float = 1.2


Material = float | Array
"""HU of a solid: one value, or a field of HU as large as the canvas."""


@dataclass(frozen=True)
class Stroke:
    """A solid of one material, and the voxels of a canvas that it can reach."""

    ranges: Ranges
    distance_mm: Distance
    material: Material

    @property
    def is_plain(self) -> bool:
        """Whether one HU is all that it paints."""
        return isinstance(self.material, int | float)


class Canvas:
    """A float32 HU grid, air at first, on which solids are painted in order; later ones cover earlier ones.

    device: None for NumPy on the host, which paints at once.  Else ("cpu", "cuda") torch paints there, and everything
    waits in `layers` for `lockstep.paint_waiting`, as a device paints much at once faster than one after another; the
    strokes of a layer are of one material and may be painted in any order.
    """

    def __init__(self, geometry: Geometry, device: str | None = None) -> None:
        self.geometry = geometry
        self.device = device
        self.hu = self.array(np.full(geometry.shape_zyx, -1000.0, np.float32))
        self.layers: list[list[Stroke]] = []
        shape_xyz = geometry.shape_zyx[::-1]
        self._axes_xyz_mm = [
            self.array(origin + spacing * np.arange(count))
            for origin, spacing, count in zip(geometry.origin_lps_mm, geometry.spacing_xyz_mm, shape_xyz, strict=True)
        ]

    @property
    def per_mm(self) -> float:
        """How fast the share of a voxel that a solid fills falls with the distance to its surface."""
        return 1 / float(np.mean(self.geometry.spacing_xyz_mm))

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

    def paint(self, solid: Solid, material: Material | Bone) -> None:
        """Blend `material` into the voxels of the solid; borders get the share of the voxel that they fill."""
        if isinstance(material, Bone):
            self.paint_bone([solid], material)
        else:
            self.paint_all([solid], material)

    def paint_all(self, solids: Iterable[Solid], material: Material) -> None:
        """Paint several solids of one material."""
        strokes = (Stroke(self._ranges(solid.box_lps_mm), solid.distance_mm, material) for solid in solids)
        layer = [stroke for stroke in strokes if all(start < stop for start, stop in stroke.ranges)]
        if self.device is not None:
            self.layers.append(layer)
            return
        for stroke in layer:
            self.paint_stroke(stroke)

    def paint_bone(self, solids: Sequence[Solid], bone: Bone) -> None:
        """Solids of one bone: all shells before all cores, so that no shell crosses the marrow where they meet."""
        self.paint_all(solids, bone.shell_hu)
        self.paint_all((Solid(s.box_lps_mm, inset(s.distance_mm, bone.shell_mm)) for s in solids), bone.core_hu)

    def paint_stroke(self, stroke: Stroke) -> None:
        """Paint it now; on the host few slices at a time, which should fit the cache."""
        (z0, z1), (y0, y1), (x0, x1) = stroke.ranges
        rows = max(1, CHUNK_VOXELS // ((x1 - x0) * (y1 - y0))) if self.device is None else z1 - z0
        for start in range(z0, z1, rows):
            part = (slice(start, min(start + rows, z1)), slice(y0, y1), slice(x0, x1))
            x, y, z = (axis[index] for axis, index in zip(self._axes_xyz_mm, part[::-1], strict=True))
            depth_mm = stroke.distance_mm(x[None, None, :], y[None, :, None], z[:, None, None])
            hu, target = (stroke.material if stroke.is_plain else stroke.material[part]), self.hu[part]
            target += filled(depth_mm, self.per_mm) * (hu - target)

    def _ranges(self, box_lps_mm: NDArray[np.float64]) -> Ranges:
        x, y, z = (self._range(axis, box_lps_mm[:, axis]) for axis in range(3))
        return z, y, x

    def _range(self, axis: int, bounds_mm: NDArray[np.float64]) -> tuple[int, int]:
        origin, spacing = self.geometry.origin_lps_mm[axis], self.geometry.spacing_xyz_mm[axis]
        start, stop = ((float(bound) - origin) / spacing for bound in bounds_mm)
        return max(int(start) - 1, 0), min(int(np.ceil(stop)) + 2, self.geometry.shape_zyx[2 - axis])


def filled(depth_mm: Array, per_mm: float | Array) -> Array:
    """Share of a voxel that lies inside a surface at this distance; per_mm: see `Canvas.per_mm`."""
    return (0.5 - depth_mm * per_mm).clip(0, 1)


def _interpolation(fine: int, coarse: int, cells: float, shift: float) -> NDArray[np.float64]:
    """(fine, coarse) linear interpolation, each row scaled to keep the variance of independent samples."""
    place = np.arange(fine)[:, None] / cells + 1 + shift
    weights = np.clip(1 - np.abs(place - np.arange(coarse)), 0, 1)
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def slabs(hu: Array) -> Iterator[slice]:
    """Ranges of slices to work on at a time: few on the host, where a slab should fit the cache, all on a device."""
    step = SLAB_SLICES if isinstance(hu, np.ndarray) else len(hu)
    for start in range(0, len(hu), step):
        yield slice(start, start + step)


SLAB_SLICES = 6


def paint_bone_tube(
    canvas: Canvas, points_lps_mm: NDArray[np.float64], radii_mm: float, bone: Bone, stretch_z: float = 1.0
) -> None:
    """A tubular bone along a polyline (n, 3)."""
    canvas.paint_all(tube(points_lps_mm, radii_mm, stretch_z), bone.shell_hu)
    if radii_mm > bone.shell_mm:
        canvas.paint_all(tube(points_lps_mm, radii_mm - bone.shell_mm, stretch_z), bone.core_hu)
