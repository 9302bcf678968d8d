"""One candidate per vertebral body.

How far apart two bodies must be depends on where they are: necks have 16 mm from centre to centre, a large
lumbar body can show two peaks 20 mm apart.  So the limit is a share of the spacing expected at the candidate's level.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .anatomy import Level
from .labelling import Evidence
from .spine_priors import spacing_mm, successors

SAME_BODY_SHARE = 0.55


def merge_doubles(evidence: Evidence) -> Evidence:
    """The candidates with doubles merged, strongest first.

    A candidate nearer to a stronger one than `SAME_BODY_SHARE` of the spacing expected there gives up its place: the
    stronger keeps its score and levels and moves to the mean of both, weighted by score, since two peaks inside one
    body lie on both sides of its centre.
    """
    limits_mm = SAME_BODY_SHARE * np.exp(evidence.level_log_probs) @ typical_spacings_mm()
    groups: list[list[int]] = []
    for candidate in np.argsort(-evidence.scores, kind="stable"):
        first = [group[0] for group in groups]
        offsets = evidence.positions_lps_mm[first] - evidence.positions_lps_mm[candidate]
        distances = np.linalg.norm(offsets, axis=1)
        near = np.flatnonzero(distances < limits_mm[first])
        if len(near):
            groups[near[distances[near].argmin()]].append(int(candidate))
        else:
            groups.append([int(candidate)])
    first = [group[0] for group in groups]
    means = [np.average(evidence.positions_lps_mm[g], axis=0, weights=evidence.scores[g]) for g in groups]
    return Evidence(np.reshape(means, (-1, 3)), evidence.level_log_probs[first], evidence.scores[first])


@cache
def typical_spacings_mm() -> NDArray[np.float64]:
    """(28,) mean distance from each level to its most likely successor; S2 as S1."""
    following = {level: max(after, key=after.__getitem__) for level in Level if (after := successors(level))}
    spacings = [spacing_mm(level, following[level])[0] for level in Level if level in following]
    return np.array([*spacings, spacings[-1]])
