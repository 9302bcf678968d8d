"""The VerSe metric on hand-made columns whose numbers can be counted on fingers."""

from __future__ import annotations

import pytest
from VertebraLabelingLib.core.anatomy import Level, Region
from VertebraLabelingLib.core.labelling import LabelledPoint

from training.evaluate import evaluate_scan, score
from training.evaluation_report import json_report, markdown_report

SPACING_MM = 30.0
TRUTH_LEVELS = ("T11", "T12", "L1", "L2", "L3")


def column(*names: str, x_mm: float = 0.0, first_z_mm: float = 0.0) -> list[LabelledPoint]:
    """Points 30 mm apart, the first on top, all `x_mm` beside the truth."""
    return [LabelledPoint(Level.parse(name), (x_mm, 0.0, first_z_mm - SPACING_MM * i)) for i, name in enumerate(names)]


TRUTH = column(*TRUTH_LEVELS)


def test_a_perfect_prediction_is_wholly_right_with_the_exact_error():
    result = evaluate_scan("a", TRUTH, column(*TRUTH_LEVELS, x_mm=3.0))
    total = score([result])
    assert (total.vertebrae, total.identified, total.found, total.false_positives, total.strays) == (5, 5, 5, 0, 0)
    assert total.id_rate == total.recall == total.id_rate_after_shift == 1.0
    assert total.mean_error_mm == total.median_error_mm == pytest.approx(3.0)
    assert result.wholly_right
    assert result.shift == 0


def test_a_column_one_level_low_is_found_but_not_named_until_it_is_shifted():
    result = evaluate_scan("a", TRUTH, column("T12", "L1", "L2", "L3", "L4", x_mm=2.0))
    total = score([result])
    assert total.identified == 0
    assert total.mean_error_mm is None
    assert total.recall == 1.0
    assert total.id_rate_after_shift == 1.0
    assert result.shift == -1
    assert total.false_positives == 1  # L4
    assert total.strays == 0


def test_a_shift_of_more_than_three_levels_is_not_tried():
    predicted = column("T7", "T8", "T9", "T10", "T11")
    assert score([evaluate_scan("a", TRUTH, predicted)]).identified_after_shift == 0


def test_a_shift_beyond_the_end_of_the_spine_drops_the_point():
    truth = column("L5", "S1", "S2")
    result = evaluate_scan("a", truth, column("L5", "S1", "S2", first_z_mm=-SPACING_MM))
    assert result.shift == 1
    assert score([result]).identified_after_shift == 2


def test_a_swapped_pair_is_found_but_neither_is_identified():
    total = score([evaluate_scan("a", TRUTH, column("T11", "L1", "T12", "L2", "L3"))])
    assert (total.identified, total.found, total.false_positives) == (3, 5, 0)


def test_a_missing_vertebra_lowers_id_rate_and_recall_only():
    result = evaluate_scan("a", TRUTH, TRUTH[:2] + TRUTH[3:])
    total = score([result])
    assert total.id_rate == total.recall == pytest.approx(4 / 5)
    assert total.false_positives == 0
    assert not result.wholly_right


def test_an_extra_level_is_a_false_positive_and_a_stray_and_spoils_the_scan():
    extra = LabelledPoint(Level.L4, (0.0, 0.0, -5 * SPACING_MM))
    result = evaluate_scan("a", TRUTH, [*TRUTH, extra])
    total = score([result])
    assert (total.identified, total.false_positives, total.strays) == (5, 1, 1)
    assert not result.wholly_right


def test_the_second_point_of_a_level_is_a_false_positive():
    total = score([evaluate_scan("a", TRUTH, [*TRUTH, TRUTH[0]])])
    assert (total.identified, total.false_positives) == (5, 1)


def test_an_error_of_exactly_20_mm_does_not_identify_and_just_below_does():
    truth = column("L1")
    at_limit = score([evaluate_scan("a", truth, column("L1", x_mm=20.0))])
    assert (at_limit.identified, at_limit.strays) == (0, 1)
    below = score([evaluate_scan("a", truth, column("L1", x_mm=19.999))])
    assert (below.identified, below.strays) == (1, 0)


def test_finding_includes_exactly_10_mm():
    truth = column("L1")
    assert score([evaluate_scan("a", truth, column("L1", x_mm=10.0))]).found == 1
    assert score([evaluate_scan("a", truth, column("L1", x_mm=10.001))]).found == 0


def test_a_point_nearer_to_its_neighbour_does_not_identify():
    truth = column("L1", "L2")
    nearer_to_l2 = LabelledPoint(Level.L1, (0.0, 0.0, -15.5))
    halfway = LabelledPoint(Level.L1, (0.0, 0.0, -15.0))
    assert score([evaluate_scan("a", truth, [nearer_to_l2])]).identified == 0
    assert score([evaluate_scan("a", truth, [halfway])]).identified == 1


def test_one_point_finds_only_one_of_two_close_vertebrae():
    truth = [LabelledPoint(Level.C3, (0.0, 0.0, 0.0)), LabelledPoint(Level.C4, (0.0, 0.0, -14.0))]
    between = LabelledPoint(Level.C3, (0.0, 0.0, -6.0))
    total = score([evaluate_scan("a", truth, [between])])
    assert (total.found, total.identified) == (1, 1)


def test_t13_is_named_by_itself_but_shifts_with_t12():
    truth = column("T12", "T13", "L1")
    assert score([evaluate_scan("a", truth, truth)]).identified == 3
    result = evaluate_scan("a", column("T11", "T12", "L1"), column("T12", "T13", "L2"))
    assert result.shift == -1
    assert score([result]).identified_after_shift == 2


def test_a_scan_without_a_vertebra_counts_every_label_as_false_positive():
    result = evaluate_scan("thigh", [], column("L4", "L5"))
    total = score([result])
    assert total.id_rate is None
    assert total.recall is None
    assert (total.false_positives, total.strays) == (2, 2)
    assert not result.wholly_right
    assert evaluate_scan("thigh", [], []).wholly_right


def test_a_missing_prediction_counts_as_all_missed():
    result = evaluate_scan("a", TRUTH, None)
    assert result.prediction_missing
    assert score([result]).id_rate == 0.0
    assert not result.wholly_right


def test_a_scan_without_a_vertebra_is_right_without_a_file():
    result = evaluate_scan("thigh", [], None)
    assert result.prediction_missing
    assert result.wholly_right


def test_a_truth_that_names_a_level_twice_is_refused():
    with pytest.raises(ValueError, match="'a' names a level twice"):
        evaluate_scan("a", [TRUTH[0], TRUTH[0]], [])


def test_regions_and_scans_add_up_to_the_total():
    results = [
        evaluate_scan("a", TRUTH, column(*TRUTH_LEVELS, x_mm=1.0)),
        evaluate_scan("b", TRUTH, column("T12", "L1", "L2", "L3", "L4")),
        evaluate_scan("c", column("C1", "C2"), column("C1", "C2", x_mm=4.0)),
    ]
    total = score(results)
    regions = [score(results, region) for region in Region]
    assert [part.vertebrae for part in regions] == [2, 4, 6, 0]
    assert [part.identified for part in regions] == [2, 2, 3, 0]
    assert sum(part.false_positives for part in regions) == total.false_positives == 1
    assert total.id_rate == pytest.approx(7 / 12)
    assert total.mean_error_mm == pytest.approx((5 * 1.0 + 2 * 4.0) / 7)
    assert total.median_error_mm == pytest.approx(1.0)


def test_json_and_markdown_carry_the_same_numbers():
    results = [evaluate_scan("a", TRUTH, column("T12", "L1", "L2", "L3", "L4")), evaluate_scan("b", TRUTH, None)]
    values = json_report(results)
    assert values["total"]["id_rate_after_shift"] == pytest.approx(0.5)
    assert values["scans"][0]["shift"] == -1
    assert values["scans"][0]["errors_mm"] == dict.fromkeys(TRUTH_LEVELS)
    text = markdown_report(results)
    assert "| a | 5 | 0.0% | - | - | 100.0% | 1 | 0 | 100.0% (-1) | no |" in text
    assert "| all | 10 | 0.0% | - | - | 50.0% | 1 | 0 | 50.0% | 0/2 scans |" in text
    assert "no prediction, counted as all missed: b" in text
