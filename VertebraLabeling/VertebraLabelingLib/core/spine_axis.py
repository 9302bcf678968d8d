"""Where candidates lie along the column, however it is tilted or bent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_REACH_MM = 40.0
_DOWNWARD_PULL_MM2 = 50.0
_ROUNDS = 4
_CAUDAL_LPS = np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True)
class Steps:
    """Displacements between all pairs of n candidates, which are brought into cranio-caudal order.

    order: (n,) index of each candidate in the input.  distance_mm, along_mm, across_mm: (n, n), in the new order, from
    the row's candidate to the column's: length, part along the local axis (negative: cranial), part across it.
    """

    order: NDArray[np.intp]
    distance_mm: Array
    along_mm: Array
    across_mm: Array


def steps_along_spine(positions_lps_mm: Array, weights: Array) -> Steps:
    """Order and steps of candidates (n, 3) with weights (n,) in 0..1; strong ones decide where the column runs.

    Alternates two least-squares problems from the main axis as a start: the local axis is the slope of position against
    arc length in a neighbourhood; arc lengths are those whose differences best agree with the steps projected on the
    axes (HodgeRank, a graph Laplacian).  Thus a kyphotic neck or a horizontal sacrum is still ordered along itself, and
    peaks beside the column hardly bend it.
    """
    positions = np.asarray(positions_lps_mm, float)
    step = positions[None, :, :] - positions[:, None, :]
    distance = np.asarray(np.linalg.norm(step, axis=-1))
    trust = np.clip(weights, 0.01, 1.0)
    arc = positions @ _column_axis(positions, trust)
    along = np.zeros_like(distance)
    for _ in range(_ROUNDS):
        axis = _local_axes(positions, arc, trust, distance)
        along = _projected(step, axis)
        arc = _arc_lengths(along, trust, distance)
    across = np.sqrt(np.maximum(distance**2 - along**2, 0.0))
    order = np.argsort(arc, kind="stable")
    pairs = np.ix_(order, order)
    return Steps(order, distance[pairs], along[pairs], across[pairs])


def _column_axis(positions: Array, trust: Array) -> Array:
    """(3,) caudal unit vector of the longest extent; candidates beside each other do not outweigh the body axis."""
    covariance = np.cov(positions.T, aweights=trust, ddof=0) + _REACH_MM**2 * np.outer(_CAUDAL_LPS, _CAUDAL_LPS)
    axis = np.linalg.eigh(covariance)[1][:, -1]
    return np.asarray(axis * np.copysign(1.0, axis @ _CAUDAL_LPS))


def _local_axes(positions: Array, arc: Array, trust: Array, distance: Array) -> Array:
    """(n, 3) caudal unit vectors: weighted covariance of position with arc length, pulled a little to straight down."""
    weight = trust[None, :] * np.exp(-0.5 * (distance / _REACH_MM) ** 2)
    share = weight / weight.sum(axis=1, keepdims=True)
    arc_offset = arc[None, :] - (share @ arc)[:, None]
    offset = positions[None, :, :] - (share @ positions)[:, None, :]
    slope = np.einsum("ij,ij,ijk->ik", weight, arc_offset, offset) + _DOWNWARD_PULL_MM2 * _CAUDAL_LPS
    return _unit(slope)


def _projected(step: Array, axis: Array) -> Array:
    """(n, n) signed length of every step along the mean axis of its two ends."""
    return np.asarray(np.einsum("ijk,ijk->ij", step, _unit(axis[None, :, :] + axis[:, None, :])))


def _arc_lengths(along: Array, trust: Array, distance: Array) -> Array:
    """(n,) arc lengths, mean 0, whose differences fit `along` best; near and trusted pairs count most."""
    weight = trust[:, None] * trust[None, :] / (1.0 + (distance / _REACH_MM) ** 2) ** 2
    np.fill_diagonal(weight, 0.0)
    laplacian = np.diag(weight.sum(axis=1)) - weight
    arc, *_ = np.linalg.lstsq(laplacian, (weight * along).sum(axis=0), rcond=None)
    return np.asarray(arc - arc.mean())


def _unit(vectors: Array) -> Array:
    """Vectors (..., 3) of length 1; a vanishing one stays near zero."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))
