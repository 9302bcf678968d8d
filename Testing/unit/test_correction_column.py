"""Columns: from and to labellings, order by position, the order of levels that they show, and what is wrong in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from column_examples import column, curved, names
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.core.correction.column import (
    ColumnPoint,
    column_of,
    cranio_caudal,
    points_of,
    problems,
    segment_lengths_mm,
)
from VertebraLabelingLib.core.correction.order import order_of, stature
from VertebraLabelingLib.core.errors import CorrectionError
from VertebraLabelingLib.core.labelling import LabelledPoint


def test_a_labelling_becomes_a_column_and_one_again():
    points = (
        LabelledPoint(Level.T12, (1.0, 2.0, 3.0), 0.25, "next to the border of the scan"),
        LabelledPoint(Level.L1, (1.0, 2.5, -30.0), 1.0, "", confirmed=True),
    )
    made = column_of(points)
    assert made[0] == ColumnPoint("T12", (1.0, 2.0, 3.0), 0.25, "next to the border of the scan", False, "")
    assert made[1].locked
    assert points_of(made) == points


def test_writers_get_the_points_by_level_and_confirmed_ones_with_probability_1():
    low, high = ColumnPoint("l2", (0, 0, 0), 0.3, locked=True), ColumnPoint("L 1", (0, 0, 30), 0.4)
    assert points_of((low, high)) == (
        LabelledPoint(Level.L1, (0, 0, 30), 0.4),
        LabelledPoint(Level.L2, (0, 0, 0), 1.0, confirmed=True),
    )


def test_only_unconfirmed_points_are_uncertain():
    unsure = ColumnPoint("L1", (0, 0, 0), 0.49)
    assert unsure.is_uncertain
    assert not replace(unsure, probability=0.5).is_uncertain
    assert not replace(unsure, locked=True).is_uncertain


@pytest.mark.parametrize(("label", "level"), [("T12", Level.T12), ("t 12", Level.T12), ("F-1", None), ("", None)])
def test_the_label_names_the_level(label, level):
    assert ColumnPoint(label, (0, 0, 0)).level == level


@pytest.mark.parametrize(("labels", "words"), [(["L1", "F-1"], "'F-1' is no level"), (["L1", "L1"], "L1 occurs twice")])
def test_what_cannot_be_written_is_named(labels, words):
    with pytest.raises(CorrectionError, match=words):
        points_of(tuple(ColumnPoint(label, (0, 0, 30.0 * i)) for i, label in enumerate(labels)))


def test_order_is_that_of_the_positions_along_a_curved_column_whatever_the_labels():
    straight = curved("C1", "S2")
    shuffled = np.random.default_rng(0).permutation(len(straight))
    mixed = tuple(replace(straight[k], label="?") for k in shuffled)
    assert [shuffled[i] for i in cranio_caudal(mixed)] == list(range(len(straight)))
    assert cranio_caudal(()) == ()
    assert cranio_caudal(straight[:1]) == (0,)


def test_segment_lengths_are_those_between_neighbours():
    points = (ColumnPoint("L2", (0, 3, -30)), ColumnPoint("new", (0, 3, -70)), ColumnPoint("L1", (0, 0, 6)))
    assert segment_lengths_mm(points) == pytest.approx((np.hypot(3, 36), 40.0))
    assert segment_lengths_mm(points[:1]) == segment_lengths_mm(()) == ()


def test_the_order_of_levels_is_regular_unless_the_column_shows_otherwise():
    assert order_of(()) == order_of(column("C1", "S2")) == REGULAR_LEVELS
    assert set(order_of(names("T11 T12 T13 L1"))) - set(REGULAR_LEVELS) == {Level.T13}
    assert set(order_of(names("L4 L5 L6 S1"))) - set(REGULAR_LEVELS) == {Level.L6}
    assert set(REGULAR_LEVELS) - set(order_of(names("T9 T10 T11 L1 L2"))) == {Level.T12}
    assert set(REGULAR_LEVELS) - set(order_of(names("L2 L3 L4 S1"))) == {Level.L5}


@pytest.mark.parametrize("scale", [0.55, 1.0, 1.2])
def test_a_missed_t12_is_no_lack_of_it_in_children_either(scale):
    whole = column("T7", "L4", scale)
    assert stature(whole) == pytest.approx(scale, rel=0.01)
    without = tuple(point for point in whole if point.label != "T12")
    assert order_of(without) == REGULAR_LEVELS
    lacking = names("T7 T8 T9 T10 T11 L1 L2 L3", scale)
    assert set(REGULAR_LEVELS) - set(order_of(lacking)) == {Level.T12}


@pytest.mark.parametrize(
    "text", ["C1 C2 C3 C4", "T9 T10 T11 L1 L2 L3", "L3 L4 S1 S2", "T11 T12 T13 L1", "L4 L5 L6 S1", "L1", ""]
)
@pytest.mark.parametrize("scale", [0.85, 1.0, 1.15])
def test_there_is_no_problem_in_a_plausible_column(text, scale):
    assert problems(names(text, scale)) == ()


def test_there_is_no_problem_in_whole_columns_of_any_size():
    assert problems(column("C1", "S2", 0.5)) == problems(column("C1", "S2", 1.3)) == problems(curved("C1", "S2")) == ()


def test_each_problem_has_its_sentence():
    whole = {point.label: point for point in column("T10", "L5")}

    def found(**changed: ColumnPoint | None) -> tuple[str, ...]:
        return problems(tuple(point for point in {**whole, **changed}.values() if point is not None))

    assert found(L2=None) == ("L2 is missing between L1 and L3; insert it if in view.",)
    assert found(L2=None, L3=None) == ("L2-L3 are missing between L1 and L4; insert them if in view.",)
    assert found(L2=replace(whole["L2"], label="lesion")) == (
        "'lesion' is no level (C1-C7, T1-T13, L1-L6, S1, S2); rename or delete it.",
        "L2 is missing between L1 and L3; insert it if in view.",
    )
    assert found(L2=replace(whole["L2"], label="L1"))[0] == "L1 occurs twice; rename or delete one."
    swapped = found(L2=replace(whole["L2"], label="L3"), L3=replace(whole["L3"], label="L2"))
    assert "L3 lies above L2; one of the names is wrong." in swapped


def test_implausible_distances_are_named_with_the_usual_one():
    points = column("T12", "L5")
    top = points[0].position_lps_mm
    doubled = (replace(points[0], label="T11", position_lps_mm=(top[0], top[1], top[2] + 16)), *points)
    assert problems(doubled) == ("T11 and T12 are only 16 mm apart (usual: 30); is one vertebra marked twice?",)
    far = (replace(points[0], label="T11", position_lps_mm=(top[0], top[1], top[2] + 60)), *points)
    assert problems(far) == ("T11 and T12 are 60 mm apart (usual: 30); is a vertebra missed between them?",)


def test_a_left_out_name_without_room_for_it_is_a_wrong_name():
    points = tuple(replace(p, label="T9") if p.label == "T8" else p for p in column("T3", "T8"))
    (sentence,) = problems(points)
    assert sentence == "T8 is missing between T7 and T9, which are only 23 mm apart; is a name wrong?"
