"""How the decoder and the plain choices do on samples, one outcome per sample, then sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.labelling import Labelling
from VertebraLabelingLib.core.sequence import SequenceSettings, decode

from .baselines import counted_in_regions, independent, raw_argmax
from .reliability import calibration_error
from .samples import UNKNOWN, Sample


@dataclass(frozen=True)
class Outcome:
    """One sample.

    raw, independent, counted, ours: vertebrae named right.  probabilities, correct: of the decoder's points of which
    the truth is known.  alternative_probabilities, alternative_correct: of its alternatives, right when all vertebrae
    of which the truth is known are named as they say; empty where none is known.  wrong: how many of its true vertebrae
    it named wrong, of `named`.  listed: the truth is the labelling or an alternative.  flagged: "level unsure".
    doubted: alternatives sum up to the unsure mass, anchors aside.
    """

    true_count: int
    raw: int
    independent: int
    counted: int
    ours: int
    false: int
    probabilities: tuple[float, ...]
    correct: tuple[bool, ...]
    alternative_probabilities: tuple[float, ...]
    alternative_correct: tuple[bool, ...]
    named: int
    wrong: int
    listed: bool
    flagged: bool
    doubted: bool

    @property
    def column_wrong(self) -> bool:
        """At least half of the named vertebrae carry a wrong name, as when the whole column is off."""
        return self.named > 0 and 2 * self.wrong >= self.named


def judged(sample: Sample, settings: SequenceSettings) -> Outcome:
    """Decode a sample and compare."""
    labelling = decode(sample.evidence, settings)
    truths = _truths(sample, labelling)
    known = [(point, truth) for point, truth in zip(labelling.points, truths, strict=True) if truth != UNKNOWN]
    correct = tuple(int(point.level) == truth for point, truth in known)
    named = sum(truth >= 0 for _, truth in known)
    alternatives = labelling.alternatives if named else ()
    return Outcome(
        true_count=sample.true_count,
        raw=_right(sample, raw_argmax(sample)),
        independent=_right(sample, independent(sample, settings)),
        counted=_right(sample, counted_in_regions(sample)),
        ours=sum(correct),
        false=len(known) - named,
        probabilities=tuple(point.probability for point, _ in known),
        correct=correct,
        alternative_probabilities=tuple(other.probability for other in alternatives),
        alternative_correct=tuple(_agrees(other.levels, truths) for other in alternatives),
        named=named,
        wrong=named - sum(correct),
        listed=any(_agrees(levels, truths) for levels in _namings(labelling)),
        flagged=not labelling.level_certain,
        doubted=sum(other.probability for other in labelling.alternatives) >= settings.certainty.unsure_mass,
    )


@dataclass(frozen=True)
class Summary:
    """Shares over the vertebrae (raw, independent, counted, ours) and over the columns (the rest); see `Outcome`."""

    columns: int
    vertebrae: int
    raw: float
    independent: float
    counted: float
    ours: float
    false_per_column: float
    calibration_error: float
    alternatives_error: float
    listed: float
    wrong_columns: int
    wrong_flagged: float
    right_flagged: float
    wrong_doubted: float
    right_doubted: float


def summary(outcomes: Sequence[Outcome]) -> Summary:
    """What a table shows; a share of nothing is NaN."""
    total = sum(o.true_count for o in outcomes)
    wrong = [o for o in outcomes if o.column_wrong]
    right = [o for o in outcomes if not o.column_wrong]
    return Summary(
        columns=len(outcomes),
        vertebrae=total,
        raw=sum(o.raw for o in outcomes) / total,
        independent=sum(o.independent for o in outcomes) / total,
        counted=sum(o.counted for o in outcomes) / total,
        ours=sum(o.ours for o in outcomes) / total,
        false_per_column=_mean(o.false for o in outcomes),
        calibration_error=calibration_error(*point_calibration(outcomes)),
        alternatives_error=calibration_error(*alternative_calibration(outcomes)),
        listed=_mean(o.listed for o in outcomes),
        wrong_columns=len(wrong),
        wrong_flagged=_mean(o.flagged for o in wrong),
        right_flagged=_mean(o.flagged for o in right),
        wrong_doubted=_mean(o.doubted for o in wrong),
        right_doubted=_mean(o.doubted for o in right),
    )


def point_calibration(outcomes: Sequence[Outcome]) -> tuple[np.ndarray, np.ndarray]:
    """(p,) probabilities and (p,) whether right, of all points of which the truth is known."""
    probabilities = np.array([p for o in outcomes for p in o.probabilities])
    return probabilities, np.array([c for o in outcomes for c in o.correct], bool)


def alternative_calibration(outcomes: Sequence[Outcome]) -> tuple[np.ndarray, np.ndarray]:
    """(a,) probabilities and (a,) whether right, of all alternatives that can be judged."""
    probabilities = np.array([p for o in outcomes for p in o.alternative_probabilities])
    return probabilities, np.array([c for o in outcomes for c in o.alternative_correct], bool)


def _truths(sample: Sample, labelling: Labelling) -> list[int]:
    """True level of each point, found again by its position, which passes the decoder unchanged."""
    at = {tuple(p): int(t) for p, t in zip(sample.evidence.positions_lps_mm.tolist(), sample.truth, strict=True)}
    return [at[point.position_lps_mm] for point in labelling.points]


def _namings(labelling: Labelling) -> list[tuple[Level | None, ...]]:
    return [labelling.levels, *(other.levels for other in labelling.alternatives)]


def _agrees(levels: tuple[Level | None, ...], truths: list[int]) -> bool:
    return all(level == truth for level, truth in zip(levels, truths, strict=True) if truth >= 0)


def _right(sample: Sample, names: np.ndarray) -> int:
    return int(((names == sample.truth) & (sample.truth >= 0)).sum())


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return float(np.mean(values)) if values else float("nan")
