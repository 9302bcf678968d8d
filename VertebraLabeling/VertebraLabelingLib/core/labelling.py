"""The results that travel between the stages: evidence of a method, and the final labelling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .anatomy import ABSENT_BETWEEN, Level

UNCERTAIN_BELOW = 0.5
"""Points of lower probability are marked wherever they are shown."""
UNCERTAIN = "uncertain"
"""The remark on such a point."""
_BETWEEN_REMARKS = "; "
_MOST_NAMED = 5


@dataclass(frozen=True)
class Evidence:
    """What a method says: n candidate vertebrae, in any order.

    positions_lps_mm: (n, 3) body centroids.  level_log_probs: (n, 28) natural log-probability of each `Level`
    (rows sum to 1 in probability).  scores: (n,) probability in 0..1 that the candidate is a vertebra at all.
    notes: sentences for the user on how it was found.
    """

    positions_lps_mm: NDArray[np.float64]
    level_log_probs: NDArray[np.float64]
    scores: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.positions_lps_mm.shape != (n, 3) or self.level_log_probs.shape != (n, len(Level)):
            raise ValueError("positions, level_log_probs and scores disagree on the number of candidates")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def nothing(cls) -> Evidence:
        """No candidate."""
        return cls(np.empty((0, 3)), np.empty((0, len(Level))), np.empty(0))

    def taken(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Evidence:
        """The candidates of a mask (n,), or of indices in their order."""
        return Evidence(self.positions_lps_mm[index], self.level_log_probs[index], self.scores[index], self.notes)


@dataclass(frozen=True)
class LabelledPoint:
    """One named vertebra: centroid in LPS mm, probability 0..1 that the name is right, remark for the user.

    confirmed: the user says that name and place are right; nothing renames or moves the point.
    """

    level: Level
    position_lps_mm: tuple[float, float, float]
    probability: float = 1.0
    remark: str = ""
    confirmed: bool = False

    @property
    def is_uncertain(self) -> bool:
        """Whether the name is more probably wrong than right."""
        return not self.confirmed and self.probability < UNCERTAIN_BELOW


def with_remark(remarks: str, remark: str) -> str:
    """The remarks of a point and one more, each once."""
    return _BETWEEN_REMARKS.join(dict.fromkeys(filter(None, [*remarks.split(_BETWEEN_REMARKS), remark])))


def without_remark(remarks: str, remark: str) -> str:
    """The remarks of a point but that one."""
    return _BETWEEN_REMARKS.join(text for text in remarks.split(_BETWEEN_REMARKS) if text not in ("", remark))


def positions_of(points: Iterable[LabelledPoint]) -> NDArray[np.float64]:
    """(n, 3) positions, LPS mm; (0, 3) without a point."""
    return np.array([point.position_lps_mm for point in points], float).reshape(-1, 3)


@dataclass(frozen=True)
class Alternative:
    """Another consistent naming of the same points; levels[i] names points[i], None drops that point.

    shift: levels down (negative: up), never 0, where the column is most in doubt.
    """

    levels: tuple[Level | None, ...]
    shift: int
    probability: float

    def describe(self) -> str:
        """Such as ``1 level lower (18%)`` or, with an unusual number of vertebrae, ``1 level lower, with T13 (3%)``."""
        count = abs(self.shift)
        way = "lower" if self.shift > 0 else "higher"
        words = [f"{count} level{'s' if count > 1 else ''} {way}", *self._irregularities()]
        return f"{', '.join(words)} ({self.probability:.0%})"

    def _irregularities(self) -> list[str]:
        """What sets it apart from a regular naming of the same shift."""
        named = [level for level in self.levels if level is not None]
        extra = [f"with {level.name}" for level in named if level.is_supernumerary]
        absent = [f"without {ABSENT_BETWEEN[pair].name}" for pair in pairwise(named) if pair in ABSENT_BETWEEN]
        return [*extra, *absent]


@dataclass(frozen=True)
class Labelling:
    """The consistent final list, cranio-caudal, with what else it could be.

    level_certain: False when the whole column could be one level off.  anchors: levels that fix the counting, because
    they are in view or confirmed.
    remarks: sentences about the labelling as a whole.
    """

    points: tuple[LabelledPoint, ...]
    alternatives: tuple[Alternative, ...] = ()
    anchors: tuple[Level, ...] = ()
    level_certain: bool = True
    remarks: tuple[str, ...] = field(default=())

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels of the points, cranio-caudal."""
        return tuple(point.level for point in self.points)

    def summary(self) -> str:
        """One line such as ``T9-S2, 11 vertebrae, level certain: L5, S1 in view``."""
        if not self.points:
            return "no vertebra"
        count = len(self.points)
        extent = "-".join(dict.fromkeys((self.points[0].level.name, self.points[-1].level.name)))
        return f"{extent}, {count} vertebra{'e' if count > 1 else ''}, {self._certainty()}"

    def _certainty(self) -> str:
        """Such as ``level certain: L5, S1 in view`` or ``level certain, confirmed: L3; S1 in view``."""
        kind = "certain" if self.level_certain else "unsure"
        words = f"level {kind}{self._reasons()}"
        doubt = not self.level_certain and self.alternatives
        return f"{words}; could be {self.alternatives[0].describe()}" if doubt else words

    def _reasons(self) -> str:
        confirmed = [point.level for point in self.points if point.confirmed]
        seen = ", ".join(level.name for level in self.anchors if level not in confirmed)
        view = f"{seen} in view" if seen else ""
        if not confirmed:
            return f": {view or 'nothing to count from'}"
        return f", confirmed: {_named(confirmed)}" + (f"; {view}" if view else "")


def _named(levels: Sequence[Level]) -> str:
    """Such as ``T9, L3``, or ``T9 ... L5 (9)`` for more than a line should hold."""
    if len(levels) <= _MOST_NAMED:
        return ", ".join(level.name for level in levels)
    return f"{levels[0].name} ... {levels[-1].name} ({len(levels)})"
