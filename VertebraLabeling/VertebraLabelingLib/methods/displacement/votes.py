"""From the answers of all patches to one position per landmark.

Positions are in mm from the lower corner of the image, in the order of its axes; cell n has its centre at
(n + 0.5) cell widths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Voted:
    """What the patches say together of n landmarks in d dimensions.

    positions_mm: (n, d).  spreads_mm: (n,) root mean square distance of the votes from the position.  Both are NaN
    without a vote.  presences: (n,) probability of the surest patch that it contains the landmark.
    """

    positions_mm: Floats
    spreads_mm: Floats
    presences: Floats


def cell_centres_mm(cells: Sequence[int], cell_mm: float) -> Floats:
    """(d, *cells): the centre of every patch."""
    return (np.indices(tuple(cells)) + 0.5) * cell_mm


def fuse_votes(
    displacements_mm: Floats,
    presences: Floats,
    cell_mm: float,
    least_presence: float = 0.0,
    radius_mm: float = np.inf,
) -> Voted:
    """One position per landmark: the mean of patch centre + displacement, weighted with the presence probability.

    Noothout et al.: each patch votes for all landmarks, weighted with its posterior probability of containing them.
    displacements_mm: (n, d, *cells) from the patch centre to the landmark.  presences: (n, *cells) in 0..1.
    least_presence: votes below it do not count, so that many a distant patch cannot outweigh the near ones; as in the
    first version of the method (Noothout et al., "CNN-based landmark detection in cardiac CTA scans", 2018).
    radius_mm: nor do those farther than this from the vote of the surest patch: the mean of two places is neither.
    """
    landmarks, dimensions = displacements_mm.shape[:2]
    votes = cell_centres_mm(presences.shape[1:], cell_mm) + displacements_mm
    votes = np.moveaxis(votes.reshape(landmarks, dimensions, -1), 1, 2)
    flat = presences.reshape(landmarks, -1).astype(float)
    surest = votes[np.arange(landmarks), flat.argmax(1), None]
    counted = (flat >= least_presence) & (np.linalg.norm(votes - surest, axis=2) <= radius_mm)
    weights = np.where(counted, flat, 0.0)
    totals = weights.sum(1, keepdims=True)
    shares = np.divide(weights, totals, out=np.full_like(weights, np.nan), where=totals > 0)
    positions = np.einsum("nv,nvd->nd", shares, votes)
    squares = ((votes - positions[:, None]) ** 2).sum(2)
    return Voted(positions, np.sqrt((shares * squares).sum(1)), flat.max(1))
