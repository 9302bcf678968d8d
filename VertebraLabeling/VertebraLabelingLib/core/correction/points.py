"""Inserting, deleting, confirming and moving points."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Literal

import numpy as np

from ..anatomy import REGULAR_LEVELS, Level
from ..errors import CorrectionError
from ..labelling import with_remark
from ..spine_curve import SAME_PLACE_MM, curve_through
from .column_point import Column, ColumnPoint, Position, cranio_caudal
from .order import Order, order_of, stature, usual_mm
from .relabel import followers, renamed

Side = Literal["below", "above"]
INSERTED_BY_HAND = "inserted by hand"
MOVED_BY_HAND = "moved by hand"
_EACH_SIDE = 3
"""Points above and below a gap that say how the column runs through it."""


def inserted(
    column: Column, index: int, where: Side, rename_below: bool = False, include_locked: bool = False
) -> Column:
    """A new point next to the point `index`, on the curve through its neighbours, with the free level nearest to it.

    Beyond either end of the column: straight on, at the usual distance in a spine of this size.  Where no level is free
    between the neighbours, `rename_below` gives the new point the next one, and those below follow as in `relabelled`.
    CorrectionError when no level is free, or a neighbour bears none; LockedError.
    """
    step = 1 if where == "below" else -1
    path = cranio_caudal(column)
    place = path.index(index) + step
    if not 0 <= place < len(path):
        return _beyond_end(column, index, step)
    upper, lower = (index, path[place])[::step]
    free = _free_levels(column, upper, lower)
    if free:
        level = free[0] if where == "below" else free[-1]
        return _put(column, upper + 1, level.name, _between(column, upper, lower, _share(column, upper, lower, level)))
    if not rename_below:
        raise CorrectionError(
            f"No level is free between {column[upper].label} and {column[lower].label}; rename those below as well."
        )
    level = _next_level(order_of(column), _level(column[upper]), 1)
    unnamed = _put(column, upper + 1, "", _between(column, upper, lower, 0.5))
    return renamed(unnamed, {upper + 1: level, **followers(unnamed, upper + 1, level, "down")}, include_locked)


def _beyond_end(column: Column, index: int, step: int) -> Column:
    """With a point below the last (step 1) or above the first one (step -1)."""
    order = order_of(column)
    end = _level(column[index])
    level = _next_level(order, end, step)
    if any(point.level == level for point in column):
        raise CorrectionError(f"{level.name} is there already; rename it before inserting one next to {end.name}.")
    far_mm = stature(column) * usual_mm(order, *sorted((end, level)))
    position = np.array(column[index].position_lps_mm) + far_mm * _outwards(column, step)
    return _put(column, index + (step > 0), level.name, _position(position))


def _level(point: ColumnPoint) -> Level:
    if point.level is None:
        raise CorrectionError(f"The neighbour '{point.label}' bears no level; name it first.")
    return point.level


def _next_level(order: Order, level: Level, step: int) -> Level:
    place = order.index(level) + step
    if not 0 <= place < len(order):
        raise CorrectionError(
            f"{level.name} is the {'last' if step > 0 else 'first'} level; none can be inserted there."
        )
    return order[place]


def _outwards(column: Column, step: int) -> np.ndarray:
    """(3,) unit vector from the last but one point to the last one; straight down or up where there is no other."""
    path = cranio_caudal(column)[::step]
    end, *others = (np.array(column[i].position_lps_mm) for i in reversed(path))
    ways = [end - other for other in others if math.dist(end, other) > SAME_PLACE_MM]
    way = ways[0] if ways else np.array([0.0, 0.0, -step])
    return np.asarray(way / np.linalg.norm(way))


def _free_levels(column: Column, upper: int, lower: int) -> list[Level]:
    """Regular levels between those of two neighbours that no point bears."""
    above, below = _level(column[upper]), _level(column[lower])
    borne = {point.level for point in column}
    return [level for level in REGULAR_LEVELS if above < level < below and level not in borne]


def _share(column: Column, upper: int, lower: int, level: Level) -> float:
    """Where `level` usually lies between two others, 0 at the upper one and 1 at the lower one."""
    above, below = _level(column[upper]), _level(column[lower])
    order = tuple(sorted({*REGULAR_LEVELS, above, below}))
    return usual_mm(order, above, level) / usual_mm(order, above, below)


def _between(column: Column, upper: int, lower: int, share: float) -> Position:
    """The point at `share` of the way between two neighbours, on a smooth curve through those around them."""
    path = cranio_caudal(column)
    place = path.index(upper)
    near = path[max(place + 1 - _EACH_SIDE, 0) : place + 1 + _EACH_SIDE]
    curve, arc_mm = curve_through(np.array([column[i].position_lps_mm for i in near]))
    if curve is None:
        return column[upper].position_lps_mm
    start_mm, end_mm = arc_mm[near.index(upper)], arc_mm[near.index(lower)]
    return _position(curve(start_mm + share * (end_mm - start_mm), extrapolate=True))


def _position(values: np.ndarray) -> Position:
    x, y, z = (float(value) for value in values)
    return (x, y, z)


def _put(column: Column, place: int, label: str, position_lps_mm: Position) -> Column:
    return (*column[:place], ColumnPoint(label, position_lps_mm, remark=INSERTED_BY_HAND), *column[place:])


def deleted(column: Column, indices: Collection[int]) -> Column:
    """Without the points at `indices`, confirmed or not: they were pointed at."""
    return tuple(point for i, point in enumerate(column) if i not in indices)


def confirmed(column: Column, indices: Collection[int], locked: bool = True) -> Column:
    """With the points at `indices` locked or unlocked; CorrectionError for locking one that bears no level."""
    if locked:
        nameless = [column[i].label for i in indices if column[i].level is None]
        if nameless:
            raise CorrectionError(f"'{nameless[0]}' is no level; name the point before confirming it.")
    return tuple(replace(point, locked=locked) if i in indices else point for i, point in enumerate(column))


def moved(column: Column, index: int, position_lps_mm: Position) -> Column:
    """With the point `index` at another place, which the remark tells; its name and probability stay."""
    if not all(math.isfinite(value) for value in position_lps_mm):
        raise CorrectionError(f"The new position of {column[index].label} is not finite; place the point again.")
    remark = with_remark(column[index].remark, MOVED_BY_HAND)
    return tuple(
        replace(point, position_lps_mm=position_lps_mm, remark=remark) if i == index else point
        for i, point in enumerate(column)
    )
