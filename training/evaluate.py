"""The VerSe metric: how many vertebrae are named right, how far off, and whether finding or naming failed.

Pure functions over labelled points in LPS mm; reading, tables and files are in `commands/evaluate.py` and
`evaluation_report.py`.  Definitions follow Sekuboyina et al., "VerSe: A vertebrae labelling and segmentation benchmark"
(Medical Image Analysis 73, 2021), with the truth as denominator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level, Region, regular_shift
from VertebraLabelingLib.core.labelling import LabelledPoint, positions_of

IDENTIFIED_BELOW_MM = 20.0
FOUND_WITHIN_MM = 10.0
SHIFTS = (0, -1, 1, -2, 2, -3, 3)
"""Tried in this order, so that of equally good shifts the smallest wins."""


@dataclass(frozen=True)
class Vertebra:
    """What became of one true vertebra.  error_mm: distance of its point when identified, else None."""

    level: Level
    error_mm: float | None
    found: bool
    identified_after_shift: bool


@dataclass(frozen=True)
class Label:
    """What one predicted point is worth.

    false_positive: its level is not in the truth, or was already named by an earlier point.
    stray: no true vertebra lies within 20 mm of it, whatever its level.
    """

    level: Level
    false_positive: bool
    stray: bool


@dataclass(frozen=True)
class ScanResult:
    """The outcome of one scan.

    shift: steps down the regular order, applied to all predicted levels, that identify most (chosen with the truth).
    prediction_missing: there was no prediction file, so every vertebra counts as missed.
    """

    scan_id: str
    vertebrae: tuple[Vertebra, ...]
    labels: tuple[Label, ...]
    shift: int = 0
    prediction_missing: bool = False

    @property
    def wholly_right(self) -> bool:
        """Every true vertebra identified and no label that the truth does not have.

        So a scan without a vertebra is right without a file, too: a run that finds no vertebra leaves none.
        """
        named = all(vertebra.error_mm is not None for vertebra in self.vertebrae)
        return named and not any(label.false_positive for label in self.labels)


@dataclass(frozen=True)
class Score:
    """Sums over vertebrae and labels; errors_mm holds the distances of the identified ones."""

    vertebrae: int
    found: int
    identified_after_shift: int
    errors_mm: tuple[float, ...]
    labels: int
    false_positives: int
    strays: int

    @property
    def identified(self) -> int:
        """Number of vertebrae named right."""
        return len(self.errors_mm)

    @property
    def id_rate(self) -> float | None:
        """Identified share of the true vertebrae; None where the truth has none."""
        return self._share(self.identified)

    @property
    def recall(self) -> float | None:
        """Share of the true vertebrae with a point of any level within 10 mm."""
        return self._share(self.found)

    @property
    def id_rate_after_shift(self) -> float | None:
        """Id-rate if each scan's column were shifted by its best whole number of levels: an upper bound."""
        return self._share(self.identified_after_shift)

    @property
    def mean_error_mm(self) -> float | None:
        """Mean distance of the identified vertebrae."""
        return float(np.mean(self.errors_mm)) if self.errors_mm else None

    @property
    def median_error_mm(self) -> float | None:
        """Median distance of the identified vertebrae."""
        return float(np.median(self.errors_mm)) if self.errors_mm else None

    def _share(self, count: int) -> float | None:
        return count / self.vertebrae if self.vertebrae else None


def evaluate_scan(
    scan_id: str, truth: Sequence[LabelledPoint], predicted: Sequence[LabelledPoint] | None
) -> ScanResult:
    """Compare the points of one scan; `predicted` None means that no prediction exists.

    Raises ValueError when the truth names a level twice.
    """
    if len({point.level for point in truth}) < len(truth):
        raise ValueError(f"the truth of '{scan_id}' names a level twice")
    points = predicted or ()
    distances_mm = _distances(points, truth)
    hits = _identified(truth, points, distances_mm, 0)
    shift, shifted = _best_shift(truth, points, distances_mm)
    found = _found(distances_mm)
    vertebrae = tuple(
        Vertebra(point.level, hits.get(point.level), column in found, point.level in shifted)
        for column, point in enumerate(truth)
    )
    return ScanResult(scan_id, vertebrae, _labels(truth, points, distances_mm), shift, predicted is None)


def score(results: Iterable[ScanResult], region: Region | None = None) -> Score:
    """Pooled over all vertebrae and labels of the scans, or over those of one region."""
    results = tuple(results)
    vertebrae = [v for result in results for v in result.vertebrae if region in (None, v.level.region)]
    labels = [x for result in results for x in result.labels if region in (None, x.level.region)]
    return Score(
        vertebrae=len(vertebrae),
        found=sum(v.found for v in vertebrae),
        identified_after_shift=sum(v.identified_after_shift for v in vertebrae),
        errors_mm=tuple(v.error_mm for v in vertebrae if v.error_mm is not None),
        labels=len(labels),
        false_positives=sum(x.false_positive for x in labels),
        strays=sum(x.stray for x in labels),
    )


def _distances(points: Sequence[LabelledPoint], truth: Sequence[LabelledPoint]) -> NDArray[np.float64]:
    """(predicted, truth) distances in mm."""
    return np.linalg.norm(positions_of(points)[:, None] - positions_of(truth)[None], axis=-1)


def _identified(
    truth: Sequence[LabelledPoint], points: Sequence[LabelledPoint], distances_mm: NDArray[np.float64], shift: int
) -> dict[Level, float]:
    """Distance in mm of every true level that a point of that (shifted) level identifies.

    The true centroid of that level has to be the nearest of all and closer than 20 mm.
    """
    column_of = {point.level: column for column, point in enumerate(truth)}
    hits: dict[Level, float] = {}
    for point, row in zip(points, distances_mm, strict=True):
        level = regular_shift(point.level, shift) if shift else point.level
        if level not in column_of:
            continue
        distance = float(row[column_of[level]])
        if distance < IDENTIFIED_BELOW_MM and distance <= row.min():
            hits[level] = min(distance, hits.get(level, np.inf))
    return hits


def _best_shift(
    truth: Sequence[LabelledPoint], points: Sequence[LabelledPoint], distances_mm: NDArray[np.float64]
) -> tuple[int, set[Level]]:
    """The whole-column shift that identifies most, and the levels that it identifies."""
    identified = {shift: set(_identified(truth, points, distances_mm, shift)) for shift in SHIFTS}
    best = max(SHIFTS, key=lambda shift: len(identified[shift]))
    return best, identified[best]


def _found(distances_mm: NDArray[np.float64]) -> set[int]:
    """Columns (true vertebrae) with a point of their own within 10 mm; nearest pairs are matched first."""
    rows, columns = np.nonzero(distances_mm <= FOUND_WITHIN_MM)
    used_rows: set[int] = set()
    found: set[int] = set()
    for i in np.argsort(distances_mm[rows, columns], kind="stable"):
        row, column = int(rows[i]), int(columns[i])
        if row not in used_rows and column not in found:
            used_rows.add(row)
            found.add(column)
    return found


def _labels(
    truth: Sequence[LabelledPoint], points: Sequence[LabelledPoint], distances_mm: NDArray[np.float64]
) -> tuple[Label, ...]:
    open_levels = {point.level for point in truth}
    labels = []
    for point, row in zip(points, distances_mm, strict=True):
        stray = not np.any(row < IDENTIFIED_BELOW_MM)
        labels.append(Label(point.level, point.level not in open_levels, stray))
        open_levels.discard(point.level)
    return tuple(labels)
