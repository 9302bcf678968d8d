"""The 26 regular levels as channels of a network, and those that a scan may show without a label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level, regular_shift

UNLABELLED_NEIGHBOURS = 3
"""Levels beyond the labelled stretch that may be in view without a label; as far as `cases.CONTINUATION` reaches."""
CHANNEL = np.array([REGULAR_LEVELS.index(regular_shift(level, 0)) for level in Level])
"""(28,) channel of each `Level` where T13 and L6 are to count as the level above them; see also `regular_channels`."""


def regular_channels(levels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which of n `Level` values have a channel (T13 and L6 have none), (n,), and the channels of those that have."""
    regular = np.array([Level(level) in REGULAR_LEVELS for level in levels], bool)
    return regular, np.array([REGULAR_LEVELS.index(Level(level)) for level in levels[regular]], np.int64)


def known_channels(labelled: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(26,) bool: False for the few channels just beyond the labelled ones."""
    known = np.ones(len(REGULAR_LEVELS), bool)
    if len(labelled):
        known[max(0, labelled.min() - UNLABELLED_NEIGHBOURS) : labelled.min()] = False
        known[labelled.max() + 1 : labelled.max() + 1 + UNLABELLED_NEIGHBOURS] = False
    return known
