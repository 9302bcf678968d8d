"""What the word of a method is worth in the ensemble."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.anatomy import Level, Region

_REGIONS = tuple(Region)
_OF_LEVEL = np.array([[level.region is region for region in _REGIONS] for level in Level], float)

BORDER_MM = 10.0
"""From the border of the scan; half a body, so that one whose centre is outside may be seen there."""
ByRegion = tuple[float, float, float, float]
"""C, T, L, S."""


@dataclass(frozen=True)
class Trust:
    """Measured on cases with a known truth; see `measured.TRUSTS`.

    presence, alone, names, place: exponents of its word; 1 takes it as independent of what others say, 0 does not
    listen.  On whether there is a vertebra that the most trusted method sees, and that it does not see; on which level
    it is; on where.
    share: of its candidates, those that are a vertebra.
    recall: of the vertebrae in a region, those where it has a candidate.
    chance, border_chance: of the places where others wrongly see a vertebra, those where it has a candidate too; far
    from the border of the scan, and within `BORDER_MM` of it, where all see the same body whose centre is outside.
    error_mm: root mean square distance of its candidates from the centroid, by region.
    """

    presence: float
    alone: float
    names: float
    place: float
    share: float
    chance: float
    border_chance: float
    recall: ByRegion
    error_mm: ByRegion

    def chance_at(self, at_border: bool) -> float:
        """Of a place within `BORDER_MM` of the border, or not."""
        return self.border_chance if at_border else self.chance

    def recall_at(self, regions: NDArray[np.float64]) -> float:
        """Of a place that lies in the regions with these probabilities (4,)."""
        return float(regions @ self.recall)

    def error_mm_at(self, regions: NDArray[np.float64]) -> float:
        """Of a place that lies in the regions with these probabilities (4,)."""
        return float(np.sqrt(regions @ np.square(self.error_mm)))


def regions_of(level_log_probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4,) probabilities of the regions by those of the levels (28,)."""
    return np.asarray(np.exp(level_log_probs) @ _OF_LEVEL)
