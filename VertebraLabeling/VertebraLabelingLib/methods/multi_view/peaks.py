"""Centroids in one heat map by density-peak clustering.

A. Rodriguez and A. Laio, Clustering by fast search and find of density peaks, Science 344 (2014): a centre is denser
than all that is near it.  The points are the pixels above a threshold, weighted by their heat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import KDTree

Floats = NDArray[np.float64]

LEAST_HEAT = 0.05
"""Pixels below are background."""
LEAST_DENSITY = 0.08
"""Of a centre, as a share of the density in the middle of a perfect one."""
KERNEL = 0.5
"""Cut-off distance of the density, in sigmas of a perfect centroid: a wider one melts the neighbours of a neck."""
LEAST_DISTANCE = 1.8
"""From a centre to what is denser, in sigmas; bodies in a neck are more than 2.5 apart, seen from anywhere."""
REACH = 2.0
"""Radius of the expectation that gives the position between pixels, in sigmas."""


@dataclass(frozen=True)
class Peaks:
    """Centroids in one image.  pixels: (n, 2) fractional row and column.  heights: (n,) heat there, 0..1."""

    pixels: Floats
    heights: Floats

    def __len__(self) -> int:
        return len(self.heights)


def find_peaks(heat: NDArray[np.floating], sigma_px: float) -> Peaks:
    """Density peaks of a heat map (h, w) of values 0..1, highest density first.

    sigma_px: of the Gaussian that a perfect centroid is.  A peak on the border is left out: its centre is outside.
    """
    heat = np.asarray(heat, float)
    kept = np.where(heat > LEAST_HEAT, heat, 0.0)
    density = _density(kept, sigma_px)
    centres = _centres(np.where(kept > 0, density, 0.0), LEAST_DISTANCE * sigma_px)
    inside = ((centres > 0) & (centres < np.array(heat.shape) - 1)).all(1)
    pixels = _expectations(kept, centres, REACH * sigma_px)
    rows, columns = centres.T
    return Peaks(pixels[inside], heat[rows, columns][inside])


def _density(kept: Floats, sigma_px: float) -> Floats:
    """Gaussian-weighted heat around every pixel; 1 in the middle of a perfect centroid.

    The pixels lie on a grid, so that the sum over all of them is a convolution.  The border goes on outside, or a flank
    that it cuts would be densest inside.
    """
    kernel_px = KERNEL * sigma_px
    perfect = sigma_px**2 / (sigma_px**2 + kernel_px**2)
    return gaussian_filter(kept, kernel_px, mode="nearest") / perfect


def _centres(density: Floats, least_px: float) -> NDArray[np.int64]:
    """Pixels (n, 2) that are dense and at least `least_px` from anything denser, densest first.

    Only local maxima are measured against all pixels: any other one has something denser right beside it.  Equal
    densities are ranked by their place, so that a plateau has one centre.
    """
    points = np.argwhere(density > 0)
    rank = np.zeros(density.shape, np.int64)
    rank[tuple(points[np.argsort(density[tuple(points.T)], kind="stable")].T)] = np.arange(1, len(points) + 1)
    maxima = np.argwhere((rank > 0) & (rank == maximum_filter(rank, 3)) & (density > LEAST_DENSITY))
    maxima = maxima[np.argsort(-rank[tuple(maxima.T)])]
    ranks = rank[tuple(points.T)]
    far = [_distance_to(points[ranks > rank[tuple(place)]], place) >= least_px for place in maxima]
    return maxima[np.array(far, bool)]


def _distance_to(points: NDArray[np.int64], place: NDArray[np.int64]) -> float:
    """From a pixel to the nearest of some pixels (m, 2); infinite without any."""
    return float(np.sqrt(((points - place) ** 2).sum(1).min(initial=np.iinfo(np.int64).max)))


def _expectations(kept: Floats, centres: NDArray[np.int64], reach_px: float) -> Floats:
    """Mean positions (n, 2) of the pixels that have a centre as their nearest, within reach, by squared heat.

    The square of a Gaussian is a narrower one in the same place: neighbours and a grey background matter less.
    Twice, the second time around the first answer, or the circle around a whole pixel would pull towards it.
    """
    points = np.argwhere(kept > 0)
    weights = kept[tuple(points.T)] ** 2
    means = centres.astype(float)
    for _ in range(2 if len(centres) else 0):
        distance, nearest = KDTree(means).query(points)
        near = distance <= reach_px
        total = np.bincount(nearest[near], weights[near], len(means))
        sums = [np.bincount(nearest[near], (weights * axis)[near], len(means)) for axis in points.T]
        means = np.stack(sums, axis=1) / total[:, None]
    return means
