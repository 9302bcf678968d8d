"""How much to trust each method in the ensemble: measured on pieces of which all have given their evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_expit
from VertebraLabelingLib.core.anatomy import Level, Region
from VertebraLabelingLib.core.labelling import Evidence, LabelledPoint, positions_of
from VertebraLabelingLib.methods.ensemble.fusing import (
    by_trust,
    fused_position,
    is_at_border,
    places_of,
    pooled_names,
    presence_terms,
)
from VertebraLabelingLib.methods.ensemble.trust import ByRegion, Trust, regions_of

from .certainty import judged
from .crops import Piece
from .decoder.samples import FALSE, UNKNOWN
from .evaluate import FOUND_WITHIN_MM
from .evidence import evidence_of, truths

Array = NDArray[np.float64]
Found = Mapping[str, Sequence[Piece]]
"""Method -> the same pieces as every other method, in the same order."""
Exponents = dict[str, float]


@dataclass(frozen=True)
class Seen:
    """What one method sees in all pieces together.

    levels: (n,) true level of each candidate, `FALSE` or `UNKNOWN`.  errors_mm: (n,) distance from that vertebra, NaN
    for others.  wanted: (28,) number of vertebrae of each level that there are.
    """

    levels: NDArray[np.intp]
    errors_mm: Array
    wanted: NDArray[np.intp]


@dataclass(frozen=True)
class JudgedPlace:
    """A place where some method sees something, and what is there: a level or `FALSE`.

    candidates: see `fusing.Place`.  ranked: the evidence of all methods in that piece, the most trusted first.
    """

    level: int
    candidates: dict[str, int]
    ranked: Mapping[str, Evidence]
    piece: Piece


def measured(found: Found, first: str) -> dict[str, Trust]:
    """The trust of every method, with the exponents in 0..1 that make the truth most likely.

    first: the method that proposes whatever it sees and whose word counts in full.  What lies beyond the labelled
    stretch of a column is false, as `evaluate` counts it: our annotations name every body whose centre is in view.
    """
    alone = {name: _alone(seen_in(pieces)) for name, pieces in found.items()}
    trust = {name: replace(of_it, presence=float(name == first)) for name, of_it in alone.items()}
    places = list(judged_places(found, trust))
    for at_border, key in ((False, "chance"), (True, "border_chance")):
        there = [
            place for place in places if is_at_border(place.candidates, place.ranked, place.piece.geometry) == at_border
        ]
        trust = {name: replace(of_it, **{key: _chance(there, name)}) for name, of_it in trust.items()}
    names = _name_exponents(places, trust, first)
    trust = {name: replace(of_it, names=names[name]) for name, of_it in trust.items()}
    seen, unseen = ([p for p in places if (first in p.candidates) == by_first] for by_first in (True, False))
    presence, alone = _presence_exponents(seen, trust, first), _presence_exponents(unseen, trust, first)
    where = _place_exponents(seen, trust, first)
    return {n: replace(t, presence=presence[n], alone=alone[n], place=where[n]) for n, t in trust.items()}


def most_often_right(found: Found) -> str:
    """The method that finds and rightly names the most vertebrae."""

    def right(pieces: Sequence[Piece]) -> int:
        seen = ((evidence_of(piece), piece) for piece in pieces)
        named = ((e.level_log_probs.argmax(1), truths(p, e.positions_lps_mm, complete=True)) for e, p in seen)
        return sum(int((levels == true).sum()) for levels, true in named)

    return max(found, key=lambda name: right(found[name]))


def seen_in(pieces: Sequence[Piece]) -> Seen:
    """The candidates of all pieces against their truth."""
    levels, errors, wanted = [np.empty(0, np.intp)], [np.empty(0)], np.zeros(len(Level), np.intp)
    for piece in pieces:
        positions = evidence_of(piece).positions_lps_mm
        levels.append(truths(piece, positions, complete=True))
        at = np.full((len(Level) + 2, 3), np.nan)  # FALSE and UNKNOWN index the last rows
        at[_levels(piece.truth)] = positions_of(piece.truth)
        errors.append(np.linalg.norm(positions - at[levels[-1]], axis=1))
        np.add.at(wanted, _levels(judged(piece, ())[0]), 1)
    return Seen(np.concatenate(levels), np.concatenate(errors), wanted)


def _levels(points: Sequence[LabelledPoint]) -> NDArray[np.intp]:
    return np.array([point.level for point in points], np.intp)


def judged_places(found: Found, trust: Mapping[str, Trust]) -> Iterator[JudgedPlace]:
    """All places of all pieces of which the truth is known."""
    for pieces in zip(*found.values(), strict=True):
        evidence = {name: evidence_of(piece) for name, piece in zip(found, pieces, strict=True)}
        ranked = {name: evidence[name] for name in by_trust(evidence, trust)}
        places = places_of(ranked)
        positions = np.reshape([_position(place, ranked, trust) for place in places], (-1, 3))
        for level, candidates in zip(truths(pieces[0], positions, complete=True), places, strict=True):
            if level != UNKNOWN:
                yield JudgedPlace(int(level), candidates, ranked, pieces[0])


def _position(candidates: dict[str, int], ranked: Mapping[str, Evidence], trust: Mapping[str, Trust]) -> Array:
    return fused_position(candidates, ranked, trust, regions_of(pooled_names(candidates, ranked, trust)))


def _alone(seen: Seen) -> Trust:
    """What a method is worth by itself.

    Shares have one success and one failure added (Laplace), so that none is 0 or 1.
    """
    known = seen.levels[seen.levels != UNKNOWN]
    found = known[known >= 0]
    return Trust(
        presence=0.0,
        alone=0.0,
        names=0.0,
        place=1.0,
        share=_share(len(found), len(known)),
        chance=0.5,
        border_chance=0.5,
        recall=_by_region(
            lambda mask: _share(int(mask[seen.levels[seen.levels >= 0]].sum()), int(seen.wanted[mask].sum()))
        ),
        error_mm=_by_region(lambda mask: _error_mm(seen, mask)),
    )


def _by_region(value: Callable[[NDArray[np.bool_]], float]) -> ByRegion:
    """The value of the levels (28,) of each region."""
    neck, chest, loin, sacrum = (value(np.array([level.region is region for level in Level])) for region in Region)
    return neck, chest, loin, sacrum


def _error_mm(seen: Seen, mask: NDArray[np.bool_]) -> float:
    """Root mean square distance, with one candidate at the edge of what counts as found added."""
    of_region = seen.errors_mm[(seen.levels >= 0) & mask[seen.levels]]
    return float(np.sqrt(np.mean(np.append(of_region, FOUND_WITHIN_MM) ** 2)))


def _share(successes: int, trials: int) -> float:
    return (successes + 1) / (trials + 2)


def _chance(places: Sequence[JudgedPlace], name: str) -> float:
    """Share of the places where others wrongly see a vertebra and this method does, too."""
    wrong = [place for place in places if place.level == FALSE and place.candidates.keys() - {name}]
    return _share(sum(name in place.candidates for place in wrong), len(wrong))


def _presence_exponents(places: Sequence[JudgedPlace], trust: Mapping[str, Trust], first: str) -> Exponents:
    """By logistic regression: what is true is to be likely."""
    names = [name for name in trust if name != first]
    signs = np.array([1.0 if place.level >= 0 else -1.0 for place in places])
    fixed, others = np.zeros(len(places)), np.zeros((len(places), len(names)))
    for n, place in enumerate(places):
        regions = regions_of(pooled_names(place.candidates, place.ranked, trust))
        terms = presence_terms(place.candidates, place.ranked, trust, regions, place.piece.geometry)
        fixed[n], others[n] = terms[first], [terms[name] for name in names]
    return {first: 1.0, **_fitted(names, lambda w: -log_expit(signs * (fixed + others @ w)).sum())}


def _name_exponents(places: Sequence[JudgedPlace], trust: Mapping[str, Trust], first: str) -> Exponents:
    """By maximum likelihood of the levels of the vertebrae that the first method sees."""
    names = [name for name in trust if name != first]
    seen = [place for place in places if place.level >= 0 and first in place.candidates]

    def loss(w: Array) -> float:
        changed = {name: replace(trust[name], names=x) for name, x in zip([first, *names], [1.0, *w], strict=True)}
        return -sum(pooled_names(place.candidates, place.ranked, changed)[place.level] for place in seen)

    return {first: 1.0, **_fitted(names, loss)}


def _place_exponents(places: Sequence[JudgedPlace], trust: Mapping[str, Trust], first: str) -> Exponents:
    """By the least mean distance from the vertebrae that the first method sees."""
    names = [name for name in trust if name != first]
    seen = [place for place in places if place.level >= 0]
    true = [next(p.position_lps_mm for p in place.piece.truth if p.level == place.level) for place in seen]

    def loss(w: Array) -> float:
        changed = {**trust, **{name: replace(trust[name], place=x) for name, x in zip(names, w, strict=True)}}
        found = [_position(place.candidates, place.ranked, changed) for place in seen]
        return float(np.linalg.norm(np.subtract(found, true), axis=1).sum())

    return {first: 1.0, **_fitted(names, loss)}


def _fitted(names: Sequence[str], loss: Callable[[Array], float]) -> Exponents:
    """The exponents in 0..1 of the least loss."""
    found = minimize(loss, np.full(len(names), 0.5), bounds=[(0.0, 1.0)] * len(names), method="L-BFGS-B")
    return dict(zip(names, found.x.tolist(), strict=True))
