"""One position per level, or other landmark, out of the votes of overlapping windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FULL_BORDER_VOXELS = 6.0
TRIM_RADII_MM = (30.0, 20.0)


@dataclass(frozen=True)
class Votes:
    """What w windows say of the 26 regular levels, or of any other number of landmarks in space or in a plane.

    positions_lps_mm: (w, 26, 3).  presences: (w, 26) probability that the level's centre is in the window.
    border_voxels: (w, 26) distance of the position to the nearest face of its window, in voxels (0 on the face).
    """

    positions_lps_mm: Floats
    presences: Floats
    border_voxels: Floats

    def __post_init__(self) -> None:
        shape = self.presences.shape
        if self.positions_lps_mm.shape[:-1] != shape or self.border_voxels.shape != shape:
            raise ValueError("positions, presences and border distances disagree on the number of votes")


@dataclass(frozen=True)
class Fused:
    """One answer per regular level: positions_lps_mm (26, 3), NaN where no window is positive; presences (26,)."""

    positions_lps_mm: Floats
    presences: Floats


def fused_by(votes: Votes, threshold: float, position: Callable[[int, NDArray[np.bool_]], Floats]) -> Fused:
    """`position` of every level that some window holds for present; presence of a level: its best window's."""
    levels, dimensions = votes.positions_lps_mm.shape[1:]
    positions = np.full((levels, dimensions), np.nan)
    for level in range(levels):
        chosen = votes.presences[:, level] > threshold
        if chosen.any():
            positions[level] = position(level, chosen)
    return Fused(positions, votes.presences.max(axis=0, initial=0.0))


def weighted_fusion(votes: Votes, threshold: float = 0.5) -> Fused:
    """`Fused` by a trimmed mean with weight presence^2 x border distance.

    Per level over the windows with presence above `threshold`: weight p^2 x clip((border + 0.5) / 6, 0.03, 1), start at
    the weighted geometric median, then the weighted mean of the votes within 30 and again within 20 mm.  A window sees
    worst, and a softmax is biased most, at its border; one mislabelled window must not move the others' answer.
    Measured on unseen phantoms with dense windows: identification .845, with the plain mean .347.
    """
    border = np.clip((votes.border_voxels + 0.5) / FULL_BORDER_VOXELS, 0.03, 1.0)
    weights = votes.presences**2 * border

    def position(level: int, chosen: NDArray[np.bool_]) -> Floats:
        return _trimmed_mean(votes.positions_lps_mm[chosen, level], weights[chosen, level])

    return fused_by(votes, threshold, position)


def kmeans_fusion(votes: Votes, threshold: float = 0.5) -> Fused:
    """`Fused` as in the paper: K-means of the coordinates that positive windows give for one class.

    Qin et al., test phase; one cluster per class, hence the plain mean of the votes.
    """

    def position(level: int, chosen: NDArray[np.bool_]) -> Floats:
        from sklearn.cluster import KMeans

        return KMeans(n_clusters=1, n_init=1).fit(votes.positions_lps_mm[chosen, level]).cluster_centers_[0]

    return fused_by(votes, threshold, position)


def geometric_median(points: Floats, weights: Floats, rounds: int = 50) -> Floats:
    """Point (d,) with the least weighted sum of distances to `points` (n, d), by Weiszfeld's iteration."""
    centre = np.average(points, axis=0, weights=weights)
    for _ in range(rounds):
        distances = np.linalg.norm(points - centre, axis=1)
        centre = np.average(points, axis=0, weights=weights / np.maximum(distances, 1e-3))
    return centre


def _trimmed_mean(points: Floats, weights: Floats) -> Floats:
    """Weighted mean of the points near the weighted geometric median."""
    centre = geometric_median(points, weights)
    for radius in TRIM_RADII_MM:
        near = np.linalg.norm(points - centre, axis=1) <= radius
        if near.any():
            centre = np.average(points[near], axis=0, weights=weights[near])
    return centre
