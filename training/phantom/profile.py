"""Cross-sections of chest and trunk by height, tied to the levels of the drawn column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level

from . import tables
from .distances import Array, Distance, interpolated, minimum
from .solids import Solid
from .spine import Spine

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """An upright tube of superelliptic sections; arrays (n,) by rising height z, LPS mm."""

    z_mm: Vector
    centre_x_mm: Vector
    centre_y_mm: Vector
    half_x_mm: Vector
    half_y_mm: Vector
    power: float = 2.0

    def at(self, z_mm: Vector | float) -> tuple[Vector, ...]:
        """centre x, centre y, half x, half y at these heights."""
        columns = (self.centre_x_mm, self.centre_y_mm, self.half_x_mm, self.half_y_mm)
        return tuple(np.interp(z_mm, self.z_mm, column) for column in columns)

    def inset(self, amount_mm: float) -> Profile:
        """The same tube with walls moved inwards (negative: outwards)."""
        half_x, half_y = (np.maximum(half - amount_mm, 5.0) for half in (self.half_x_mm, self.half_y_mm))
        return Profile(self.z_mm, self.centre_x_mm, self.centre_y_mm, half_x, half_y, self.power)

    def distance(self) -> Distance:
        """Distance to the wall, exact near it only: the root of the superellipse is taken to first order."""

        def distance(x: Array, y: Array, z: Array) -> Array:
            columns = (self.centre_x_mm, self.centre_y_mm, self.half_x_mm, self.half_y_mm)
            cx, cy, a, b = (interpolated(z, self.z_mm, column) for column in columns)
            p = self.power
            thick = minimum(a, b) / p
            return abs((x - cx) / a) ** p * thick + (abs((y - cy) / b) ** p - 1) * thick

        return Distance(distance)

    def solid(self, distance: Distance | None = None) -> Solid:
        """The tube (or a solid inside it) with its box; the tube ends at its lowest and highest section."""
        low = (np.min(self.centre_x_mm - self.half_x_mm), np.min(self.centre_y_mm - self.half_y_mm), self.z_mm[0])
        high = (np.max(self.centre_x_mm + self.half_x_mm), np.max(self.centre_y_mm + self.half_y_mm), self.z_mm[-1])
        return Solid(np.array([low, high]), distance or self.distance())


def chest_profile(spine: Spine) -> Profile:
    """Surface on which the ribs lie, C7 to L4."""
    nodes = [(spine[level].frame.origin_lps_mm, size) for level, size in _present(spine, tables.CHEST)]
    return _profile(nodes, spine.stature, 2.15)


def trunk_profile(spine: Spine) -> Profile:
    """Outer surface of the muscles from the neck to the thighs."""
    nodes = [(spine[level].frame.origin_lps_mm, size) for level, size in _present(spine, tables.TRUNK)]
    s2 = spine[Level.S2].frame.origin_lps_mm
    for height, *size in tables.TRUNK_BELOW_S2:
        nodes.append((s2 + np.array([0.0, 0.0, height]), tuple(size)))
    return _profile(nodes, spine.stature, 2.4)


def _present(
    spine: Spine, table: dict[Level, tuple[float, float, float]]
) -> list[tuple[Level, tuple[float, float, float]]]:
    """Rows of a table for levels this column has; one it lacks (T12, L5) lends its row to the level above."""
    rows = {}
    for level, size in table.items():
        rows[max(present for present in spine.levels if present <= level)] = size
    return list(rows.items())


def _profile(nodes: list[tuple[Vector, tuple[float, ...]]], scale: float, power: float) -> Profile:
    rows = sorted((origin[2], origin[0], origin[1], *(scale * value for value in size)) for origin, size in nodes)
    z, x, y, half, front, back = np.array(rows).T
    return Profile(z, x, y + (back - front) / 2, half, (front + back) / 2, power)
