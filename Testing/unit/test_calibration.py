"""Calibration of the candidates' scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import NothingFoundError, UsageError
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.core.progress import Progress
from VertebraLabelingLib.core.scan import Scan

from training.calibration import fitted, judged_candidates, scan_of
from training.cases import Case

POINTS_ZYX = np.array([[90.0, 40.0, 30.0], [60.0, 40.0, 30.0]])


@pytest.fixture
def case(tmp_path: Path) -> Case:
    volume = np.full((60, 30, 40), -1024, np.int16)
    volume[45, 20, 15] = 700
    np.save(tmp_path / "a.2mm.npy", volume)
    return Case("a", "val", tmp_path, np.zeros(3), np.array([Level.T5, Level.T6]), POINTS_ZYX)


class _Fixed:
    """Says the same of every scan, or that there is nothing."""

    name, weights_sha256 = "fixed", {}

    def __init__(self, positions_zyx: np.ndarray | None) -> None:
        self.positions = positions_zyx

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        if self.positions is None:
            raise NothingFoundError("nothing")
        n = len(self.positions)
        return Evidence(self.positions[:, ::-1], np.zeros((n, len(Level))), np.linspace(0.9, 0.1, n))


def test_logistic_curve_is_recovered() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20000)
    truths = rng.random(20000) < 1 / (1 + np.exp(-(2.0 * logits - 1.0)))
    slope, offset = fitted(1 / (1 + np.exp(-logits)), truths)
    assert slope == pytest.approx(2.0, abs=0.1) and offset == pytest.approx(-1.0, abs=0.1)


def test_candidates_are_judged_and_those_of_unlabelled_vertebrae_left_out(case: Case) -> None:
    near, far, above = POINTS_ZYX[0] + 4, np.array([75.0, 90.0, 30.0]), np.array([121.0, 40.0, 30.0])
    scores, truths = judged_candidates(_Fixed(np.array([near, far, above])), [case])
    assert truths.tolist() == [True, False]
    np.testing.assert_allclose(scores, [0.9, 0.5])


def test_scans_in_which_nothing_is_found_add_nothing(case: Case) -> None:
    scores, _ = judged_candidates(_Fixed(POINTS_ZYX), [case])
    nothing, truths = judged_candidates(_Fixed(None), [case])
    assert len(scores) == 2 and len(nothing) == 0
    with pytest.raises(UsageError, match="take more scans"):
        fitted(nothing, truths)


def test_the_cached_scan_lies_where_the_case_lies(case: Case) -> None:
    scan = scan_of(case)
    assert scan.hu.min() == -1000
    index = np.array(np.unravel_index(scan.hu.argmax(), scan.hu.shape), float)
    np.testing.assert_allclose(scan.geometry.lps_from_index_zyx(index)[::-1], (index + 0.5) * 2)
