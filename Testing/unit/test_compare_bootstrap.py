"""The interval of the id-rate over patients: by hand, against enumeration, and at its ends."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from VertebraLabelingLib.core.anatomy import Level

from training.compare.bootstrap import id_rate_interval
from training.evaluate import ScanResult, Vertebra


def result(right: int, wrong: int) -> ScanResult:
    """A scan with so many vertebrae."""
    errors = [1.0] * right + [None] * wrong
    return ScanResult("x", tuple(Vertebra(Level.L1, error, True, True) for error in errors), ())


def test_the_interval_is_that_of_all_draws_of_as_many_patients():
    counts = [(9, 1), (2, 8), (6, 0), (3, 4)]
    draws = np.array([np.sum([counts[n] for n in draw], axis=0) for draw in product(range(4), repeat=4)])
    low, high = np.quantile(draws[:, 0] / draws.sum(1), [0.025, 0.975])
    found = id_rate_interval([result(*c) for c in counts], "abcd")
    assert found == pytest.approx({"low": low, "high": high}, abs=0.02)
    assert found == id_rate_interval([result(*c) for c in counts], "abcd"), "the same draws every time"


def test_scans_of_one_patient_are_drawn_together():
    """Of two patients one is all right and one all wrong: a quarter of the draws has either alone."""
    scans = [result(5, 0), result(5, 0), result(0, 5), result(0, 5)]
    assert id_rate_interval(scans, "aabb") == {"low": 0.0, "high": 1.0}
    assert id_rate_interval(scans, "abab") == {"low": 0.5, "high": 0.5}


def test_scans_without_a_vertebra_change_nothing_and_are_no_interval():
    scans = [result(3, 1), result(1, 3)]
    assert id_rate_interval([*scans, result(0, 0)], "abc") == id_rate_interval(scans, "ab")
    assert id_rate_interval([result(0, 0)], "a") is None and id_rate_interval([], "") is None


def test_a_single_patient_has_no_spread():
    assert id_rate_interval([result(3, 1)], "a") == {"low": 0.75, "high": 0.75}
