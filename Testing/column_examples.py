"""Columns for the tests of the correction tools: usual distances, straight or bent."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.core.correction.column import Column, ColumnPoint
from VertebraLabelingLib.core.correction.order import usual_mm
from VertebraLabelingLib.core.spine_priors import spacing_mm

RADIUS_MM = 300.0


def names(text: str, scale: float = 1.0) -> Column:
    """Points named as in "T11 T12 L1", straight down at the distances of levels that follow each other.

    T11 L1 and L4 S1 touch; between other levels that do not follow each other there is room for those left out.
    """
    levels = [Level.parse(name) for name in text.split()]
    below = np.cumsum([0.0, *(_distance_mm(above, below) for above, below in pairwise(levels))])
    return _points(levels, [(5.0, -20.0, float(100.0 - scale * z)) for z in below[: len(levels)]])


def _distance_mm(above: Level, below: Level) -> float:
    try:
        return spacing_mm(above, below)[0]
    except KeyError:
        return usual_mm(sorted({*REGULAR_LEVELS, above, below}), above, below)


def column(first: str, last: str, scale: float = 1.0) -> Column:
    """All regular levels from `first` to `last`, straight down."""
    return names(" ".join(level.name for level in _levels(first, last)), scale)


def curved(first: str, last: str) -> Column:
    """All regular levels from `first` to `last` on an arc of `RADIUS_MM` in the sagittal plane, hollow at the front."""
    levels = _levels(first, last)
    arc = np.array([usual_mm(REGULAR_LEVELS, levels[0], level) for level in levels])
    angle = (arc - arc[-1] / 2) / RADIUS_MM
    return _points(levels, [(0.0, float(RADIUS_MM * np.cos(a)), float(-RADIUS_MM * np.sin(a))) for a in angle])


def _levels(first: str, last: str) -> list[Level]:
    return [level for level in REGULAR_LEVELS if Level[first] <= level <= Level[last]]


def _points(levels, positions) -> Column:
    """Keys as a node would give them, not in order of the levels; probabilities that differ."""
    return tuple(
        ColumnPoint(
            level.name, place, 0.9 - 0.02 * i, "" if i % 3 else "next to the border of the scan", key=f"k{90 - i}"
        )
        for i, (level, place) in enumerate(zip(levels, positions, strict=True))
    )
