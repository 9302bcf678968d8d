"""Where the body of a vertebra is and how it is turned, measured on a signed distance: one rule for every shape.

The middle of a body lies halfway between its endplates, its side walls, and its front and posterior wall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
PointDistance = Callable[[Vector], Vector]
"""Distance in mm at points (n, 3), negative inside."""

RAY_STEP_MM = 0.25
REACH_MM = 45.0
LEVELS_OF_WALLS = (-0.7, -0.35, 0.0, 0.35, 0.7)
"""Heights, in half heights of the body, at which its walls are sought."""


@dataclass(frozen=True)
class BodyMeasure:
    """middle_mm: (3,) middle of the body as (left, back, up).  size_mm: (3,) its width, depth and height."""

    middle_mm: Vector
    size_mm: Vector


def measure_body(distance: PointDistance, near_mm: Vector, size_mm: Vector) -> BodyMeasure:
    """The body around a point that lies in it, in the frame (left, back, up) of `distance`.

    near_mm: (3,) about its middle; size_mm: (3,) about its width, depth and height.  ValueError when no body is there.
    """
    half = size_mm / 2
    walls = [(v, w) for v in (-0.4, -0.1, 0.2) for w in LEVELS_OF_WALLS]
    sides = _extent(distance, near_mm + half * [(0.0, v, w) for v, w in walls], 0)
    fronts = _extent(distance, near_mm + half * [(u, 0.0, w) for u in (-0.15, 0.0, 0.15) for w in LEVELS_OF_WALLS], 1)
    plates = _extent(distance, near_mm + half * _disc(), 2)
    spans = (sides, fronts, plates)
    if any(np.isnan(span).all() for span in spans):
        raise ValueError("there is no vertebral body at this place")
    middle = [np.nanmean(span.mean(axis=1)) for span in spans]
    return BodyMeasure(near_mm + np.array(middle), np.array([np.nanmean(np.ptp(span, axis=1)) for span in spans]))


def endplate_normal(distance: PointDistance, near_mm: Vector, size_mm: Vector) -> Vector:
    """(3,) unit vector upwards, the mean of the normals of both endplates, in the frame of `distance`."""
    disc = size_mm / 2 * _disc()
    plates = _extent(distance, near_mm + disc, 2)
    found = ~np.isnan(plates).any(axis=1)
    design = np.column_stack([disc[found, :2], np.ones(found.sum())])
    slopes = np.linalg.lstsq(design, plates[found], rcond=None)[0][:2]
    normals = np.stack([-slopes[0], -slopes[1], np.ones(2)])
    up = (normals / np.linalg.norm(normals, axis=0)).sum(axis=1)
    return up / np.linalg.norm(up)


def _disc() -> Vector:
    """Places over the endplates in half sizes of the body, its rims left out."""
    radii, angles = np.meshgrid([0.15, 0.35, 0.55, 0.75], np.arange(12) * np.pi / 6)
    u, v = (radii * np.sin(angles)).ravel(), (radii * np.cos(angles)).ravel()
    return np.stack([u, v, np.zeros_like(u)], axis=1)


def _extent(distance: PointDistance, starts_mm: Vector, axis: int) -> Vector:
    """(n, 2) how far bone reaches from each start down and up the axis, relative to it; NaN where it does not begin."""
    steps = np.arange(0.0, REACH_MM, RAY_STEP_MM)
    reach = []
    for way in (-1.0, 1.0):
        points = np.repeat(starts_mm[:, None], len(steps), axis=1)
        points[..., axis] += way * steps
        depth = distance(points.reshape(-1, 3)).reshape(len(starts_mm), -1)
        reach.append(way * _first_exit(depth))
    result = np.stack(reach, axis=1)
    result[np.isnan(result).any(axis=1)] = np.nan
    return result


def _first_exit(depth_mm: Vector) -> Vector:
    """(n,) where each row of distances along a ray first turns positive; NaN when it begins so or never does."""
    outside = depth_mm > 0
    index = outside.argmax(axis=1)
    rows = np.arange(len(depth_mm))
    known = (index > 0) & outside.any(axis=1)
    before, after = depth_mm[rows, index - 1], depth_mm[rows, index]
    exact = index - after / np.where(known, after - before, 1.0)
    return np.where(known, exact * RAY_STEP_MM, np.nan)
