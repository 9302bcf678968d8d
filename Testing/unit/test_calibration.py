"""Scores as probabilities, candidates against the truth, evidence that is kept, and names in due doubt."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cached_cases import write_case
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import NothingFoundError, UsageError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import Evidence, LabelledPoint
from VertebraLabelingLib.core.progress import Progress
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.core.spine_priors import spacing_mm

from training.calibration import fitted
from training.case_scores import scan_of
from training.cases import Case
from training.crops import CROP, WHOLE, Piece
from training.decoder.samples import FALSE, UNKNOWN, Sample, regions_of
from training.evidence import gathered, sample_of, truths
from training.method_calibration import DOUBTS, TEMPERATURES, fitted_doubt, fitted_temperature, judged_candidates

POINTS_ZYX = np.array([[90.0, 40.0, 30.0], [60.0, 40.0, 30.0]])
GEOMETRY = Geometry((100, 50, 50), (2.0, 2.0, 2.0), (-50.0, -50.0, -100.0))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    volume = np.full((60, 30, 40), -1024, np.int16)
    volume[45, 20, 15] = 700
    np.save(tmp_path / "a.2mm.npy", volume)
    return Case("a", "val", tmp_path, np.zeros(3), np.array([Level.T5, Level.T6]), POINTS_ZYX)


class _Fixed:
    """Says the same of every scan, or that there is nothing; counts how often it is asked."""

    name = "fixed"

    def __init__(self, positions_zyx: np.ndarray | None, sha256: str = "x") -> None:
        self.positions, self.asked = positions_zyx, 0
        self.weights_sha256 = {"fixed": sha256}

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        self.asked += 1
        if self.positions is None:
            raise NothingFoundError("nothing")
        n = len(self.positions)
        return Evidence(self.positions[:, ::-1], np.zeros((n, len(Level))), np.linspace(0.9, 0.1, n))


def column(levels: list[Level], first_z: float = 80.0) -> tuple[LabelledPoint, ...]:
    return tuple(LabelledPoint(level, (0.0, 0.0, first_z - 20.0 * n)) for n, level in enumerate(levels))


def piece(truth: tuple[LabelledPoint, ...], kind: str = WHOLE, geometry: Geometry = GEOMETRY) -> Piece:
    return Piece("a", "a", kind, geometry, truth, None)


def test_logistic_curve_is_recovered() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20000)
    right = rng.random(20000) < 1 / (1 + np.exp(-(2.0 * logits - 1.0)))
    slope, offset = fitted(1 / (1 + np.exp(-logits)), right)
    assert slope == pytest.approx(2.0, abs=0.1) and offset == pytest.approx(-1.0, abs=0.1)


def test_without_candidates_there_is_no_curve() -> None:
    with pytest.raises(UsageError, match="take more scans"):
        fitted(np.empty(0), np.empty(0, bool))


def test_each_vertebra_has_one_candidate_and_where_the_column_may_go_on_nobody_knows() -> None:
    wanted = piece(column([Level.T5, Level.T6, Level.T7]))
    z = np.array([81.0, 76.0, 60.0, 50.5, 102.0, 18.0])
    positions = np.column_stack([np.zeros(6), np.zeros(6), z])
    expected = [Level.T5, FALSE, Level.T6, FALSE, UNKNOWN, UNKNOWN]  # T7 has none
    assert truths(wanted, positions).tolist() == expected
    assert truths(wanted, positions, complete=True).tolist() == [*expected[:4], FALSE, FALSE]


def test_a_vertebra_that_a_crop_cuts_is_neither_true_nor_false() -> None:
    cut = Geometry((40, 50, 50), (2.0, 2.0, 2.0), (-50.0, -50.0, 59.0))  # from 58 mm up: T6 lies 2 mm inside
    positions = np.array([[0.0, 0.0, 80.0], [0.0, 0.0, 60.0]])
    crop = piece(column([Level.T5, Level.T6, Level.T7]), CROP, cut)
    assert truths(crop, positions, complete=True).tolist() == [Level.T5, UNKNOWN]


def test_what_was_seen_is_kept_until_the_weights_change(tmp_path: Path) -> None:
    case, file = write_case(tmp_path, "c", "train"), tmp_path / "evidence.npz"
    method = _Fixed(np.array([case.points_zyx_mm[0] + 4, [70.0, 70.0, 70.0]]))
    (first, *_) = gathered(file, method, [case], crops=1, seed=3)
    asked = method.asked
    (again, *_) = gathered(file, method, [case], crops=1, seed=3)
    assert asked == 2 and method.asked == asked
    np.testing.assert_allclose(again.evidence.scores, first.evidence.scores)
    other = _Fixed(None, sha256="y")
    assert gathered(file, other, [case], crops=1, seed=3)[0].evidence is None and other.asked == 2
    sample = sample_of(first)
    assert sample.truth.tolist() == [Level.T12, FALSE] and sample.missed == 2
    scores, true = judged_candidates([sample])
    assert scores.tolist() == pytest.approx([0.9, 0.1]) and true.tolist() == [True, False]


def test_the_cached_scan_lies_where_the_case_lies(case: Case) -> None:
    scan = scan_of(case)
    assert scan.hu.min() == -1000
    index = np.array(np.unravel_index(scan.hu.argmax(), scan.hu.shape), float)
    np.testing.assert_allclose(scan.geometry.lps_from_index_zyx(index)[::-1], (index + 0.5) * 2)


def _named(shift: int) -> Sample:
    """Eight thoracic vertebrae where they should be, all surely named `shift` levels too low."""
    levels = [Level(level) for level in range(Level.T3, Level.T11)]
    steps = [0.0, *(spacing_mm(a, b)[0] for a, b in pairwise(levels))]
    positions = np.column_stack([np.zeros(8), np.zeros(8), -np.cumsum(steps)])
    log_probs = np.full((8, len(Level)), np.log(0.05 / 27))
    log_probs[np.arange(8), np.array(levels) + shift] = np.log(0.95)
    return Sample(Evidence(positions, log_probs, np.full(8, 0.99)), np.array(levels), regions_of(log_probs), 0, False)


def test_names_that_are_right_are_believed_and_a_method_that_is_often_off_is_doubted() -> None:
    right, _ = fitted_temperature([_named(0)] * 4, (1.0, 0.0))
    off, losses = fitted_temperature([_named(0), _named(1), _named(-1), _named(0)], (1.0, 0.0))
    assert right == 1.0 and off > 2.0 and losses.keys() == set(TEMPERATURES)
    assert losses[off] < losses[1.0]


def test_without_a_vertebra_no_temperature_is_fitted() -> None:
    with pytest.raises(UsageError, match="no basis"):
        fitted_temperature([], (1.0, 0.0))


def _unanchored(shift: int) -> Piece:
    """A scan of T3 to T10, named as by `_named`."""
    sample = _named(shift)
    places = sample.evidence.positions_lps_mm
    truth = tuple(LabelledPoint(Level(level), tuple(place)) for level, place in zip(sample.truth, places, strict=True))
    box = Geometry((300, 50, 50), (2.0, 2.0, 2.0), (-50.0, -50.0, -400.0))
    return Piece("a", "a", WHOLE, box, truth, sample.evidence)


def test_columns_without_an_anchor_are_doubted_as_often_as_they_are_off() -> None:
    right, _ = fitted_doubt([_unanchored(0)] * 4)
    half, losses = fitted_doubt([_unanchored(0), _unanchored(1), _unanchored(-1), _unanchored(0)])
    assert right == 0.0 and half == pytest.approx(0.5, abs=0.051) and losses.keys() == set(DOUBTS)
    assert losses[half] < losses[0.0]


def test_without_a_named_vertebra_no_doubt_is_fitted() -> None:
    with pytest.raises(UsageError, match="no basis"):
        fitted_doubt([piece(column([Level.T5]))])
