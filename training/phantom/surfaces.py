"""Surfaces of real vertebrae as signed distances in the vertebra's own frame; read at run time, never stored here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.files import atomic_write

from .body_frame import PointDistance, Vector, endplate_normal, measure_body
from .meshes import read_surface, signed_distance, surface_points, transformed

GRID_MM = 1.0
FINE_MM = 0.5
OPEN_MM = 40.0
"""A surface with longer open borders is cut off by the end of its scan."""
STORE = "shapes.npz"
METHOD = "2"
"""Part of what a stored file is known by: to be changed with everything that changes what is stored."""


@dataclass(frozen=True)
class Shape:
    """One vertebra in its own frame: left u, back v, up w in mm from the middle of its body.

    distance_mm: (nw, nv, nu) float32, negative inside, on a grid of `GRID_MM` whose first voxel lies at corner_mm (3,)
    as (u, v, w).  size_mm: width, depth and height of the body.  tips_mm: (2, 3) tips of the transverse processes,
    right and left.  spinous_mm: how far behind the middle of the body the spinous process ends.
    """

    level: Level
    distance_mm: NDArray[np.float32]
    corner_mm: Vector
    size_mm: Vector
    tips_mm: Vector
    spinous_mm: float


@dataclass(frozen=True, eq=False)
class Shapes:
    """All shapes of a folder, by level."""

    by_level: Mapping[Level, tuple[Shape, ...]]

    def candidates(self, level: Level) -> tuple[Shape, ...]:
        """Shapes for a level: its own, else those of the nearest level of its region at most two away.

        C7 may borrow from T1, which it resembles.  Empty where nothing resembles it.
        """
        alike = [known for known in self.by_level if known.region is level.region and abs(known - level) <= 2]
        if level is Level.C7 and Level.T1 in self.by_level and level not in self.by_level:
            alike = [Level.T1]
        nearest = min(alike, key=lambda known: abs(known - level), default=None)
        return () if nearest is None else self.by_level[nearest]


def read_shapes(folder: Path, cache: Path | None = None) -> Shapes:
    """The shapes of all surfaces `*<level>.vtp` (mm, z up) at any depth of the folder; cut-off ones are left out.

    cache: folder that keeps them for the next time.  Level names in file names end them: `08_T1.vtp`, `L3.vtp`.
    InputError when there is none; UsageError without vtk.
    """
    files = {file: level for file in sorted(folder.rglob("*.vtp")) if (level := _level_of(file)) is not None}
    if not files:
        raise InputError(f"No surface of a vertebra is in '{folder}': they are files such as 08_T1.vtp or L3.vtp.")
    key = METHOD + "".join(f";{file.relative_to(folder)}:{file.stat().st_size}" for file in files)
    stored = _load(cache / STORE, key) if cache else None
    shapes = stored or [shape for file, level in files.items() if (shape := _shape_of(file, level))]
    if not shapes:
        raise InputError(f"Every surface in '{folder}' is cut off; give whole vertebrae.")
    if cache and not stored:
        _store(cache / STORE, key, shapes)
    levels = sorted({shape.level for shape in shapes})
    return Shapes({level: tuple(shape for shape in shapes if shape.level is level) for level in levels})


def _level_of(file: Path) -> Level | None:
    match = re.fullmatch(r"(?:.*[^A-Za-z])?([CTL]\d+)", file.stem)
    return Level.__members__.get(match[1]) if match else None


def _shape_of(file: Path, level: Level) -> Shape | None:
    """None when the surface is cut off by the end of its scan."""
    surface, open_mm = read_surface(file)
    if open_mm > OPEN_MM:
        return None
    try:
        return shape_of_surface(surface, level)
    except ValueError as error:
        raise InputError(f"'{file}' is no surface of a vertebra in mm with z upwards: {error}.") from error


def shape_of_surface(surface: Any, level: Level) -> Shape:
    """The shape of a closed vtkPolyData (mm, z up); ValueError when it has no body."""
    origin, axes = _find_frame(surface)
    turned = transformed(surface, origin, axes)
    distance, corner = signed_distance(turned, FINE_MM)
    every = round(GRID_MM / FINE_MM)
    distance = distance[::every, ::every, ::every]
    body = measure_body(_at_points(distance, corner, GRID_MM), np.zeros(3), _rough_size(distance, GRID_MM))
    points = surface_points(turned) - body.middle_mm
    behind = points[points[:, 1] > body.size_mm[1] / 2]
    tips = [_tip(behind * [side, 1, 1]) * [side, 1, 1] for side in (-1, 1)]
    return Shape(
        level, np.ascontiguousarray(distance), corner - body.middle_mm, body.size_mm, np.array(tips),
        float(points[:, 1].max()),
    )  # fmt: skip


def _find_frame(surface: Any) -> tuple[Vector, Vector]:
    """Middle of the body and axes (rows left, back, up) of a surface in the coordinates of its file."""
    distance, corner = signed_distance(surface, GRID_MM)
    at_points = _at_points(distance, corner, GRID_MM)
    origin, rest = (place[::-1] * GRID_MM + corner for place in _body_and_all(distance))
    axes, size = _axes(rest - origin, np.array([0.0, 0.0, 1.0])), _rough_size(distance, GRID_MM)
    for _ in range(4):
        local = _in_axes(at_points, origin, axes)
        axes = _axes(axes[1], endplate_normal(local, np.zeros(3), size) @ axes)
        axes = _most_symmetric(at_points, origin, axes)
        body = measure_body(_in_axes(at_points, origin, axes), np.zeros(3), size)
        origin, size = origin + body.middle_mm @ axes, body.size_mm
    return origin, axes


def _body_and_all(distance_mm: Vector) -> tuple[Vector, Vector]:
    """Middles, in voxels, of the thickest part of a vertebra, which is its body, and of all of it."""
    labels, _ = ndimage.label(distance_mm < 0.5 * distance_mm.min())
    body = labels == labels[np.unravel_index(distance_mm.argmin(), labels.shape)]
    return np.argwhere(body).mean(axis=0), np.argwhere(distance_mm < 0).mean(axis=0)


def _rough_size(distance_mm: Vector, grid_mm: float) -> Vector:
    """A first guess of (width, depth, height) from the thickness, which is the height."""
    return -2 * float(distance_mm.min()) * np.array([1.4, 1.2, 1.0])


def _axes(back: Vector, up: Vector) -> Vector:
    back = back - up * (back @ up)
    back = back / np.linalg.norm(back)
    return np.stack([np.cross(back, up), back, up])


def _most_symmetric(at_points: PointDistance, origin: Vector, axes: Vector) -> Vector:
    """The axes turned about up so that left and right are most alike."""
    u, v, w = (grid.ravel() for grid in np.meshgrid(np.arange(1, 45, 3), np.arange(-20, 70, 3), np.arange(-30, 30, 3)))
    best = (np.inf, axes)
    for angle in np.radians(np.arange(-10, 10.5, 1.0)):
        turned = _axes(np.cos(angle) * axes[1] + np.sin(angle) * axes[0], axes[2])
        local = _in_axes(at_points, origin, turned)
        left, right = (np.clip(local(np.stack([side * u, v, w], axis=1)), -3, 3) for side in (1, -1))
        best = min(best, (float(np.abs(left - right).sum()), turned), key=lambda pair: pair[0])
    return best[1]


def _tip(points_mm: Vector) -> Vector:
    """Mean of the points within 3 mm of the one that lies furthest to the left."""
    return points_mm[points_mm[:, 0] > points_mm[:, 0].max() - 3].mean(axis=0)


def _in_axes(at_points: PointDistance, origin: Vector, axes: Vector) -> PointDistance:
    return lambda local_mm: at_points(local_mm @ axes + origin)


def _at_points(distance_mm: Vector, corner_mm: Vector, grid_mm: float) -> PointDistance:
    def at_points(points_mm: Vector) -> Vector:
        index = ((points_mm - corner_mm) / grid_mm)[:, ::-1].T
        return ndimage.map_coordinates(distance_mm, index, order=1, mode="nearest")

    return at_points


def _store(file: Path, key: str, shapes: Sequence[Shape]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"key": key, "levels": [shape.level.name for shape in shapes]}
    for i, shape in enumerate(shapes):
        numbers = [*shape.corner_mm, *shape.size_mm, *shape.tips_mm.ravel(), shape.spinous_mm]
        arrays |= {f"distance{i}": shape.distance_mm.astype(np.float16), f"numbers{i}": np.array(numbers)}
    with atomic_write(file) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _load(file: Path, key: str) -> list[Shape] | None:
    """What was stored of these surfaces; None where it was of others."""
    if not file.exists():
        return None
    with np.load(file) as arrays:
        if str(arrays["key"]) != key:
            return None
        return [_unpack(arrays, i, str(name)) for i, name in enumerate(arrays["levels"])]


def _unpack(arrays: Mapping[str, Any], i: int, name: str) -> Shape:
    corner, size, right, left = arrays[f"numbers{i}"][:12].reshape(4, 3)
    spinous = float(arrays[f"numbers{i}"][12])
    return Shape(Level[name], arrays[f"distance{i}"].astype(np.float32), corner, size, np.stack([right, left]), spinous)
