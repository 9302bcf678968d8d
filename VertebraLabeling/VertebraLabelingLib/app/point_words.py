"""What a table says of a point, for any front; pure functions of points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from ..core.labelling import UNCERTAIN, without_remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.correction.column import Column, ColumnPoint

_SUREST = 0.99
"""The highest probability that is shown as a number."""


def certainty(point: ColumnPoint) -> str:
    """Whole percents, nothing where the user has confirmed; nothing that a network says is wholly certain."""
    if point.locked:
        return ""
    return f"{point.probability:.0%}" if point.probability <= _SUREST else f"> {_SUREST:.0%}"


def remark(point: ColumnPoint) -> str:
    """What is said of a point, its doubt first, as long as there is one."""
    # the labelling's own word outlives the doubt, when the user names or confirms the point
    said = without_remark(point.remark, UNCERTAIN)
    if point.level is None:
        return "; ".join(filter(None, (_("not a level"), said)))
    return "; ".join(filter(None, (_("uncertain"), said))) if point.is_uncertain else said


def is_doubtful(point: ColumnPoint) -> bool:
    """Whether a table marks the point."""
    return point.is_uncertain or point.level is None


def gaps_mm(column: Column, lengths_mm: Sequence[float]) -> list[float | None]:
    """Distance of each point, in the order of the node, to the next one below it.

    lengths_mm: the distances between neighbours, cranio-caudal.
    """
    from ..core.correction.column import cranio_caudal

    gaps: list[float | None] = [None] * len(column)
    for index, length_mm in zip(cranio_caudal(column), lengths_mm, strict=False):
        gaps[index] = length_mm
    return gaps


def duration(seconds: float) -> str:
    """Such as ``12 s`` or ``3 min``."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def progress(stage: str, seconds_left: float | None) -> str:
    """What a run is doing, and how long it still takes where that is known."""
    if seconds_left is None:
        return stage
    return _("{stage} - about {time} left").format(stage=stage, time=duration(seconds_left))
