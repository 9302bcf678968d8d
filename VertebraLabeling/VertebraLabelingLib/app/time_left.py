"""How long a run will still take, from how far it has come."""

from __future__ import annotations

import time
from collections.abc import Callable

SILENT_S = 1.0
LEAST_FRACTION = 0.05
"""Before both have passed there is nothing to tell from."""
_WEIGHT = 0.3
"""Of a new estimate; the stages do not run at the same speed, and a number that jumps helps nobody."""


class TimeLeft:
    """Estimates from ``elapsed x (1 - fraction) / fraction``, smoothed; counts down between two updates.

    clock: seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start_s = clock()
        self._end_s: float | None = None

    def update(self, fraction: float) -> None:
        """Hear how far it is, 0..1."""
        now_s = self._clock()
        elapsed_s = now_s - self._start_s
        if elapsed_s < SILENT_S or fraction < LEAST_FRACTION:
            return
        end_s = now_s + elapsed_s * (1.0 - min(fraction, 1.0)) / fraction
        self._end_s = end_s if self._end_s is None else self._end_s + _WEIGHT * (end_s - self._end_s)

    @property
    def seconds(self) -> float | None:
        """What is left, never negative; None as long as there is nothing to tell from."""
        return None if self._end_s is None else max(self._end_s - self._clock(), 0.0)
