"""Inserting along the curve, deleting, confirming, moving; and the history."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from column_examples import RADIUS_MM, column, curved, names
from hypothesis import given, settings
from hypothesis import strategies as st
from VertebraLabelingLib.core.correction.column import Column, ColumnPoint, cranio_caudal, problems
from VertebraLabelingLib.core.correction.history import MAX_STATES, History
from VertebraLabelingLib.core.correction.points import confirmed, deleted, inserted, moved
from VertebraLabelingLib.core.errors import CorrectionError, LockedError


def text(points: Column) -> str:
    return " ".join(point.label for point in points)


def place(points: Column, label: str) -> int:
    return text(points).split().index(label)


def without(points: Column, *labels: str) -> Column:
    return tuple(point for point in points if point.label not in labels)


# inserting


@pytest.mark.parametrize(("label", "where"), [("T10", "below"), ("T12", "above")])
def test_a_missed_vertebra_takes_the_free_name_and_its_place_between_its_neighbours(label, where):
    whole = column("T8", "L2")
    points = without(whole, "T11")
    after = inserted(points, place(points, label), where)
    new = after[3]
    assert text(after) == text(whole)
    assert new.position_lps_mm == pytest.approx(whole[3].position_lps_mm, abs=0.1)
    assert (new.probability, new.remark, new.locked, new.key) == (1.0, "inserted by hand", False, "")
    assert without(after, "T11") == points


@pytest.mark.parametrize("label", ["T4", "T8", "T12", "L3"])
def test_it_lies_on_the_curve_and_not_on_the_chord(label):
    whole = curved("T1", "L5")
    points = without(whole, label)
    k = place(whole, label)
    new = inserted(points, k - 1, "below")[k]
    chord = np.mean([whole[k - 1].position_lps_mm, whole[k + 1].position_lps_mm], axis=0)
    sagitta_mm = RADIUS_MM - np.linalg.norm(chord)
    assert sagitta_mm > 0.5
    assert abs(np.linalg.norm(new.position_lps_mm) - RADIUS_MM) < 0.25 * sagitta_mm
    assert math.dist(new.position_lps_mm, whole[k].position_lps_mm) < 1.0


def test_of_several_free_levels_the_nearest_is_taken():
    whole = column("T10", "L3")
    points = without(whole, "T12", "L1")
    below, above = inserted(points, 1, "below"), inserted(points, 2, "above")
    assert text(below) == "T10 T11 T12 L2 L3"
    assert text(above) == "T10 T11 L1 L2 L3"
    assert below[2].position_lps_mm == pytest.approx(whole[2].position_lps_mm, abs=1.0)
    assert above[2].position_lps_mm == pytest.approx(whole[3].position_lps_mm, abs=1.0)
    assert text(inserted(below, 2, "below")) == text(whole)


def test_a_lacking_t12_can_be_put_in():
    assert text(inserted(names("T10 T11 L1 L2"), 1, "below")) == "T10 T11 T12 L1 L2"


def test_between_neighbours_without_a_free_level_only_on_demand():
    points = column("T11", "L2")
    with pytest.raises(CorrectionError, match="No level is free between T12 and L1; rename those below as well"):
        inserted(points, 1, "below")
    after = inserted(points, 1, "below", rename_below=True)
    assert text(after) == "T11 T12 L1 L2 L3"
    assert after[2].position_lps_mm == pytest.approx(np.mean([p.position_lps_mm for p in points[1:3]], axis=0), abs=0.1)
    assert [p.key for p in after] == [points[0].key, points[1].key, "", points[2].key, points[3].key]
    assert text(inserted(points, 2, "above", rename_below=True)) == text(after)


def test_what_is_lacking_further_down_takes_up_an_insertion():
    assert text(inserted(names("T12 L1 L2 L3 L4 S1"), 1, "below", rename_below=True)) == "T12 L1 L2 L3 L4 L5 S1"


def test_confirmed_points_below_are_renamed_on_demand_only():
    points = confirmed(column("T11", "L2"), [3])
    with pytest.raises(LockedError, match="L2 is confirmed"):
        inserted(points, 1, "below", rename_below=True)
    assert text(inserted(points, 1, "below", rename_below=True, include_locked=True)) == "T11 T12 L1 L2 L3"


@pytest.mark.parametrize("scale", [0.6, 1.0])
def test_at_the_ends_the_column_goes_on_straight_at_its_own_distance(scale):
    whole = column("T9", "L3", scale)
    points = whole[1:-1]
    below, above = inserted(points, len(points) - 1, "below"), inserted(points, 0, "above")
    assert text(below) == text(whole[1:])
    assert text(above) == text(whole[:-1])
    assert below[-1].position_lps_mm == pytest.approx(whole[-1].position_lps_mm, abs=0.5)
    assert above[0].position_lps_mm == pytest.approx(whole[0].position_lps_mm, abs=0.5)


def test_a_single_point_goes_on_straight_down_and_up():
    (point,) = names("L3")
    below, above = inserted((point,), 0, "below"), inserted((point,), 0, "above")
    assert text(below) == "L3 L4"
    assert below[1].position_lps_mm == pytest.approx(np.add(point.position_lps_mm, (0, 0, -36.5)))
    assert text(above) == "L2 L3"
    assert above[0].position_lps_mm == pytest.approx(np.add(point.position_lps_mm, (0, 0, 35.8)))


def test_behind_t13_comes_l1_and_before_it_t12():
    assert text(inserted(names("T13"), 0, "below")) == "T13 L1"
    assert text(inserted(names("T13"), 0, "above")) == "T12 T13"


@pytest.mark.parametrize(
    ("labels", "index", "where", "sentence"),
    [
        ("C1 C2", 0, "above", "C1 is the first level; none can be inserted there"),
        ("S1 S2", 1, "below", "S2 is the last level; none can be inserted there"),
        ("L1 F-1", 0, "below", "The neighbour 'F-1' bears no level"),
        ("L1 F-1", 1, "below", "The neighbour 'F-1' bears no level"),
        ("L4 L2 L3", 2, "below", "L4 is there already"),
    ],
)
def test_an_insertion_that_is_impossible_is_refused_with_a_sentence(labels, index, where, sentence):
    points = tuple(ColumnPoint(label, (0, 0, -30.0 * i)) for i, label in enumerate(labels.split()))
    with pytest.raises(CorrectionError, match=sentence):
        inserted(points, index, where)


def test_neighbours_are_those_of_the_positions_and_the_list_keeps_its_order():
    whole = column("T10", "L2")
    shuffled = tuple(without(whole, "T12")[i] for i in (2, 0, 3, 1))
    after = inserted(shuffled, place(shuffled, "T11"), "below")
    assert text(after) == "L1 T10 L2 T11 T12"
    assert tuple(after[i].label for i in cranio_caudal(after)) == tuple(p.label for p in whole)


def test_points_at_one_place_do_not_break_the_curve():
    points = tuple(ColumnPoint(label, (0.0, 0.0, 5.0)) for label in ("L1", "L3"))
    assert inserted(points, cranio_caudal(points)[0], "below")[1].position_lps_mm == (0.0, 0.0, 5.0)


@settings(deadline=None)
@given(st.sets(st.integers(0, 23), max_size=23), st.data(), st.sampled_from(["below", "above"]))
def test_insertion_changes_no_other_place_and_makes_no_double_name(left_out, data, where):
    """With C1 and S2 free there is always room, if those below may be renamed."""
    points = tuple(point for i, point in enumerate(curved("C2", "S1")) if i not in left_out)
    index = data.draw(st.integers(0, len(points) - 1))
    try:
        after = inserted(points, index, where)
        assert without(after, *(p.label for p in after if not p.key)) == points
    except CorrectionError:
        after = inserted(points, index, where, rename_below=True)
    assert len(after) == len({p.label for p in after}) == len(points) + 1
    assert [(p.position_lps_mm, p.key) for p in after if p.key] == [(p.position_lps_mm, p.key) for p in points]
    levels = [point.level for point in after]
    assert levels == sorted(levels)


def test_filling_every_gap_of_a_column_leaves_no_problem():
    points = without(curved("T1", "L5"), "T4", "T5", "T11", "L3")
    for label in ("T3", "T4", "T10", "L2"):
        points = inserted(points, place(points, label), "below")
    assert text(points) == text(curved("T1", "L5"))
    assert problems(points) == ()


# deleting, confirming, moving


def test_deleting_takes_the_points_away_and_renames_nothing():
    points = column("T10", "L1")
    assert deleted(points, [1, 3]) == (points[0], points[2])
    assert deleted(confirmed(points, [1]), {1}) == without(points, "T11")


def test_confirming_locks_and_unlocks_and_changes_nothing_else():
    points = column("T10", "L1")
    after = confirmed(points, [0, 2])
    assert [p.locked for p in after] == [True, False, True, False]
    assert confirmed(after, range(4), locked=False) == points


def test_what_bears_no_level_cannot_be_confirmed():
    points = (ColumnPoint("F-1", (0, 0, 0), locked=False),)
    with pytest.raises(CorrectionError, match="'F-1' is no level; name the point before confirming it"):
        confirmed(points, [0])


def test_moving_changes_place_and_remark_only():
    points = column("T10", "L1")
    once = moved(points, 3, (1.0, 2.0, 3.0))
    assert once[:3] == points[:3]
    assert once[3] == replace(
        points[3], position_lps_mm=(1.0, 2.0, 3.0), remark="next to the border of the scan; moved by hand"
    )
    assert moved(once, 3, (4.0, 5.0, 6.0))[3].remark == once[3].remark


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_place_that_is_none_is_refused(value):
    with pytest.raises(CorrectionError, match="position of T10 is not finite"):
        moved(column("T10", "L1"), 0, (0.0, value, 0.0))


# history


def test_undo_and_redo_walk_through_the_states_and_say_what_they_do():
    first, second, third = column("T10", "T11"), column("T10", "T12"), column("T10", "L1")
    history = History(first)
    assert not history.can_undo
    assert not history.can_redo
    assert history.undo_text == history.redo_text == ""
    history.record(second, "insert T12")
    history.record(third, "insert L1")
    assert (history.can_undo, history.undo_text) == (True, "insert L1")
    assert history.undo() == second
    assert (history.undo_text, history.redo_text) == ("insert T12", "insert L1")
    assert history.undo() == first
    assert history.redo() == second
    history.record(first, "delete T12")
    assert not history.can_redo
    assert history.undo() == second


def test_there_is_nothing_to_undo_or_redo_at_the_ends():
    history = History(column("T10", "T11"))
    with pytest.raises(CorrectionError, match="nothing to undo"):
        history.undo()
    with pytest.raises(CorrectionError, match="nothing to redo"):
        history.redo()


def test_a_correction_that_changed_nothing_is_no_step():
    history = History(column("T10", "T11"))
    history.record(column("T10", "T12"), "insert T12")
    history.undo()
    history.record(column("T10", "T11"), "shift by nothing")
    assert history.redo_text == "insert T12"
    assert not history.can_undo


def test_clearing_begins_anew():
    history = History()
    history.record(column("T10", "T11"), "insert")
    history.clear(column("L1", "L2"))
    assert not history.can_undo
    history.record((), "delete all")
    assert history.undo() == column("L1", "L2")


def test_only_the_last_states_are_kept():
    history = History()
    states = [(ColumnPoint("L1", (0.0, 0.0, float(i))),) for i in range(MAX_STATES + 20)]
    for i, state in enumerate(states):
        history.record(state, f"move {i}")
    undone = []
    while history.can_undo:
        undone.append(history.undo())
    assert undone == states[-2 : -MAX_STATES - 1 : -1]
    assert history.undo_text == ""
