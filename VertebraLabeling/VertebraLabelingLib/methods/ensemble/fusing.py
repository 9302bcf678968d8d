"""One evidence out of that of several methods: where vertebrae are, how surely, and what they are called.

Candidates of different methods that are close together are one *place*.  The most trusted method that sees something
there proposes a vertebra, with the probability that its score means.  Every other method seconds or objects by Bayes'
rule, with the likelihood ratio of what it says there:

* it sees something: P(seen | vertebra) / P(seen | none) = recall / chance, times the odds of its score against those of
  its candidates in general;
* it is silent: (1 - recall) / (1 - chance).

Near the border of the scan the chance is another: a body whose centre is outside is seen by all, and that they agree
means little.

All methods see the same picture and err together, so that their words count with exponents below 1, see `Trust`; those
of the most trusted method count in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import expit, logit

from ...core.anatomy import Level
from ...core.doubles import typical_spacings_mm
from ...core.geometry import Geometry
from ...core.labelling import Evidence
from ..level_evidence import LEAST_LOG_PROB, tempered
from .trust import BORDER_MM, Trust, regions_of

SAME_VERTEBRA_SHARE = 0.5
"""Candidates of two methods that are closer than this share of the spacing expected there are one vertebra."""
LEAST_FUSED_SCORE = 0.1
"""Less likely places are no candidates: the decoder counts on as few false ones as one method gives.

Of 0, 0.05, 0.1 and 0.2 the best on crops of training scans; on whole ones and on phantoms all are alike.
"""
_LEAST_SCORE = 1e-3

Floats = NDArray[np.float64]
Place = dict[str, int]
"""Method -> its candidate there, the most trusted first; only those that have one."""


def fuse(found: Mapping[str, Evidence], trust: Mapping[str, Trust], geometry: Geometry) -> Evidence:
    """The candidates of all methods, those of different methods that stand for one vertebra as one.

    found: method -> its evidence in the same scan; one without candidates counts as having seen nothing.  Positions
    are means weighted by score and 1 / error², level probabilities products of powers (a log-linear pool), scores
    those of this module's description.  geometry: of the scan, whose border matters.
    """
    ranked = {name: found[name] for name in by_trust(found, trust)}
    fused = [_one(place, ranked, trust, geometry) for place in places_of(ranked)]
    positions, levels, scores = zip(*fused, strict=True) if fused else ((), (), ())
    fusion = Evidence(np.reshape(positions, (-1, 3)), np.reshape(levels, (-1, len(Level))), np.array(scores, float))
    return fusion.taken(fusion.scores >= LEAST_FUSED_SCORE)


def by_trust(names: Sequence[str] | Mapping[str, Evidence], trust: Mapping[str, Trust]) -> list[str]:
    """The methods, the most trusted first."""
    return sorted(names, key=lambda name: (-trust[name].presence, -trust[name].names))


def places_of(ranked: Mapping[str, Evidence]) -> list[Place]:
    """What stands for one vertebra.

    Each evidence in turn is assigned to the places of those before it, at most one candidate to each.
    """
    places: list[Place] = []
    positions, limits = np.empty((0, 3)), np.empty(0)
    for name, evidence in ranked.items():
        taken = _assigned(positions, limits, evidence.positions_lps_mm)
        for place, candidate in taken.items():
            places[place][name] = candidate
        new = [c for c in range(len(evidence)) if c not in taken.values()]
        places += [{name: c} for c in new]
        spacings_mm = np.exp(evidence.level_log_probs[new]) @ typical_spacings_mm()
        positions = np.concatenate([positions, evidence.positions_lps_mm[new]])
        limits = np.concatenate([limits, SAME_VERTEBRA_SHARE * spacings_mm])
    return places


def _assigned(places: Floats, limits_mm: Floats, positions: Floats) -> dict[int, int]:
    """Place -> candidate, one to one, as many as lie within the limits of their place and the nearest of them."""
    distances = np.linalg.norm(places[:, None] - positions[None], axis=-1)
    near = distances < limits_mm[:, None]
    rows, columns = linear_sum_assignment(np.where(near, distances, 1e6))
    return {int(p): int(c) for p, c in zip(rows, columns, strict=True) if near[p, c]}


def _one(
    place: Place, ranked: Mapping[str, Evidence], trust: Mapping[str, Trust], geometry: Geometry
) -> tuple[Floats, Floats, float]:
    """Position (3,), level log-probabilities (28,) and score of one place."""
    levels = pooled_names(place, ranked, trust)
    regions = regions_of(levels)
    terms, exponents = presence_terms(place, ranked, trust, regions, geometry), exponents_of(place, ranked, trust)
    odds = sum(exponents[name] * term for name, term in terms.items())
    return fused_position(place, ranked, trust, regions), levels, float(expit(odds))


def fused_position(place: Place, ranked: Mapping[str, Evidence], trust: Mapping[str, Trust], regions: Floats) -> Floats:
    """(3,) mean by precision: score / error², times the `place` of the trust in all but the proposer."""
    proposer, *_ = place
    weights = []
    for name, candidate in place.items():
        exponent = 1.0 if name == proposer else trust[name].place
        weights.append(exponent * _score(ranked[name], candidate) / trust[name].error_mm_at(regions) ** 2)
    positions = [ranked[name].positions_lps_mm[candidate] for name, candidate in place.items()]
    return np.asarray(np.average(positions, axis=0, weights=weights))


def pooled_names(place: Place, ranked: Mapping[str, Evidence], trust: Mapping[str, Trust]) -> Floats:
    """(28,) log-probabilities: the sum of those of all that see the place, each times the `names` of its trust.

    In relation to the most trusted method that has a say, so that a single one is left as it is.
    """
    most = max(trust[name].names for name in place)
    pooled = np.zeros(len(Level))
    for name, candidate in place.items():
        share = trust[name].names / most if most else 1.0
        pooled += share * np.maximum(ranked[name].level_log_probs[candidate], LEAST_LOG_PROB)
    return tempered(pooled[None], 1.0)[0]


def exponents_of(place: Place, ranked: Mapping[str, Evidence], trust: Mapping[str, Trust]) -> dict[str, float]:
    """How much the word of each method counts there; the first one's in full."""
    first, *others = ranked
    by_first = first in place
    return {first: 1.0, **{name: trust[name].presence if by_first else trust[name].alone for name in others}}


def is_at_border(place: Place, ranked: Mapping[str, Evidence], geometry: Geometry) -> bool:
    """Whether the proposed position is within `BORDER_MM` of the border of the scan."""
    proposer, candidate = next(iter(place.items()))
    return bool(geometry.border_distance_mm(ranked[proposer].positions_lps_mm[candidate]) < BORDER_MM)


def presence_terms(
    place: Place, ranked: Mapping[str, Evidence], trust: Mapping[str, Trust], regions: Floats, geometry: Geometry
) -> dict[str, float]:
    """The log-odds that the proposer gives, and the log-likelihood ratios of what the others say; see the module.

    regions: (4,) probabilities of the place.
    """
    proposer, *_ = place
    at_border = is_at_border(place, ranked, geometry)
    terms = {}
    for name, evidence in ranked.items():
        odds = logit(_score(evidence, place[name])) if name in place else 0.0
        chance, recall = trust[name].chance_at(at_border), trust[name].recall_at(regions)
        if name == proposer:
            terms[name] = float(odds)
        elif name in place:
            terms[name] = float(odds - logit(trust[name].share) + np.log(recall / chance))
        else:
            terms[name] = float(np.log((1 - recall) / (1 - chance)))
    return terms


def _score(evidence: Evidence, candidate: int) -> float:
    """Of a candidate, never 0 or 1."""
    return float(np.clip(evidence.scores[candidate], _LEAST_SCORE, 1 - _LEAST_SCORE))
