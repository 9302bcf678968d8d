"""Anchors: points that the user has confirmed, which a labelling keeps exactly and by which it names all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from .anatomy import REGULAR_LEVELS, Level
from .doubles import SAME_BODY_SHARE, typical_spacings_mm
from .errors import InputError
from .labelling import Evidence, LabelledPoint, positions_of

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SAME_PLACE_MM = 4.0
"""Two body centres are never so close, not even in a child's neck."""
CERTAIN = 1e3
"""Log-odds of an anchor: beyond all that evidence and spacing say of a column, and finite, so that sums of it are."""
_SHIFT_LOG_ODDS = 3.7
"""Against the level evidence of a whole column being one level off, 1 in 40 each way; as much again per level more."""
SHIFTS = (-2, -1, 0, 1, 2)


def check_anchors(anchors: Sequence[LabelledPoint]) -> None:
    """InputError, naming the points, when two have one level or one place, or a position is not finite."""
    twice = [level.name for level, count in Counter(p.level for p in anchors).items() if count > 1]
    if twice:
        raise InputError(f"{', '.join(twice)} is confirmed more than once; keep one confirmed point of each level.")
    endless = [point.level.name for point in anchors if not np.isfinite(point.position_lps_mm).all()]
    if endless:
        raise InputError(f"The position of {', '.join(endless)} is not finite; place the confirmed point again.")
    for one, other in combinations(anchors, 2):
        if np.linalg.norm(np.subtract(one.position_lps_mm, other.position_lps_mm)) < SAME_PLACE_MM:
            raise InputError(
                f"The confirmed points {one.level.name} and {other.level.name} lie on the same vertebra; remove one."
            )


def confirmed(anchor: LabelledPoint) -> LabelledPoint:
    """The point of the result that an anchor becomes; what was once remarked on it was of a guess."""
    return replace(anchor, probability=1.0, remark="", confirmed=True)


def unclaimed(evidence: Evidence, anchors: Sequence[LabelledPoint]) -> Evidence:
    """The candidates without those that an anchor stands for: nearer to it than another vertebra can be."""
    offsets = evidence.positions_lps_mm[:, None] - positions_of(anchors)
    reach_mm = SAME_BODY_SHARE * typical_spacings_mm()[[anchor.level for anchor in anchors]]
    return evidence.taken(~(np.linalg.norm(offsets, axis=-1) < reach_mm).any(axis=1))


def with_anchors(evidence: Evidence, anchors: Sequence[LabelledPoint]) -> Evidence:
    """The unclaimed candidates, and after them each anchor as a certain one of its level."""
    free = unclaimed(evidence, anchors)
    levels = [anchor.level for anchor in anchors]
    with np.errstate(divide="ignore"):
        certain = np.log(np.eye(len(Level))[levels].reshape(-1, len(Level)))
    return Evidence(
        np.concatenate([free.positions_lps_mm, positions_of(anchors)]),
        np.concatenate([free.level_log_probs, certain]),
        np.concatenate([free.scores, np.ones(len(anchors))]),
    )


def in_order(order: NDArray[np.intp], anchors: Sequence[LabelledPoint]) -> dict[int, LabelledPoint]:
    """Place of each anchor -> its point in the result, for candidates of `with_anchors` in the cranio-caudal `order`.

    InputError naming two neighbours of which the lower level lies above the higher one.
    """
    first = len(order) - len(anchors)
    held = {place: confirmed(anchors[index - first]) for place, index in enumerate(order) if index >= first}
    for above, below in pairwise(point.level.name for point in held.values()):
        if Level[above] > Level[below]:
            raise InputError(
                f"The confirmed points {below} and {above} lie in the wrong order along the spine; "
                "correct the name or the place of one."
            )
    return held


def shift_log_prior(steps: int) -> float:
    """Of the level evidence of a whole column being `steps` levels off, not normalised."""
    return -_SHIFT_LOG_ODDS * abs(steps)


def shifted(evidence: Evidence, steps: int) -> Evidence:
    """The same candidates, each believed to be `steps` levels lower in the regular order; 0 changes nothing.

    What leaves the column at an end is lost, and so is what was said of T13 and L6.
    """
    if steps == 0:
        return evidence
    return replace(evidence, level_log_probs=levels_lower(evidence.level_log_probs, steps, -np.inf))


def levels_lower(values: Array, steps: int, nothing: float) -> Array:
    """Values (n, 28) of the levels, each moved `steps` != 0 levels down the regular order, with `nothing` elsewhere."""
    regular = np.array(REGULAR_LEVELS)
    moved = np.full_like(values, nothing)
    target, source = (regular[steps:], regular[:-steps]) if steps > 0 else (regular[:steps], regular[-steps:])
    moved[:, target] = values[:, source]
    return moved


def hold(unary: Array, held: Mapping[int, LabelledPoint]) -> Array:
    """Unary terms (n, 28) in which each candidate of `held` has its level for certain and no other."""
    if not held:
        return unary
    fixed = unary.copy()
    fixed[list(held)] = -np.inf
    fixed[list(held), [anchor.level for anchor in held.values()]] = CERTAIN
    return fixed


def between(count: int, held: Mapping[int, LabelledPoint]) -> Mask:
    """(n, n): pairs of candidates, in order, that lie between the first and the last anchor, these included."""
    places = np.arange(count)
    within = (places >= min(held, default=count)) & (places <= max(held, default=-1))
    return np.asarray(within[:, None] & within)


def past_an_anchor(count: int, held: Mapping[int, LabelledPoint]) -> Mask:
    """(n, n): pairs of candidates, in order, that leave out an anchor between them."""
    is_anchor = np.isin(np.arange(count), list(held))
    upto = np.cumsum(is_anchor)
    return np.asarray((upto - is_anchor)[None, :] > upto[:, None])
