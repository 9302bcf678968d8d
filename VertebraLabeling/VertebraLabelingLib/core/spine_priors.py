"""What is known of the human column before looking: spacings between body centres, variants, missed vertebrae.

Only summary statistics stand here.  Sources:

* spacings from C3 down to L5 and T11-L1, L5-L6: own fit to the body centroids of the ImFusion VID data set, training
  part (CC BY-SA 4.0; VerSe, CT colonography and Pancreas-CT), 1313 spines of 825 patients, 634 spines of 385 other
  patients being kept apart for judging: median of the log distance per pair after a stature factor per spine, and
  1.48 x MAD of what remains, at least 3 %.  `python -m training decoder --spines DIR` prints the fit beside these;
* C1-C2, C2-C3 (our C2 is the body, that of VID the dens), L5-S1, S1-S2: the hand-placed centroids of this project's
  training scans, few, hence the wider SD;
* T12-T13 and T13-L1: VerSe20 and interpolation (n = 2 and 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .anatomy import Level

_SPACINGS_MM: dict[str, tuple[float, float]] = {
    "C1-C2": (20.6, 0.080), "C2-C3": (20.4, 0.070), "C3-C4": (17.4, 0.041), "C4-C5": (16.9, 0.050),
    "C5-C6": (16.8, 0.073), "C6-C7": (17.8, 0.070), "C7-T1": (19.4, 0.040), "T1-T2": (20.5, 0.037),
    "T2-T3": (20.9, 0.030), "T3-T4": (20.9, 0.030), "T4-T5": (21.5, 0.030), "T5-T6": (22.1, 0.030),
    "T6-T7": (22.6, 0.030), "T7-T8": (23.2, 0.032), "T8-T9": (23.8, 0.039), "T9-T10": (25.3, 0.039),
    "T10-T11": (27.2, 0.042), "T11-T12": (29.6, 0.038), "T12-L1": (32.4, 0.035), "L1-L2": (34.4, 0.030),
    "L2-L3": (35.8, 0.034), "L3-L4": (36.5, 0.036), "L4-L5": (36.4, 0.049), "L5-S1": (34.8, 0.080),
    "S1-S2": (30.0, 0.090),
    "T11-L1": (31.2, 0.050), "T12-T13": (32.3, 0.060), "T13-L1": (33.5, 0.060),
    "L4-S1": (34.8, 0.080), "L5-L6": (36.7, 0.040), "L6-S1": (34.8, 0.080),
}  # fmt: skip
"""Pair -> (mean distance of the body centres in mm, SD as a fraction of it once stature is divided out)."""

SCALE_SD = 0.065
"""SD of the stature factor between adults, mean 1 (0.066 in VID, 0.065 in VerSe20)."""

_VARIANTS: dict[str, float] = {"T11-L1": 0.03, "T12-T13": 0.01, "L4-S1": 0.02, "L5-L6": 0.03}
"""Prior probability of leaving the regular order, given the upper level.

Published figures differ with the counting convention: 11 thoracic 5.8 % (Chinese, n = 293) but 0.6 % in VID; L6 5.5 %
there, 2.8 % in VID, 3.3-4 % elsewhere; lumbar ribs, the usual origin of a T13, 1.5 %; a sacralised L5 counted away is
rarer than the 12 % that are sacralised in shape.  The values lie between: VID cannot fix them, as its colonography
scans (4 of 5) are labelled without any variant, while VerSe (T11-L1 2.5 %, L6 18 %) was collected for them.
"""

PRIORS = (_SPACINGS_MM, SCALE_SD, _VARIANTS)
"""All numbers of this module."""


@dataclass(frozen=True)
class Route:
    """A way from one found level to the next found one below it.

    missed: the levels between them that exist but were not found.  log_prior: of the anatomy and of missing them.
    mean_mm, sd_mm: distance of the two body centres in a spine of average stature.
    """

    above: Level
    below: Level
    missed: tuple[Level, ...]
    log_prior: float
    mean_mm: float
    sd_mm: float


def spacing_mm(above: Level, below: Level) -> tuple[float, float]:
    """(mean, SD) in mm of the distance between two body centres that may follow each other; KeyError otherwise."""
    mean, fraction = _SPACINGS_MM[f"{above.name}-{below.name}"]
    return mean, mean * fraction


def successors(level: Level) -> dict[Level, float]:
    """Levels that may directly follow, with probabilities that sum to 1 (empty for S2)."""
    variants = {Level[p.split("-")[1]]: q for p, q in _VARIANTS.items() if p.split("-")[0] == level.name}
    regular = _regular_successor(level)
    return variants if regular is None else {regular: 1.0 - sum(variants.values()), **variants}


def prevalence(level: Level) -> float:
    """Probability that a spine has this level, as far as variants go: T13 and L6 are rare, others count as there."""
    return _VARIANTS[f"{Level(level - 1).name}-{level.name}"] if level.is_supernumerary else 1.0


def _regular_successor(level: Level) -> Level | None:
    """The next level of a spine without variants; T13 and L6 are followed by what T12 and L5 are."""
    if level == Level.S2:
        return None
    following = Level(level + 1)
    return Level(following + 1) if following.is_supernumerary else following


def routes(missed_probability: float, max_missed: int) -> tuple[Route, ...]:
    """All ways from a level to a level below it that leave out at most `max_missed` existing vertebrae."""
    found = (r for level in Level for r in _routes_from((level,), 0.0, 0.0, 0.0, missed_probability, max_missed))
    return tuple(sorted(found, key=lambda r: (r.above, r.below)))


def _routes_from(
    walk: tuple[Level, ...], log_prior: float, mean: float, variance: float, missed_probability: float, left: int
) -> Iterator[Route]:
    """Routes that begin with the levels of `walk`, whose inner ones count as missed."""
    for below, probability in successors(walk[-1]).items():
        step_mean, step_sd = spacing_mm(walk[-1], below)
        prior = log_prior + math.log(probability)
        total, spread = mean + step_mean, variance + step_sd**2
        yield Route(walk[0], below, walk[1:], prior, total, math.sqrt(spread))
        if left > 0:
            missing = prior + math.log(missed_probability)
            yield from _routes_from((*walk, below), missing, total, spread, missed_probability, left - 1)
