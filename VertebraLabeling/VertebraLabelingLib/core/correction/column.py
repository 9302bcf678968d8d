"""A column of points: made from a labelling, made into one again, measured and looked through for mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from ..anatomy import Level
from ..errors import CorrectionError
from ..labelling import LabelledPoint
from .column_point import Column, ColumnPoint, Segment, cranio_caudal, distance_mm, named, segments
from .order import Order, order_of, stature, usual_mm

__all__ = [
    "Column",
    "ColumnPoint",
    "column_of",
    "cranio_caudal",
    "named",
    "points_of",
    "problems",
    "segment_lengths_mm",
]

_CLOSE_STEPS = 0.35
_FAR_STEPS = 0.45
"""Neighbours are implausible when they are nearer or further than usual by these shares of one step: real spacings
differ by less, a vertebra marked twice or one missed by 0.5 and 1."""


def column_of(labelling_points: Iterable[LabelledPoint]) -> Column:
    """The points of a labelling in their order, confirmed ones locked, without keys."""
    return tuple(
        ColumnPoint(p.level.name, p.position_lps_mm, p.probability, p.remark, p.confirmed) for p in labelling_points
    )


def points_of(column: Column) -> tuple[LabelledPoint, ...]:
    """Named points for the writers, sorted by level; what the user has confirmed has probability 1.

    CorrectionError naming the labels that are no level or occur more than once.
    """
    wrong = (*_unknown(column), *_doubled(column))
    if wrong:
        raise CorrectionError(" ".join(wrong))
    return tuple(_labelled(level, point) for level, point in sorted(named(column), key=lambda pair: pair[0]))


def _labelled(level: Level, point: ColumnPoint) -> LabelledPoint:
    probability = 1.0 if point.locked else point.probability
    return LabelledPoint(level, point.position_lps_mm, probability, point.remark, point.locked)


def segment_lengths_mm(column: Column) -> tuple[float, ...]:
    """The n - 1 distances between neighbours, all points counted, cranio-caudal."""
    return tuple(distance_mm(column[i], column[j]) for i, j in pairwise(cranio_caudal(column)))


def problems(column: Column) -> tuple[str, ...]:
    """Sentences about what cannot be right or should be looked at; () when nothing stands out.

    Labels that are no level, levels that occur twice, then for each pair of neighbours, cranio-caudal: names against
    positions, levels left out, distances that do not fit the names.
    """
    order, scale = order_of(column), stature(column)
    pairs = (_segment_problem(segment, order, scale) for segment in segments(column))
    return (*_unknown(column), *_doubled(column), *(sentence for sentence in pairs if sentence))


def _unknown(column: Column) -> tuple[str, ...]:
    labels = dict.fromkeys(point.label for point in column if point.level is None)
    return tuple(f"'{label}' is no level (C1-C7, T1-T13, L1-L6, S1, S2); rename or delete it." for label in labels)


def _doubled(column: Column) -> tuple[str, ...]:
    counts = sorted(Counter(level for level, _ in named(column)).items())
    return tuple(
        f"{level.name} occurs {'twice' if count == 2 else f'{count} times'}; rename or delete one."
        for level, count in counts
        if count > 1
    )


def _segment_problem(segment: Segment, order: Order, scale: float) -> str:
    """What is wrong with two neighbours; "" when nothing is, or when they bear one name (said of the column)."""
    upper, lower, length = segment.upper, segment.lower, segment.length_mm
    if upper >= lower:
        return f"{upper.name} lies above {lower.name}; one of the names is wrong." if upper > lower else ""
    left_out = order[order.index(upper) + 1 : order.index(lower)]
    usual = scale * usual_mm(order, upper, lower)
    step = usual / (len(left_out) + 1)
    is_close = length < usual - _CLOSE_STEPS * step
    if left_out:
        return _gap_sentence(segment, left_out, is_close)
    pair = f"{upper.name} and {lower.name} are"
    if is_close:
        return f"{pair} only {length:.0f} mm apart (usual: {usual:.0f}); is one vertebra marked twice?"
    is_far = length > usual + _FAR_STEPS * step
    return f"{pair} {length:.0f} mm apart (usual: {usual:.0f}); is a vertebra missed between them?" if is_far else ""


def _gap_sentence(segment: Segment, left_out: Sequence[Level], is_close: bool) -> str:
    one = len(left_out) == 1
    names = left_out[0].name if one else f"{left_out[0].name}-{left_out[-1].name}"
    missing = f"{names} {'is' if one else 'are'} missing between {segment.upper.name} and {segment.lower.name}"
    if is_close:
        return f"{missing}, which are only {segment.length_mm:.0f} mm apart; is a name wrong?"
    return f"{missing}; insert {'it' if one else 'them'} if in view."
