"""Spacing of the body centres, stature and numerical variants, fitted to annotated spines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level

from ..spines import Spine

Array = NDArray[np.float64]
Pair = tuple[Level, Level]

_ROUNDS = 8
_STEPS_FOR_STATURE = 4
_LEAST_SD = 0.03
"""Annotations are rounded and picked by eye; a smaller spread of the residuals would be trusting them too much."""


@dataclass(frozen=True)
class Spacing:
    """Distance of two body centres over n spines of average stature; sd: robust, as a fraction of the mean."""

    n: int
    mean_mm: float
    sd: float


@dataclass(frozen=True)
class AnatomyFit:
    """spacings: by pair of levels that follow each other.  stature_sd: of the scale of whole spines, mean 1."""

    spacings: dict[Pair, Spacing]
    stature_sd: float


def fit_anatomy(spines: Sequence[Spine]) -> AnatomyFit:
    """Medians per pair and per spine of the log distance in turn, then 1.48 x MAD of what neither explains.

    Only spines with at least 4 steps tell their stature; each patient counts as often as he was scanned.
    """
    steps = [list(spine.steps()) for spine in spines]
    stature = np.zeros(len(spines))
    for _ in range(_ROUNDS):
        logs = _per_pair(steps, stature)
        median = {pair: float(np.median(values)) for pair, values in logs.items()}
        stature = np.array([_stature(walk, median) for walk in steps])
        stature -= stature[_tells_stature(steps)].mean()
    known = _tells_stature(steps)
    residual = _per_pair([walk for walk, tells in zip(steps, known, strict=True) if tells], stature[known])
    spacings = {
        pair: Spacing(
            n=len(logs[pair]),
            mean_mm=float(np.exp(median[pair])),
            sd=max(_LEAST_SD, _robust_sd(np.array(residual.get(pair, [])) - median[pair])),
        )
        for pair in sorted(logs)
    }
    return AnatomyFit(spacings, float(np.std(np.exp(stature[known]))))


def count_variants(spines: Sequence[Spine]) -> dict[Pair, tuple[int, int]]:
    """Pair that leaves the regular order -> (times seen, spines in which the upper level has a neighbour below).

    For L5-L6 every spine with an L5 counts, since the list has no sacrum to follow it.  A T13 or a missing L5 cannot
    be told from such a list.
    """
    follows = [(above, below) for spine in spines for above, below, _ in spine.steps()]
    t11 = [pair for pair in follows if pair[0] == Level.T11]
    l5 = sum(Level.L5 in spine.levels for spine in spines)
    return {
        (Level.T11, Level.L1): (t11.count((Level.T11, Level.L1)), len(t11)),
        (Level.L5, Level.L6): (follows.count((Level.L5, Level.L6)), l5),
    }


def _per_pair(steps: list[list[tuple[Level, Level, float]]], stature: Array) -> dict[Pair, list[float]]:
    """Logarithms of the distances by pair, stature taken off."""
    logs: dict[Pair, list[float]] = defaultdict(list)
    for walk, scale in zip(steps, stature, strict=True):
        for above, below, distance in walk:
            logs[above, below].append(float(np.log(distance) - scale))
    return logs


def _stature(walk: list[tuple[Level, Level, float]], median: dict[Pair, float]) -> float:
    """Logarithm of the spine's scale, 0 without a step."""
    return float(np.median([np.log(d) - median[a, b] for a, b, d in walk])) if walk else 0.0


def _tells_stature(steps: list[list[tuple[Level, Level, float]]]) -> NDArray[np.bool_]:
    return np.array([len(walk) >= _STEPS_FOR_STATURE for walk in steps])


def _robust_sd(residuals: Array) -> float:
    return float(1.4826 * np.median(np.abs(residuals))) if len(residuals) else 0.0
