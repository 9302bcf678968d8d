"""One evidence out of that of several methods: a weighted vote on where vertebrae are, and on what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import expit, logit, logsumexp

from ...core.anatomy import Level
from ...core.doubles import typical_spacings_mm
from ...core.labelling import Evidence

SAME_VERTEBRA_SHARE = 0.5
"""Candidates of two methods that are closer than this share of the spacing expected there are one vertebra."""
LEAST_LOG_PROB = -12.0
_LEAST_SCORE = 1e-3


@dataclass(frozen=True)
class Trust:
    """What the word of a method is worth.

    weight: exponent of its level probabilities and of its scores; 1 takes them as they are, 0 does not listen.
    error_mm: how far off its centroids are; they count by the inverse of its square.
    recall: share of the vertebrae that it finds: what it means that it does not see one.
    """

    weight: float
    error_mm: float
    recall: float


TRUST: Mapping[str, Trust] = {
    "sites": Trust(weight=1.0, error_mm=2.2, recall=0.9),
    "integral-regression": Trust(weight=0.05, error_mm=7.4, recall=0.5),
    "multi-view": Trust(weight=0.1, error_mm=5.9, recall=0.65),
    "global-to-local": Trust(weight=0.15, error_mm=4.1, recall=0.9),
}
"""By method, the default one first; errors and recalls as `python -m training compare --only methods` measured on val.

The weights are chosen, not fitted: so small that the others together cannot turn round what `sites` is sure of.  The
recall of `sites` is higher on val, but not elsewhere.
"""


def fuse(found: Mapping[str, Evidence], trust: Mapping[str, Trust] = TRUST) -> Evidence:
    """The candidates of all methods, those of different methods that stand for one vertebra as one.

    found: method -> its evidence in the same scan; one without candidates counts as having seen nothing.  Positions
    are means weighted by score and 1 / error², level probabilities products of powers (a log-linear pool), log-odds of
    scores weighted sums to which a method that sees nothing there adds the log of the share that it misses.
    """
    names = sorted(found, key=lambda name: -trust[name].weight)
    groups = _groups([found[name] for name in names])
    fused = [_one(dict(zip(names, members, strict=True)), found, trust) for members in groups]
    positions, levels, scores = zip(*fused, strict=True) if fused else ((), (), ())
    return Evidence(np.reshape(positions, (-1, 3)), np.reshape(levels, (-1, len(Level))), np.array(scores, float))


def _groups(evidences: Sequence[Evidence]) -> list[list[int | None]]:
    """What stands for one vertebra: per group the index of a candidate of each evidence, None where it has none.

    Each evidence in turn is assigned to the groups of those before it, at most one candidate to each.
    """
    groups: list[list[int | None]] = []
    places, limits = np.empty((0, 3)), np.empty(0)
    for n, evidence in enumerate(evidences):
        taken = _assigned(places, limits, evidence.positions_lps_mm)
        groups = [[*group, taken.get(g)] for g, group in enumerate(groups)]
        new = [c for c in range(len(evidence)) if c not in taken.values()]
        groups += [[*[None] * n, c] for c in new]
        spacings_mm = np.exp(evidence.level_log_probs[new]) @ typical_spacings_mm()
        places = np.concatenate([places, evidence.positions_lps_mm[new]])
        limits = np.concatenate([limits, SAME_VERTEBRA_SHARE * spacings_mm])
    return groups


def _assigned(
    places: NDArray[np.float64], limits_mm: NDArray[np.float64], positions: NDArray[np.float64]
) -> dict[int, int]:
    """Group -> candidate, one to one, as many as lie within the limits of their group and the nearest of them."""
    distances = np.linalg.norm(places[:, None] - positions[None], axis=-1)
    near = distances < limits_mm[:, None]
    rows, columns = linear_sum_assignment(np.where(near, distances, 1e6))
    return {int(g): int(c) for g, c in zip(rows, columns, strict=True) if near[g, c]}


def _one(
    members: Mapping[str, int | None], found: Mapping[str, Evidence], trust: Mapping[str, Trust]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Position (3,), level log-probabilities (28,) and score of one group: method -> its candidate there, or None."""
    seen = {name: index for name, index in members.items() if index is not None}
    scores = {name: max(float(found[name].scores[index]), _LEAST_SCORE) for name, index in seen.items()}
    places = [found[name].positions_lps_mm[index] for name, index in seen.items()]
    position = np.average(places, axis=0, weights=[scores[name] / trust[name].error_mm ** 2 for name in seen])
    pooled = np.zeros(len(Level))
    for name, index in seen.items():
        pooled += trust[name].weight * np.maximum(found[name].level_log_probs[index], LEAST_LOG_PROB)
    odds = sum(trust[name].weight * logit(min(score, 1 - _LEAST_SCORE)) for name, score in scores.items())
    odds += sum(trust[name].weight * np.log1p(-trust[name].recall) for name in members if name not in seen)
    return position, pooled - logsumexp(pooled), float(expit(odds))
