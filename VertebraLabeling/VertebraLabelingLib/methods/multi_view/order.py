"""The order of the levels along a column, by dynamic programming: eq. (1) and (2) of Wu et al.

The table holds for vertebra i and level j the best score of a sequence that ends there:

    OPT[i, j] = max(OPT[i-1, j] + alpha P[i, j], OPT[i-1, j-1] + beta P[i, j], OPT[i-1, j-2] + alpha P[i, j])

so that a level may be repeated or left out, at a price, and the first vertebra is any level: OPT[0, j] = beta P[0, j].
The authors' code multiplies the accumulated score instead, which lets the upper vertebrae fade away; then n perfect
rows do not add up to the beta n by which eq. (1) divides.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.1
"""Weight of a vertebra whose level is that of the one above it, or the next but one."""
BETA = 0.8
"""Weight of a vertebra whose level follows that of the one above it."""
MOST_STEPS = 2
"""Columns of minus infinity that the recurrence wants on the left of a row of the table."""

Row = TypeVar("Row")
"""An array or a tensor with the levels as last axis."""


def continuations(padded: Row, row: Row) -> tuple[Row, Row, Row]:
    """The three arguments of the maximum, for 0, 1 and 2 levels from the vertebra above to this one.

    padded: (..., MOST_STEPS + levels) row of the table above.  row: (..., levels) probabilities of this vertebra.
    """
    steps = ((0, ALPHA), (1, BETA), (2, ALPHA))
    end = padded.shape[-1]  # type: ignore[attr-defined]
    above = (padded[..., MOST_STEPS - step : end - step] for step, _ in steps)  # type: ignore[index]
    repeated, following, skipping = (score + weight * row for score, (_, weight) in zip(above, steps, strict=True))
    return repeated, following, skipping


def best_order(probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """Levels (n,) of the best sequence for vertebrae from cranial to caudal: probabilities (n, levels) -> indices."""
    if len(probabilities) == 0:
        return np.zeros(0, np.int64)
    score = BETA * probabilities[0]
    taken = []
    for row in probabilities[1:]:
        choices = np.stack(continuations(np.pad(score, (MOST_STEPS, 0), constant_values=-np.inf), row))
        taken.append(choices.argmax(0))
        score = choices.max(0)
    levels = [int(score.argmax())]
    for steps in reversed(taken):
        levels.append(levels[-1] - int(steps[levels[-1]]))
    return np.array(levels[::-1], np.int64)
