"""What a detector gets wrong: missed vertebrae, false candidates, positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level

from ..spines import Spine, matched

_TUBE_RADIUS_MM = 40.0
"""Candidates further from the column than this are no rivals of a step along it."""


@dataclass(frozen=True)
class DetectionFit:
    """missed: share of vertebrae between two found ones that were overlooked.  false_per_spine: candidates that are no
    annotated vertebra, within the annotated stretch.  free_volume_mm3: of a tube of 40 mm round the column per false
    candidate.  position_sd_mm: per axis, robust.  far: share of matched candidates beyond 3 of these SD.
    """

    missed: float
    false_per_spine: float
    free_volume_mm3: float
    position_sd_mm: float
    far: float


def fit_detections(spines: Sequence[Spine]) -> DetectionFit:
    """Statistics of the raw detections; C1 and C2, marked elsewhere than ours, tell nothing of position."""
    missed = inner = false = 0
    volume = 0.0
    errors: list[NDArray[np.float64]] = []
    for spine in spines:
        vertebra = matched(spine)
        found = np.unique(vertebra[vertebra >= 0])
        if len(found) < 2:
            continue
        inner += found[-1] - found[0] - 1
        missed += found[-1] - found[0] + 1 - len(found)
        false += int(_inside(spine, np.flatnonzero(vertebra < 0)).sum())
        length = np.linalg.norm(np.diff(spine.positions_lps_mm, axis=0), axis=1).sum()
        volume += float(np.pi * _TUBE_RADIUS_MM**2 * length)
        errors += [
            spine.detections_lps_mm[i] - spine.positions_lps_mm[j]
            for i, j in enumerate(vertebra)
            if j >= 0 and spine.levels[j] > Level.C2
        ]
    error = np.array(errors)
    sd = float(1.4826 * np.median(np.abs(error - np.median(error, axis=0))))
    far = float((np.abs(error) > 3 * sd).any(axis=1).mean())
    return DetectionFit(missed / inner, false / len(spines), volume / max(false, 1), sd, far)


def _inside(spine: Spine, detections: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(d,) whether each detection lies in the tube round the annotated stretch and not beyond an end of it."""
    offsets = spine.detections_lps_mm[detections][:, None] - spine.positions_lps_mm[None]
    distances = np.linalg.norm(offsets, axis=-1)
    nearest = distances.argmin(axis=1)
    return np.array(
        [distances[i, j] < _TUBE_RADIUS_MM and not beyond_end(spine, j, offsets[i, j]) for i, j in enumerate(nearest)],
        bool,
    )


def beyond_end(spine: Spine, nearest: int, offset_mm: NDArray[np.float64]) -> bool:
    """Whether a point, by its offset (3,) from its nearest vertebra, lies beyond the first or last annotated one.

    There may be vertebrae there that nobody annotated: the sacrum, one cut by the border of the scan.
    """
    last = len(spine.levels) - 1
    if nearest not in (0, last) or last == 0:
        return False
    inward = 1 if nearest == 0 else last - 1
    outward = spine.positions_lps_mm[nearest] - spine.positions_lps_mm[inward]
    return bool(offset_mm @ outward > 0)
