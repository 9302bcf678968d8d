"""From candidate vertebrae to one consistent labelling: a probabilistic sequence decoder.

The model is a chain (see `chain`).  A path through candidates and levels has the log-probability, relative to the empty
path ("all candidates are false detections"), of

* a vertebra instead of a false detection at every candidate: the log-odds of its score;
* the level: log of (probability / uniform probability), divided by a temperature; an undecided candidate says nothing;
* every step: prior of the anatomy (`spine_priors`: regular order, 11 or 13 thoracic, 4 or 6 lumbar, missed vertebrae),
  and the density of the next body centre in space against that of a candidate just anywhere: distance along the column
  against the pair's spacing times the scan's scale, and offset across the local axis, both Student t;
* the scan's scale (stature, and errors of the voxel size), on a grid with a normal prior.

Anchors, points that the user has confirmed, are candidates that every path visits with their level; between two of them
any number of vertebrae may be missed.  Where they contradict the level evidence, its mistake is likely to be one of the
whole column: it is taken to be off by the number of levels that makes the paths most probable.

Every level is as likely to be the first as a spine is to have it (T13 and L6 are rare), and a path may end anywhere: a
partial field of view is normal.  Viterbi gives
the labelling, the sum over all paths the probabilities, and the labelling too where the two disagree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from .anatomy import Level
from .anchors import (
    SHIFTS,
    between,
    check_anchors,
    hold,
    in_order,
    past_an_anchor,
    shift_log_prior,
    shifted,
    with_anchors,
)
from .chain import Array, BestPaths, Chain, State, log_total, posterior
from .labelling import Evidence, LabelledPoint, Labelling
from .name_levels import CertaintySettings, Decoded, Missed, named
from .spine_axis import Steps, steps_along_spine
from .spine_priors import SCALE_SD, Route, prevalence, routes


@dataclass(frozen=True)
class SequenceSettings:
    """What the decoder assumes of the evidence.

    temperature: divides the level evidence, because neighbouring candidates see the same picture and err together; it
    is about the number of neighbours that count as one independent witness.  Chosen so that the column's level is
    right as often as its probability says, on real detections with invented level evidence of which 5 to 30 % of the
    columns were one level off as a whole (2 fitted 5 % best, 3 fitted 30 %); to be fitted again to each network, with
    `python -m training decoder --evidence DIR --fit-emission N`.
    confusion: share of candidates whose level evidence is worthless.
    position_sd_mm: error of a candidate's position, per axis.  tail_dof: degrees of freedom of the Student t densities.
    across_slope: SD of a step's direction against the local axis, as a tangent.
    free_volume_mm3: volume near a column in which there is one candidate on average; the density a step is held
    against.
    missed_probability: that the method overlooks a vertebra between two found ones.  max_missed: in a row.
    scales: number of grid points over +-3 SD of the scale prior.
    """

    temperature: float = 2.5
    confusion: float = 0.02
    position_sd_mm: float = 2.0
    tail_dof: float = 5.0
    across_slope: float = 0.14
    free_volume_mm3: float = 2e5
    missed_probability: float = 0.03
    max_missed: int = 3
    scales: int = 9
    certainty: CertaintySettings = field(default_factory=CertaintySettings)


DEFAULT_SETTINGS = SequenceSettings()
LEAST_VERTEBRA = 0.49
"""Probability of being a vertebra that the surest candidate must have; not quite the half that two on a body share."""


Held = Mapping[int, LabelledPoint]
"""Place in the order of the candidates -> the anchor there."""
Ways = dict[State, tuple[Route, ...]]
"""(upper, lower level) -> the routes between them."""


def decode(
    evidence: Evidence, settings: SequenceSettings = DEFAULT_SETTINGS, anchors: Sequence[LabelledPoint] = ()
) -> Labelling:
    """The most probable labelling of candidates in any order; no points where none is rather a vertebra than not.

    Positions pass through unchanged.  anchors: points that the user has confirmed; they are in the labelling exactly,
    in the place of the candidates that they stand for, and all others are named consistently with them.
    ValueError when a number of the evidence is NaN or a position infinite, InputError when anchors are contradictory.
    """
    _require_numbers(evidence)
    check_anchors(anchors)
    candidates = with_anchors(evidence, anchors)
    if len(candidates) == 0:
        return Labelling(())
    steps = steps_along_spine(candidates.positions_lps_mm, candidates.scores)
    ordered, held = candidates.taken(steps.order), in_order(steps.order, anchors)
    chain = _shifted_to(held, build_chain(ordered, steps, settings, held), ordered, settings)
    belief = posterior(chain)
    if belief.levels.sum(axis=1).max() < LEAST_VERTEBRA:
        return Labelling(())
    paths = BestPaths(chain)
    path, scale = paths.best()
    path = _with_the_mass(path, belief.levels, paths)
    missed = _missed_levels(path, steps.distance_mm, float(scale_grid(settings.scales)[scale]), settings, held)
    return named(Decoded(ordered, belief.levels, path, paths.through, missed, held), settings.certainty)


def _with_the_mass(path: list[State], levels: Array, paths: BestPaths) -> list[State]:
    """The path; or, where the sum over all paths gives a candidate another level, the best path with that level.

    One naming may be the most probable by itself, and yet the column more probably one level off: by many namings, at
    many scales, that agree in that.  levels: (n, 28) posterior.
    """
    own = np.array([levels[state] for state in path])
    behind = levels[[candidate for candidate, _ in path]].max(axis=1) - own
    worst = int(np.argmax(behind))
    candidate = path[worst][0]
    return paths.through((candidate, int(np.argmax(levels[candidate])))) if behind[worst] > 0 else path


def build_chain(
    ordered: Evidence, steps: Steps, settings: SequenceSettings = DEFAULT_SETTINGS, held: Held | None = None
) -> Chain:
    """The graph of all labellings of candidates that are already in the order of `steps`."""
    held = held or {}
    grid = scale_grid(settings.scales)
    prior = -0.5 * ((grid - 1.0) / SCALE_SD) ** 2
    near = _routes_by_levels(settings.missed_probability, settings.max_missed)
    ways = _all_ways(settings, held)
    edges = _possible_steps(steps, max(r.mean_mm for group in near.values() for r in group), held)
    distance, across = steps.distance_mm[tuple(edges)], steps.across_mm[tuple(edges)]
    along = np.stack([_any_route_log_density(distance, grid, group, settings) for group in ways.values()])
    pair = along + _across_log_density(distance, across, settings) + math.log(settings.free_volume_mm3)
    far = np.array([levels not in near for levels in ways])
    pair[far] = np.where(between(len(ordered), held)[tuple(edges)], pair[far], -np.inf)
    start = np.log([prevalence(level) / len(Level) for level in Level])
    log_prior = prior - np.logaddexp.reduce(prior)
    return Chain(hold(unary_terms(ordered, settings), held), edges, np.array(list(ways)).T, pair, log_prior, start)


def _shifted_to(held: Held, chain: Chain, ordered: Evidence, settings: SequenceSettings) -> Chain:
    """The chain with the level evidence of all candidates off by as much as agrees best with the anchors."""
    if not held:
        return chain
    unary = {steps: hold(unary_terms(shifted(ordered, steps), settings), held) for steps in SHIFTS}
    return max((replace(chain, unary=unary[n], scale=chain.scale + shift_log_prior(n)) for n in SHIFTS), key=log_total)


def _all_ways(settings: SequenceSettings, held: Held) -> Ways:
    """The ways that miss few vertebrae, and between the levels of the first and last anchor any."""
    near = _routes_by_levels(settings.missed_probability, settings.max_missed)
    if len(held) < 2:
        return near
    anchored = [anchor.level for anchor in held.values()]
    low, high = min(anchored), max(anchored)
    any_way = _routes_by_levels(settings.missed_probability, len(Level))
    return {k: v for k, v in any_way.items() if k not in near and low <= k[0] and k[1] <= high} | near


def _possible_steps(steps: Steps, longest_mm: float, held: Held) -> NDArray[np.intp]:
    """(2, e) pairs of candidates that may follow each other: downwards, and not beyond the reach of a tall spine.

    Between anchors the reach has no limit; never past an anchor, and always from one to the next.
    """
    count = len(steps.order)
    near = steps.distance_mm <= longest_mm * (1.0 + 4.0 * SCALE_SD)
    possible = (near | between(count, held)) & (steps.along_mm > 0) & ~past_an_anchor(count, held)
    for anchor, following in pairwise(held):
        possible[anchor, following] = True
    lower, upper = np.nonzero(np.triu(possible, 1).T)
    return np.stack([upper, lower])


def scale_grid(count: int) -> Array:
    """Scales over -3 to +3 SD around 1."""
    return np.linspace(1.0 - 3.0 * SCALE_SD, 1.0 + 3.0 * SCALE_SD, count)


def unary_terms(evidence: Evidence, settings: SequenceSettings = DEFAULT_SETTINGS) -> Array:
    """(n, 28) log-odds of the score plus tempered level evidence; zero for score 0.5 and uniform levels."""
    score = np.clip(evidence.scores, 1e-3, 1.0 - 1e-3)
    probability = _with_supernumerary(np.exp(evidence.level_log_probs))
    ratio = (1.0 - settings.confusion) * probability * len(Level) + settings.confusion
    with np.errstate(divide="ignore"):  # without confusion a level may be impossible
        return np.asarray(np.log(score / (1.0 - score))[:, None] + np.log(ratio) / settings.temperature)


def _with_supernumerary(probability: Array) -> Array:
    """T13 and L6 look like what stands on either side: at least the mean of T12 and L1, and of L5 and S1.

    The networks know 26 levels and give these two nothing; a method that does know them keeps its own higher values.
    Rows are likelihoods afterwards and no longer sum to 1.
    """
    shared = probability.copy()
    for extra, above, below in ((Level.T13, Level.T12, Level.L1), (Level.L6, Level.L5, Level.S1)):
        look = 0.5 * (probability[:, above] + probability[:, below])
        shared[:, extra] = np.maximum(probability[:, extra], look)
    return shared


@cache
def _routes_by_levels(missed_probability: float, max_missed: int) -> Ways:
    """(upper, lower level) -> the ways between them, for example T11 to L1 without a T12 or past a missed one."""
    found = groupby(routes(missed_probability, max_missed), key=lambda r: (int(r.above), int(r.below)))
    return {levels: tuple(ways) for levels, ways in found}


def _any_route_log_density(
    distance_mm: Array, scales: Array, ways: tuple[Route, ...], settings: SequenceSettings
) -> Array:
    """(k, e) log of the sum over the routes between two levels."""
    return np.asarray(np.logaddexp.reduce([_route_log_density(distance_mm, scales, r, settings) for r in ways], axis=0))


def _route_log_density(distance_mm: Array, scales: Array, route: Route, settings: SequenceSettings) -> Array:
    """(k, e) log of prior times density per mm of distances (e,) at scales (k,): Student t."""
    scale, dof = scales[:, None], settings.tail_dof
    variance = (scale * route.sd_mm) ** 2 + 2.0 * settings.position_sd_mm**2
    squared = (distance_mm - scale * route.mean_mm) ** 2 / variance
    norm = math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2) - 0.5 * math.log(dof * math.pi)
    density = norm - 0.5 * np.log(variance) - 0.5 * (dof + 1) * np.log1p(squared / dof)
    return np.asarray(route.log_prior + density)


def _across_log_density(distance_mm: Array, across_mm: Array, settings: SequenceSettings) -> Array:
    """(e,) log density per mm^2 of the offset across the axis: Student t in two dimensions."""
    variance = (settings.across_slope * distance_mm) ** 2 + 2.0 * settings.position_sd_mm**2
    tail = -0.5 * (settings.tail_dof + 2) * np.log1p(across_mm**2 / (variance * settings.tail_dof))
    return np.asarray(tail - np.log(2.0 * math.pi * variance))


def _missed_levels(
    path: list[State], distance_mm: Array, scale: float, settings: SequenceSettings, held: Held
) -> list[Missed]:
    """Between each two neighbours of the path, the levels that most probably exist there but were not found."""
    ways = _all_ways(settings, held)
    missed = []
    for (i, above), (j, below) in pairwise(path):
        distance, at = distance_mm[[i], j], np.array([scale])
        likely = max(ways[above, below], key=lambda r: _route_log_density(distance, at, r, settings).item())
        missed.append(likely.missed)
    return missed


def _require_numbers(evidence: Evidence) -> None:
    """ValueError for NaN, and for an infinite position; a log-probability of -inf is a probability of zero."""
    finite = np.isfinite(evidence.positions_lps_mm).all() and np.isfinite(evidence.scores).all()
    if not finite or np.isnan(evidence.level_log_probs).any():
        raise ValueError("the evidence holds a position, score or log-probability that is not a number")
