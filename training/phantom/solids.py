"""Implicit solids: a distance to a surface together with the box outside which it is empty, all in LPS mm.

Only the voxels of that box are ever touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .distances import Distance, Point, capsule, ellipsoid_distance, turned, without
from .spine import Frame


@dataclass(frozen=True)
class Solid:
    """box_lps_mm: (2, 3) lower and upper corner.  distance_mm: to its surface at places in LPS mm."""

    box_lps_mm: NDArray[np.float64]
    distance_mm: Distance


def ellipsoid(centre_mm: Iterable[float], radii_mm: Iterable[float], axes: NDArray[np.float64] | None = None) -> Solid:
    """Ellipsoid; `axes` rows are the directions of the radii (default x, y, z); distance exact on its surface only."""
    centre, radii = np.asarray(tuple(centre_mm), float), np.asarray(tuple(radii_mm), float)
    frame = Frame(centre, np.eye(3) if axes is None else axes)
    return in_frame(frame, ellipsoid_distance(radii.tolist()), np.stack([-radii, radii]))


def in_frame(frame: Frame, distance: Distance, local_box_mm: NDArray[np.float64]) -> Solid:
    """A solid whose distance is given in the coordinates (left, back, up) of a frame."""
    # the box of a turned box: centre plus the absolute turned half sizes
    middle, half = local_box_mm.mean(axis=0), np.ptp(local_box_mm, axis=0) / 2
    reach = half @ np.abs(frame.axes)
    centre = middle @ frame.axes + frame.origin_lps_mm
    return Solid(np.stack([centre - reach, centre + reach]), turned(frame, distance))


def rod(frame: Frame, start: Point, stop: Point, radius_mm: float, stretch: Point = (1.0, 1.0, 1.0)) -> Solid:
    """A `capsule` in the coordinates of a frame, with its own box."""
    ends = np.array([start, stop], float)
    reach = radius_mm * np.asarray(stretch, float)
    box = np.stack([ends.min(axis=0) - reach, ends.max(axis=0) + reach])
    return in_frame(frame, capsule(start, stop, radius_mm, stretch), box)


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
