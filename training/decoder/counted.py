"""Truth without annotation: neck scans in which the dens is sure, so that the rest can be counted.

The level evidence of our own networks errs alike on neighbours.  How much is measured on such scans: crops below the
dens are decoded without it and compared with the count from it.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.files import atomic_write
from VertebraLabelingLib.core.labelling import Evidence, Labelling
from VertebraLabelingLib.core.sequence import decode
from VertebraLabelingLib.core.spine_priors import spacing_mm

from .samples import FALSE, UNKNOWN, Sample, regions_of

_LEAST_POINTS = 6
_SURE = 0.5
_STEP_RATIO = (0.7, 1.35)
"""Of a step to what is expected of it; beyond, a vertebra may be missing or doubled, and counting fails."""


def counted_sample(evidence: Evidence) -> Sample | None:
    """Evidence with the count as its truth, candidates near the column's ends unknown; None when it is not sure."""
    labelling = decode(evidence)
    if not _is_countable(evidence, labelling):
        return None
    truth = np.full(len(evidence), FALSE, np.intp)
    ends_mm = [labelling.points[i].position_lps_mm[2] for i in (0, -1)]
    truth[(evidence.positions_lps_mm[:, 2] > ends_mm[0]) | (evidence.positions_lps_mm[:, 2] < ends_mm[1])] = UNKNOWN
    for point in labelling.points:
        truth[_candidate(evidence, point.position_lps_mm)] = point.level
    return Sample(evidence, truth, regions_of(evidence.level_log_probs), 0, False)


def read_evidence(path: Path) -> Evidence:
    """Evidence written by `write_evidence`; InputError when it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Evidence(arrays["positions_lps_mm"], arrays["level_log_probs"], arrays["scores"])
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"'{path}' is no evidence file ({error}); remove it and find the vertebrae again.") from error


def write_evidence(path: Path, evidence: Evidence) -> None:
    """A compressed file with the three arrays."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            positions_lps_mm=evidence.positions_lps_mm,
            level_log_probs=evidence.level_log_probs,
            scores=evidence.scores,
        )


def _is_countable(evidence: Evidence, labelling: Labelling) -> bool:
    """Whether the dens is seen where the decoder has it, and no step below is too long or too short for one level."""
    if len(labelling.points) < _LEAST_POINTS or Level.C2 not in labelling.levels:
        return False
    dens = labelling.points[labelling.levels.index(Level.C2)]
    if evidence.level_log_probs[_candidate(evidence, dens.position_lps_mm), Level.C2] < np.log(_SURE):
        return False
    pairs = list(pairwise(labelling.points))
    if any(below.level - above.level != 1 for above, below in pairs):
        return False
    lengths = np.array([np.linalg.norm(np.subtract(b.position_lps_mm, a.position_lps_mm)) for a, b in pairs])
    ratio = lengths / np.array([spacing_mm(a.level, b.level)[0] for a, b in pairs])
    ratio /= np.median(ratio)
    return bool((ratio > _STEP_RATIO[0]).all() and (ratio < _STEP_RATIO[1]).all())


def _candidate(evidence: Evidence, position: tuple[float, float, float]) -> int:
    return int(np.linalg.norm(evidence.positions_lps_mm - position, axis=1).argmin())
