"""One point of a column as the user sees and corrects it, and which points lie over each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ..anatomy import Level
from ..labelling import UNCERTAIN_BELOW
from ..spine_axis import steps_along_spine

Position = tuple[float, float, float]


@dataclass(frozen=True)
class ColumnPoint:
    """One control point: text, centroid in LPS mm, probability 0..1 that the name is right, remark for the user.

    locked: confirmed by the user.  key: id of the control point in its node, "" for a new one; operations keep it.
    """

    label: str
    position_lps_mm: Position
    probability: float = 1.0
    remark: str = ""
    locked: bool = False
    key: str = ""

    @property
    def level(self) -> Level | None:
        """The level that the label names, None when it names none."""
        try:
            return Level.parse(self.label)
        except ValueError:
            return None

    @property
    def is_uncertain(self) -> bool:
        """Whether the name is more probably wrong than right, and not confirmed."""
        return not self.locked and self.probability < UNCERTAIN_BELOW


Column = tuple[ColumnPoint, ...]
"""In the order of the node, which is cranio-caudal unless the user has changed it."""


@dataclass(frozen=True)
class Segment:
    """Two points that bear a level, one directly over the other, and the distance between them in mm."""

    upper: Level
    lower: Level
    length_mm: float


def named(column: Iterable[ColumnPoint]) -> Iterator[tuple[Level, ColumnPoint]]:
    """The points that bear a level, with it, in their order."""
    return ((point.level, point) for point in column if point.level is not None)


def cranio_caudal(column: Column) -> tuple[int, ...]:
    """Indices of all points from the head downwards along the column, by their positions, whatever their labels say."""
    return _path(tuple(point.position_lps_mm for point in column))


@lru_cache(maxsize=8)  # a correction asks several times, renaming changes no position, and the answer takes 10 ms
def _path(positions_lps_mm: tuple[Position, ...]) -> tuple[int, ...]:
    if not positions_lps_mm:
        return ()
    order = steps_along_spine(np.array(positions_lps_mm), np.ones(len(positions_lps_mm))).order
    return tuple(int(i) for i in order)


def segments(column: Column) -> tuple[Segment, ...]:
    """Neighbours among the points that bear a level, cranio-caudal."""
    pairs = pairwise(named(column[i] for i in cranio_caudal(column)))
    return tuple(Segment(upper, lower, distance_mm(above, below)) for (upper, above), (lower, below) in pairs)


def distance_mm(one: ColumnPoint, other: ColumnPoint) -> float:
    """Distance of two points in mm."""
    return math.dist(one.position_lps_mm, other.position_lps_mm)
