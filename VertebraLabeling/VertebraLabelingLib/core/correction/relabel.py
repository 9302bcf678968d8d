"""Renaming points: all of them, from one point on, by an irregular number of vertebrae, or to given names.

The rules stand in the docstring of the package.  Every function is pure, keeps positions, keys and the order of the
points, and raises CorrectionError with a sentence for the user, or LockedError when confirmed points would change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Literal

from ..anatomy import REGULAR_LEVELS, Level
from ..errors import CorrectionError, LockedError
from ..labelling import with_remark
from .column_point import Column, ColumnPoint, cranio_caudal, named
from .order import Order, order_of

Reach = Literal["only", "down", "up"]
NAMED_BY_HAND = "named by hand"


class Anomaly(Enum):
    """Numbers of vertebrae: of the whole spine (REGULAR), or of one region; both regions may be irregular at once."""

    REGULAR = "12 thoracic and 5 lumbar"
    ELEVEN_THORACIC = "11 thoracic"
    THIRTEEN_THORACIC = "13 thoracic"
    FOUR_LUMBAR = "4 lumbar"
    SIX_LUMBAR = "6 lumbar"


def shifted(column: Column, steps: int, include_locked: bool = False) -> Column:
    """Every named point `steps` levels further down (negative: up) in the order of this spine."""
    if not any(named(column)):
        raise CorrectionError("No point bears the name of a level yet; name one first.")
    order = order_of(column)
    levels = {i: _moved(order, level, order.index(level) + steps) for i, level in _levels(column)}
    result = renamed(column, levels, include_locked)
    changed = set(order) ^ set(order_of(result))
    if changed:
        names = ", ".join(level.name for level in sorted(changed))
        raise CorrectionError(
            f"The irregular number of vertebrae ({names}) would not outlast this shift; relabel from one point on."
        )
    return result


def _levels(column: Column) -> Iterator[tuple[int, Level]]:
    return ((i, point.level) for i, point in enumerate(column) if point.level is not None)


def _moved(order: Order, level: Level, place: int) -> Level:
    """What `level` becomes at a place of `order`; CorrectionError beyond either end."""
    if not 0 <= place < len(order):
        end = f"above {order[0].name}, the first" if place < 0 else f"below {order[-1].name}, the last"
        raise CorrectionError(
            f"There is no name for what is {level.name} now: it would be {end} level; delete it first."
        )
    return order[place]


def renamed(column: Column, levels: Mapping[int, Level], include_locked: bool) -> Column:
    """The column in which the points with the indices of `levels` bear those names; LockedError."""
    changed = {i: level for i, level in levels.items() if column[i].level != level}
    _require_free([column[i] for i in changed], include_locked)
    return tuple(replace(p, label=changed[i].name) if i in changed else p for i, p in enumerate(column))


def _require_free(points: Sequence[ColumnPoint], include_locked: bool) -> None:
    """LockedError naming those of the points that change which are confirmed."""
    locked = [point.label for point in points if point.locked]
    if locked and not include_locked:
        verb = "are" if len(locked) > 1 else "is"
        raise LockedError(
            f"{', '.join(locked)} {verb} confirmed and would change; unlock, or change confirmed ones too."
        )


def relabelled(column: Column, index: int, level: Level, reach: Reach = "only", include_locked: bool = False) -> Column:
    """The point `index` named `level` by the user; with "down" or "up" the points below or above it follow.

    They keep their steps to each other, at least one; a point without a level is left alone.
    """
    levels = {index: level, **(followers(column, index, level, reach) if reach != "only" else {})}
    result = renamed(column, levels, include_locked)
    return (*result[:index], by_hand(result[index], NAMED_BY_HAND), *result[index + 1 :])


def by_hand(point: ColumnPoint, remark: str) -> ColumnPoint:
    """The point as the user has set it: probability 1, and `remark` added if it does not stand there."""
    return replace(point, probability=1.0, remark=with_remark(point.remark, remark))


def followers(column: Column, index: int, level: Level, reach: Reach) -> dict[int, Level]:
    """Index -> new level of the named points beyond `index`, nearest first."""
    way = 1 if reach == "down" else -1
    path = cranio_caudal(column)[::way]
    beyond = [(i, x) for i in path[path.index(index) + 1 :] if (x := column[i].level) is not None]
    if not beyond:
        return {}
    old = order_of(column)
    start = column[index].level
    origin = old.index(beyond[0][1]) - way if start is None else old.index(start)
    new = _order_beyond(old, origin, level, way)
    levels, steps = {}, 0
    for i, known in beyond:
        steps = max(steps + 1, way * (old.index(known) - origin))
        levels[i] = _moved(new, known, new.index(level) + way * steps)
    return levels


def _order_beyond(old: Order, origin: int, level: Level, way: int) -> Order:
    """The order of this spine once the point at the place `origin` of `old` is `level`, for what lies beyond it.

    way: 1 when the points below follow, -1 when those above do.  What the change takes from (or gives to) the far part
    is taken from its surplus T13, L6 (or given back to its lacking T12, L5), nearest first.
    """
    # a T13 without a T12 above it, an L6 without an L5, is not to be
    needed = {*old, level, *([Level(level - 1)] if level.is_supernumerary else [])}
    base = tuple(x for x in Level if x in needed)
    if not 0 <= origin + way < len(old):
        return base
    change = way * (base.index(level) + way - base.index(old[origin + way]))
    far = sorted((x for x in Level if way * (x - level) > 0), key=lambda x: way * x)
    # surplus levels that are there when the far part is drawn nearer, regular ones that are not when it is pushed away
    spare = [x for x in far if x.is_supernumerary == (x in base) == (change < 0)]
    swapped = spare[: abs(change)]
    return tuple(x for x in Level if (x in base) != (x in swapped))


def with_anomaly(column: Column, anomaly: Anomaly, include_locked: bool = False) -> Column:
    """The column counted from above in a spine with that number of vertebrae: the n-th vertebra stays the n-th.

    REGULAR undoes whatever was irregular.  CorrectionError where the points do not reach the place that is irregular,
    or beyond S2.
    """
    old = order_of(column)
    new = _order_with(old, anomaly)
    levels = {i: _moved(new, level, old.index(level)) for i, level in _levels(column)}
    result = renamed(column, levels, include_locked)
    if order_of(result) != new:
        raise CorrectionError(
            f"The points do not show where a spine with {anomaly.value} vertebrae differs; insert the missing ones "
            "there, or relabel from one point on."
        )
    return result


def _order_with(order: Order, anomaly: Anomaly) -> Order:
    """`order` with the number of one region changed; CorrectionError when there is nothing to change."""
    numbers = {
        Anomaly.ELEVEN_THORACIC: ({Level.T12, Level.T13}, set()),
        Anomaly.THIRTEEN_THORACIC: (set(), {Level.T12, Level.T13}),
        Anomaly.FOUR_LUMBAR: ({Level.L5, Level.L6}, set()),
        Anomaly.SIX_LUMBAR: (set(), {Level.L5, Level.L6}),
    }
    if anomaly is Anomaly.REGULAR:
        return REGULAR_LEVELS
    without, added = numbers[anomaly]
    return tuple(sorted((set(order) - without) | added))


def with_names(column: Column, names: Sequence[str | None], include_locked: bool = False) -> Column:
    """The column with one name per point, such as those of an alternative; None drops the point.

    CorrectionError when the names do not belong to this column: another number of them, or none of a level.
    """
    if len(names) != len(column):
        raise CorrectionError(f"{len(names)} names do not fit {len(column)} points; label the scan again.")
    _require_free([p for p, name in zip(column, names, strict=True) if name is None], include_locked)
    levels = {i: _level(name) for i, name in enumerate(names) if name is not None}
    return tuple(p for p, name in zip(renamed(column, levels, include_locked), names, strict=True) if name is not None)


def _level(name: str) -> Level:
    try:
        return Level.parse(name)
    except ValueError as error:
        raise CorrectionError(f"{error}; give a level.") from None
