"""The neck, where vertebrae are small and close: a second look with finer voxels takes the place of the first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.anatomy import Level
from ...core.doubles import merge_doubles
from ...core.labelling import Evidence
from ...core.scan import Scan
from .look import Look

LAST_LEVEL = Level.T2
LEAST_SCORE = 0.3
ABOVE_MM, BELOW_MM = 60.0, 30.0
"""How far beyond the neck's sites the second look goes: up to sites the first one missed, down to lean on the chest."""
MOST_ABOVE = 2
"""Nothing but false sites, of the skull, lies above the neck; below more sites than these it is a hip or the like."""
HALF_STEP_MM = 8.0


@dataclass(frozen=True)
class Neck:
    """z range in LPS mm from the lowest to the highest site of the neck."""

    low_mm: float
    high_mm: float

    def part_of(self, curve_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """The part of a curve (n, 3) to look at again."""
        z = curve_lps_mm[:, 2]
        return curve_lps_mm[(z > self.low_mm - BELOW_MM) & (z < self.high_mm + ABOVE_MM)]

    def holds(self, positions_lps_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) whether candidates (n, 3) are for the second look to tell: from half a step below up to its end."""
        z = positions_lps_mm[:, 2]
        return (z >= self.low_mm - HALF_STEP_MM) & (z < self.high_mm + ABOVE_MM)


def box_around(scan: Scan, curve_lps_mm: NDArray[np.float64], reach_zyx_mm: NDArray[np.float64]) -> Scan:
    """The part of a prepared scan (LPS axes) within reach of a curve (n, 3): fine voxels of the whole cost memory."""
    index = scan.geometry.index_zyx_from_lps(curve_lps_mm)
    reach = reach_zyx_mm / scan.geometry.spacing_zyx_mm
    low = np.clip(np.floor(index.min(0) - reach).astype(int), 0, np.array(scan.hu.shape) - 1)
    high = np.clip(np.ceil(index.max(0) + reach).astype(int) + 1, low + 1, scan.hu.shape)
    return scan.part(low, high)


def find_neck(evidence: Evidence) -> Neck | None:
    """Where the uppermost sites, judged each with its two neighbours, are rather C1 to `LAST_LEVEL` than lower.

    None: nowhere.
    """
    likely = np.flatnonzero(evidence.scores > LEAST_SCORE)
    likely = likely[np.argsort(-evidence.positions_lps_mm[likely, 2])]
    if not len(likely):
        return None
    share = np.exp(evidence.level_log_probs[likely, : LAST_LEVEL + 1]).sum(1)
    with_neighbours = np.convolve(np.pad(share, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")
    rather = with_neighbours > 0.5
    on_top = np.cumsum(~rather) <= MOST_ABOVE
    heights = evidence.positions_lps_mm[likely[rather & on_top], 2]
    return Neck(float(heights.min()), float(heights.max())) if len(heights) else None


def with_second_look(first: Evidence, coarse: Look, fine: Look, neck: Neck) -> Evidence:
    """The second look's candidates of the neck, named by the mean of both looks, and the first one's elsewhere."""
    second = fine.evidence()
    elsewhere, again = ~neck.holds(first.positions_lps_mm), neck.holds(second.positions_lps_mm)
    places = second.positions_lps_mm[again]
    mean = (second.level_log_probs[again] + coarse.levels_at(places)) / 2
    levels = np.concatenate([first.level_log_probs[elsewhere], mean - np.log(np.exp(mean).sum(1, keepdims=True))])
    positions = np.concatenate([first.positions_lps_mm[elsewhere], places])
    return merge_doubles(Evidence(positions, levels, np.concatenate([first.scores[elsewhere], second.scores[again]])))
