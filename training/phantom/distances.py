"""Distances to surfaces as data: a formula, its numbers, and the distances that it is made of.

As a distance says which formula it is, many of one kind become a single one by stacking their numbers; `lockstep`
evaluates them at once.  The grids are NumPy arrays or torch tensors; a formula uses only what both understand, so one
code paints on the host and on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .spine import Frame

Array = Any
"""A float32 NumPy array or torch tensor."""
Formula = Callable[..., Array]
"""formula(x, y, z, *numbers, *parts): numbers are floats, or tensors (n, 1, 1, 1) of n distances at once."""
Kind = tuple[Any, ...]
Point = Sequence[float]


@dataclass(frozen=True)
class Distance:
    """Distance in mm to a surface, negative inside.

    A closure over other things may be a formula without numbers; it is then the only one of its kind.
    """

    formula: Formula
    numbers: tuple[float, ...] = ()
    parts: tuple[Distance, ...] = ()

    def __call__(self, x: Array, y: Array, z: Array) -> Array:
        """At x (1, 1, nx), y (1, ny, 1), z (nz, 1, 1), or at full arrays of one shape; result (nz, ny, nx)."""
        return self.formula(x, y, z, *self.numbers, *self.parts)

    @property
    def kind(self) -> Kind:
        """Equal for distances that differ in their numbers only."""
        return self.formula, len(self.numbers), *(part.kind for part in self.parts)

    def all_numbers(self) -> tuple[float, ...]:
        """Its own numbers, then those of its parts."""
        return *self.numbers, *(number for part in self.parts for number in part.all_numbers())

    def with_numbers(self, numbers: Iterator[Array]) -> Distance:
        """The same kind with other numbers, taken in the order of `all_numbers`."""
        own = tuple(islice(numbers, len(self.numbers)))
        return Distance(self.formula, own, tuple(part.with_numbers(numbers) for part in self.parts))


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


def ellipsoid_distance(radii_mm: Point) -> Distance:
    """Distance to an ellipsoid around the origin, exact on its surface only."""
    return Distance(_ellipsoid, (*radii_mm, min(radii_mm)))


def _ellipsoid(u: Array, v: Array, w: Array, a: Array, b: Array, c: Array, smallest: Array) -> Array:
    return (((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2) ** 0.5 - 1) * smallest


def elliptic_cylinder(a_mm: float, b_mm: float, back_mm: float) -> Distance:
    """Distance to an endless upright cylinder with these half axes whose axis lies `back_mm` behind the origin."""
    return Distance(_elliptic_cylinder, (a_mm, b_mm, back_mm, min(a_mm, b_mm)))


def _elliptic_cylinder(u: Array, v: Array, w: Array, a: Array, b: Array, back: Array, smallest: Array) -> Array:
    return (((u / a) ** 2 + ((v - back) / b) ** 2) ** 0.5 - 1) * smallest


def capsule(start: Point, stop: Point, radius_mm: float, stretch: Point = (1.0, 1.0, 1.0)) -> Distance:
    """Distance to a rod with round ends; `stretch` widens it along single axes (a lamina is high but thin)."""
    sx, sy, sz = (float(value) for value in stretch)
    ax, ay, az = float(start[0]) / sx, float(start[1]) / sy, float(start[2]) / sz
    bx, by, bz = float(stop[0]) / sx - ax, float(stop[1]) / sy - ay, float(stop[2]) / sz - az
    length2 = max(bx * bx + by * by + bz * bz, 1e-6)
    cx, cy, cz = bx / length2, by / length2, bz / length2
    return Distance(_capsule, (sx, sy, sz, ax, ay, az, bx, by, bz, cx, cy, cz, radius_mm))


def _capsule(u: Array, v: Array, w: Array, *numbers: Array) -> Array:
    sx, sy, sz, ax, ay, az, bx, by, bz, cx, cy, cz, radius = numbers
    pu, pv, pw = u / sx - ax, v / sy - ay, w / sz - az
    along = (pu * cx + pv * cy + pw * cz).clip(0, 1)
    return ((pu - along * bx) ** 2 + (pv - along * by) ** 2 + (pw - along * bz) ** 2) ** 0.5 - radius


def turned(frame: Frame, local: Distance) -> Distance:
    """A distance in LPS, given in the coordinates (left, back, up) of a frame."""
    return Distance(_turned, (*frame.origin_lps_mm.tolist(), *frame.axes.ravel().tolist()), (local,))


def _turned(x: Array, y: Array, z: Array, ox: Array, oy: Array, oz: Array, *rest: Any) -> Array:
    *axes, local = rest
    dx, dy, dz = x - ox, y - oy, z - oz
    return local(*(axes[i] * dx + axes[i + 1] * dy + axes[i + 2] * dz for i in (0, 3, 6)))


def inset(distance: Distance, by_mm: float) -> Distance:
    """The same solid with its surface moved inwards."""
    return Distance(_inset, (by_mm,), (distance,))


def _inset(u: Array, v: Array, w: Array, by_mm: Array, distance: Distance) -> Array:
    return distance(u, v, w) + by_mm


def without(solid: Distance, hole: Distance) -> Distance:
    """A solid with another one cut out of it."""
    return Distance(_without, (), (solid, hole))


def _without(u: Array, v: Array, w: Array, solid: Distance, hole: Distance) -> Array:
    return maximum(solid(u, v, w), -hole(u, v, w))
