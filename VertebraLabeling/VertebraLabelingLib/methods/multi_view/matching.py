"""The same vertebra in several views, and where it is.

The rays of two peaks that show the same point meet there; every such meeting of two views is a proposal, and the other
views vote for it with the peak that they have where they see it.  The best proposal takes its peaks along, and so on.
Misses cost a vote and false peaks seldom find others to agree with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .geometry import Views
from .peaks import Peaks

Floats = NDArray[np.float64]

TOLERANCE_MM = 5.0
"""Between a peak and where its vertebra is seen, at the axis; about half of what sets peaks of a view apart."""
LEAST_PARALLAX_RAD = np.deg2rad(20.0)
"""Between two rays that propose a point: where they are nearly parallel, their meeting could be anywhere."""
LEAST_SHARE = 0.3
"""Of the views that see a point, those that must have a peak there; and at least two."""
LEAST_VIEWS = 2
MOST_CONDITION = 1e6
"""Of the matrix of eq. (5); two rays that differ by an angle a have about 4 / a^2."""
ROUNDS = 2


@dataclass(frozen=True)
class Matches:
    """Points found by several views, surest first.

    points_zyx_mm: (n, 3) from the middle of the window.  scores: (n,) in 0..1, mean height of the peaks over the views
    that see the point, a missing one being 0.  peaks: (n, K) index of each view's peak, -1 for none.
    """

    points_zyx_mm: Floats
    scores: Floats
    peaks: NDArray[np.int64]


def match_views(views: Views, peaks: Sequence[Peaks], extent_zyx_mm: Floats) -> Matches:
    """Points inside the window that agree with one peak in enough views; each peak belongs to one point at most.

    peaks: one per view.  extent_zyx_mm: (3,) size of the window.  No points with fewer than two views that differ.
    """
    proposals = _meetings(views, peaks, np.asarray(extent_zyx_mm, float))
    least = _least_peaks(seen_in(views.project(proposals), views.settings.image_hw).sum(0))
    nearest, distance_mm = _nearest_peaks(views, peaks, proposals)
    votes = _votes(peaks, nearest, distance_mm)
    free = [np.ones(len(found), bool) for found in peaks]
    settled = []
    while (total := np.where((votes > 0).sum(0) >= least, votes.sum(0), 0.0)).any():
        best = int(total.argmax())
        votes[:, best] = 0
        if (point := _settled(views, peaks, free, proposals[best])) is not None:
            settled.append(point)
            for view in np.flatnonzero(point.peaks >= 0):
                free[view][point.peaks[view]] = False
                votes[view, nearest[view] == point.peaks[view]] = 0
    return _by_score(settled, len(views))


def nearest_to_rays(origins_mm: Floats, directions: Floats) -> Floats:
    """Point (3,) with the least sum of squared distances to rays: Wu et al., eq. (4) and (5).

    origins_mm, directions (unit): (m, 3).  With N = sum of I - d d^T over the rays, it solves N p = sum (I - d d^T) o.
    ValueError when all rays are as good as parallel.
    """
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    normal = across.sum(0)
    if np.linalg.cond(normal) > MOST_CONDITION:
        raise ValueError("a point needs two rays that are not parallel")
    return np.linalg.solve(normal, (across @ origins_mm[:, :, None]).sum(0)[:, 0])


def seen_in(pixels: Floats, image_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether pixels (..., 2) lie inside an image; NaN does not."""
    return ((pixels >= -0.5) & (pixels <= np.array(image_hw) - 0.5)).all(-1)


def _meetings(views: Views, peaks: Sequence[Peaks], extent_zyx_mm: Floats) -> Floats:
    """Points (m, 3) inside the window half-way between two rays of different views that all but meet."""
    found = [np.empty((0, 3))]
    rays = [views.rays(view, found_there.pixels) for view, found_there in enumerate(peaks)]
    for first, (origin, directions) in enumerate(rays):
        for other_origin, others in rays[first + 1 :]:
            found.append(_half_way(origin, directions, other_origin, others))
    points = np.concatenate(found)
    return points[(np.abs(points) <= extent_zyx_mm / 2).all(1)]


def _half_way(origin: Floats, directions: Floats, other_origin: Floats, others: Floats) -> Floats:
    """(m, 3): where the rays (a, 3) of one view pass those (b, 3) of another closely and not in parallel."""
    cosine = directions @ others.T
    one, other = np.nonzero(np.abs(cosine) < np.cos(LEAST_PARALLAX_RAD))
    d, e, c = directions[one], others[other], cosine[one, other]
    between = other_origin - origin
    along, along_other = d @ between, e @ between
    at = origin + ((along - c * along_other) / (1 - c**2))[:, None] * d
    at_other = other_origin + ((c * along - along_other) / (1 - c**2))[:, None] * e
    close = np.linalg.norm(at - at_other, axis=1) <= TOLERANCE_MM
    return (at[close] + at_other[close]) / 2


def _nearest_peaks(views: Views, peaks: Sequence[Peaks], points_zyx_mm: Floats) -> tuple[NDArray[np.int64], Floats]:
    """(K, n) index of the peak nearest to where each view sees each point, and the distance in mm at the axis."""
    nearest = np.full((len(views), len(points_zyx_mm)), -1, np.int64)
    distance_mm = np.full(nearest.shape, np.inf)
    for view, seen in enumerate(views.project(points_zyx_mm)):
        there = np.isfinite(seen).all(1)
        if len(peaks[view]) and there.any():
            distance, nearest[view, there] = KDTree(peaks[view].pixels).query(seen[there])
            distance_mm[view, there] = distance * views.settings.pixel_mm
    return nearest, distance_mm


def _votes(peaks: Sequence[Peaks], nearest: NDArray[np.int64], distance_mm: Floats) -> Floats:
    """(K, n): height of the nearest peak, the less the further away, 0 beyond the tolerance."""
    heights = np.array([np.append(found.heights, 0.0)[index] for found, index in zip(peaks, nearest, strict=True)])
    closeness = np.exp(-0.5 * (distance_mm / (TOLERANCE_MM / 2)) ** 2)
    return np.where(distance_mm <= TOLERANCE_MM, heights * closeness, 0.0)


def _least_peaks(seeing: NDArray[np.int64]) -> Floats:
    """Number of peaks that points need which so many views see."""
    return np.maximum(LEAST_VIEWS, LEAST_SHARE * seeing)


@dataclass(frozen=True)
class _Point:
    """One of `Matches`."""

    position_zyx_mm: Floats
    score: float
    peaks: NDArray[np.int64]


def _settled(
    views: Views, peaks: Sequence[Peaks], free: Sequence[NDArray[np.bool_]], proposal_zyx_mm: Floats
) -> _Point | None:
    """The point nearest to the rays of the free peaks around a proposal; None where these are too few.

    Once more around the first answer: from there another view's peak may be near enough, or no longer.
    """
    position = proposal_zyx_mm
    for _ in range(ROUNDS):
        nearest, distance_mm = (values[:, 0] for values in _nearest_peaks(views, peaks, position[None]))
        usable = [d <= TOLERANCE_MM and free[v][n] for v, (n, d) in enumerate(zip(nearest, distance_mm, strict=True))]
        chosen = np.where(usable, nearest, -1)
        rays = [views.rays(view, peaks[view].pixels[[chosen[view]]]) for view in np.flatnonzero(usable)]
        if len(rays) < LEAST_VIEWS or _all_parallel(np.concatenate([r[1] for r in rays])):
            return None
        position = nearest_to_rays(np.array([r[0] for r in rays]), np.concatenate([r[1] for r in rays]))
    return _scored(views, peaks, position, chosen)


def _all_parallel(directions: Floats) -> bool:
    """Whether no two of some unit vectors (m, 3) differ by the least parallax, forth or back."""
    return bool((np.abs(directions @ directions.T) > np.cos(LEAST_PARALLAX_RAD)).all())


def _scored(views: Views, peaks: Sequence[Peaks], position: Floats, chosen: NDArray[np.int64]) -> _Point | None:
    """The point with its score; None for too few peaks.  A point that few views see is held against half of them."""
    heights = [peaks[view].heights[n] for view, n in enumerate(chosen) if n >= 0]
    seen = seen_in(views.project(position[None])[:, 0], views.settings.image_hw)
    seeing = (seen | (chosen >= 0)).sum()
    if len(heights) < _least_peaks(seeing):
        return None
    return _Point(position, float(sum(heights) / max(seeing, len(views) / 2)), chosen)


def _by_score(points: Sequence[_Point], views: int) -> Matches:
    """All points, the surest first."""
    ordered = sorted(points, key=lambda point: -point.score)
    positions = np.reshape([point.position_zyx_mm for point in ordered], (-1, 3))
    taken = np.reshape(np.array([point.peaks for point in ordered], np.int64), (-1, views))
    return Matches(positions, np.array([point.score for point in ordered]), taken)
