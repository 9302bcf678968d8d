"""Which levels this spine has, as far as its points show it, and how far apart they usually are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from ..anatomy import ABSENT_BETWEEN, REGULAR_LEVELS, Level
from ..spine_priors import spacing_mm
from .column_point import Column, Segment, segments

Order = tuple[Level, ...]
"""Levels of one spine, from C1 to S2."""

_ENOUGH_SEGMENTS = 3


def order_of(column: Column) -> Order:
    """The regular levels, with T13 and L6 where a point bears that name, without T12 (L5) where T11 touches L1 (L4 S1).

    They touch when they are nearer than half way to the distance that they have with a vertebra between them.
    """
    borne = {point.level for point in column}
    scale = stature(column)
    pairs = {(s.upper, s.lower) for s in segments(column) if (s.upper, s.lower) in ABSENT_BETWEEN and _touch(s, scale)}
    absent = {ABSENT_BETWEEN[pair] for pair in pairs if Level(ABSENT_BETWEEN[pair] + 1) not in borne} - borne
    return tuple(x for x in Level if x in borne or not (x.is_supernumerary or x in absent))


def _touch(segment: Segment, scale: float) -> bool:
    direct, _ = spacing_mm(segment.upper, segment.lower)
    return segment.length_mm < scale * (direct + usual_mm(REGULAR_LEVELS, segment.upper, segment.lower)) / 2


def stature(column: Column) -> float:
    """Size of this spine against an average one: median over its segments; 1 where fewer than three can tell."""
    ratios = [s.length_mm / spacing_mm(s.upper, s.lower)[0] for s in segments(column) if _is_next(s.upper, s.lower)]
    return max(median(ratios), 0.1) if len(ratios) >= _ENOUGH_SEGMENTS else 1.0


def _is_next(upper: Level, lower: Level) -> bool:
    """Whether `lower` follows directly with no regular level left out."""
    between = (level for level in REGULAR_LEVELS if upper < level < lower)
    return upper < lower and next(between, None) is None


def usual_mm(order: Sequence[Level], upper: Level, lower: Level) -> float:
    """Mean distance of two body centres in an average spine with the levels `order`, summed over those between them."""
    part = order[order.index(upper) : order.index(lower) + 1]
    return sum(spacing_mm(above, below)[0] for above, below in pairwise(part))
