"""Renaming: shifts, from one point on, irregular numbers of vertebrae, alternatives; what never changes meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from column_examples import column, names
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.correction.column import Column, ColumnPoint
from VertebraLabelingLib.core.correction.relabel import Anomaly, relabelled, shifted, with_anomaly, with_names
from VertebraLabelingLib.core.errors import CorrectionError, LockedError

NO_NAME = "There is no name for what is {} now: it would be {} level; delete it first."
NOT_KEPT = "The irregular number of vertebrae ({}) would not outlast this shift; relabel from one point on."


def text(points: Column) -> str:
    return " ".join(point.label for point in points)


def locked(points: Column, *labels: str) -> Column:
    return tuple(replace(point, locked=point.label in labels) for point in points)


def index(points: Column, label: str) -> int:
    return text(points).split().index(label)


# shifts


@pytest.mark.parametrize(
    ("before", "steps", "after"),
    [
        ("T11 T12 L1 L2", 1, "T12 L1 L2 L3"),
        ("T11 T12 L1 L2", -2, "T9 T10 T11 T12"),
        ("T11 T12 L1", 0, "T11 T12 L1"),
        ("L4 L5 S1", 1, "L5 S1 S2"),
        ("C2 C3 C4", -1, "C1 C2 C3"),
        # a thirteenth thoracic or sixth lumbar vertebra stays, one level off like the rest
        ("T11 T12 T13 L1", 1, "T12 T13 L1 L2"),
        ("T12 T13 L1 L2", -1, "T11 T12 T13 L1"),
        ("L3 L4 L5 L6 S1", 1, "L4 L5 L6 S1 S2"),
        # so does the lack of a twelfth thoracic or fifth lumbar one
        ("T9 T10 T11 L1 L2", 1, "T10 T11 L1 L2 L3"),
        ("L3 L4 S1", 1, "L4 S1 S2"),
    ],
)  # fmt: skip
def test_a_shift_moves_every_name_along_the_order_of_this_spine(before, steps, after):
    assert text(shifted(names(before), steps)) == after


def test_a_gap_stays_a_gap():
    points = tuple(point for point in column("T8", "L3") if point.label not in ("T11", "L1"))
    assert text(shifted(points, 1)) == "T9 T10 T11 L1 L3 L4"


@pytest.mark.parametrize(
    ("before", "steps", "sentence"),
    [
        ("C1 C2 C3", -1, NO_NAME.format("C1", "above C1, the first")),
        ("C3 C4 C5", -4, NO_NAME.format("C3", "above C1, the first")),
        ("L5 S1 S2", 1, NO_NAME.format("S2", "below S2, the last")),
        ("T13 L1 L2", 1, NOT_KEPT.format("T13")),
        ("L3 L4 S1", -1, NOT_KEPT.format("L5")),
        ("F-1 F-2", 1, "No point bears the name of a level yet; name one first."),
    ],
)  # fmt: skip
def test_a_shift_that_is_impossible_is_refused_with_a_sentence(before, steps, sentence):
    points = tuple(ColumnPoint(label, (0, 0, -30.0 * i)) for i, label in enumerate(before.split()))
    with pytest.raises(CorrectionError) as caught:
        shifted(points, steps)
    assert str(caught.value) == sentence


def test_other_points_are_left_alone_and_probability_and_remark_stay():
    points = (*names("T11 T12"), ColumnPoint("lesion", (30, 0, 70), 0.4, "seen", key="x"))
    after = shifted(points, 1)
    assert after[2] == points[2]
    assert [(p.probability, p.remark, p.key) for p in after] == [(p.probability, p.remark, p.key) for p in points]


# confirmed points


def test_confirmed_points_are_named_and_only_renamed_on_demand():
    points = locked(names("T11 T12 L1 L2"), "T12", "L2")
    with pytest.raises(LockedError, match="T12, L2 are confirmed"):
        shifted(points, 1)
    after = shifted(points, 1, include_locked=True)
    assert text(after) == "T12 L1 L2 L3"
    assert [point.locked for point in after] == [False, True, False, True]


def test_a_confirmed_point_that_keeps_its_name_hinders_nothing():
    points = locked(column("T10", "L3"), "T11")
    assert text(relabelled(points, index(points, "T12"), Level.L1, "down")) == "T10 T11 L1 L2 L3 L4"
    assert text(with_anomaly(points, Anomaly.ELEVEN_THORACIC)) == "T10 T11 L1 L2 L3 L4"
    with pytest.raises(LockedError, match="T11 is confirmed"):
        relabelled(points, index(points, "T12"), Level.L1, "up")


def test_a_confirmed_point_is_not_dropped_by_an_alternative():
    points = locked(names("T11 T12 L1"), "T11")
    with pytest.raises(LockedError, match="T11 is confirmed"):
        with_names(points, [None, "T11", "T12"])
    assert text(with_names(points, [None, "T11", "T12"], include_locked=True)) == "T11 T12"


# from one point on


@pytest.mark.parametrize(
    ("before", "label", "level", "reach", "after"),
    [
        ("T11 T12 L1 L2", "L1", "T10", "only", "T11 T12 T10 L2"),
        ("T11 T12 L1 L2", "T12", "L1", "down", "T11 L1 L2 L3"),
        ("T11 T12 L1 L2", "T12", "L1", "up", "T12 L1 L1 L2"),
        ("T10 T11 T12 L1", "L1", "L1", "down", "T10 T11 T12 L1"),
        # counted on through a new T13 or L6
        ("T11 T12 L1 L2 L3", "L1", "T13", "down", "T11 T12 T13 L1 L2"),
        ("T10 T11 T12 L1 L2", "T12", "T13", "down", "T10 T11 T13 L1 L2"),
        ("T10 T11 T12 L1 L2", "T12", "T13", "up", "T11 T12 T13 L1 L2"),
        ("L4 L5 S1 S2", "S1", "L6", "down", "L4 L5 L6 S1"),
        # names that move away from the far end keep T13 and what is lacking
        ("T10 T11 T12 T13 L1", "T10", "T11", "down", "T11 T12 T13 L1 L2"),
        ("T8 T9 T10 T11 L1 L2", "T9", "T8", "down", "T8 T8 T9 T10 T11 L1"),
        # T13 or L6 takes up the difference, and what lies beyond keeps its names
        ("T10 T12 T13 L1 L2", "T12", "T11", "down", "T10 T11 T12 L1 L2"),
        ("L1 L3 L4 L5 L6 S1 S2", "L3", "L2", "down", "L1 L2 L3 L4 L5 S1 S2"),
        ("T10 T11 T12 T13 L1 L3", "L1", "L2", "up", "T10 T11 T12 L1 L2 L3"),
        ("T11 T12 L1 L2 L3 L4 L5 L6 S1", "L1", "T13", "down", "T11 T12 T13 L1 L2 L3 L4 L5 S1"),
        # as does the lack of T12 or L5
        ("T8 T9 T10 T11 L1 L2", "T9", "T10", "down", "T8 T10 T11 T12 L1 L2"),
        ("L1 L2 L3 L4 S1 S2", "L2", "L3", "down", "L1 L3 L4 L5 S1 S2"),
        ("T10 T11 L1 L2 L3", "L2", "L1", "up", "T10 T11 T12 L1 L3"),
    ],
)  # fmt: skip
def test_relabelling_from_a_point_on(before, label, level, reach, after):
    points = names(before)
    assert text(relabelled(points, index(points, label), Level[level], reach)) == after


def test_names_are_counted_on_where_they_stood_twice():
    points = tuple(
        ColumnPoint(label, (0, 0, -30.0 * i)) for i, label in enumerate(["T12", "L1", "L1", "L2", "F-7", "L3"])
    )
    assert text(relabelled(points, 1, Level.L1, "down")) == "T12 L1 L2 L3 F-7 L4"


@pytest.mark.parametrize(("reach", "after"), [("down", "T11 T12 L1 L2 L3"), ("up", "T10 T11 L1 L1 L2")])
def test_a_point_without_a_level_takes_one_and_the_others_make_room(reach, after):
    points = tuple(ColumnPoint(x, (0, 0, -30.0 * i)) for i, x in enumerate(["T11", "T12", "F-1", "L1", "L2"]))
    assert text(relabelled(points, 2, Level.L1, reach)) == {"down": "T11 T12 L1 L2 L3", "up": "T11 T12 L1 L1 L2"}[reach]


def test_below_and_above_go_by_position_not_by_the_order_of_the_list():
    points = names("T12 L1 L2 L3")
    mixed = (points[2], points[0], points[3], points[1])
    assert text(relabelled(mixed, 3, Level.L2, "down")) == "L3 T12 L4 L2"


def test_the_point_itself_is_named_by_hand_and_certain():
    points = names("T11 T12 L1 L2")
    once = relabelled(points, 0, Level.T10, "down")
    assert (once[0].probability, once[0].remark) == (1.0, "next to the border of the scan; named by hand")
    assert [p.probability for p in once[1:]] == [p.probability for p in points[1:]]
    assert relabelled(once, 0, Level.T10).index(once[0]) == 0


def test_relabelling_beyond_the_ends_is_refused():
    points = names("L4 L5 S1")
    with pytest.raises(CorrectionError, match="what is S1 now: it would be below S2"):
        relabelled(points, 0, Level.S1, "down")
    with pytest.raises(CorrectionError, match="what is C1 now: it would be above C1"):
        relabelled(names("C1 C2 C3"), 1, Level.C1, "up")


# irregular numbers of vertebrae


@pytest.mark.parametrize(
    ("before", "anomaly", "after"),
    [
        ("T10 T11 T12 L1 L2", Anomaly.ELEVEN_THORACIC, "T10 T11 L1 L2 L3"),
        ("T10 T11 T12 L1 L2", Anomaly.THIRTEEN_THORACIC, "T10 T11 T12 T13 L1"),
        ("L3 L4 L5 S1", Anomaly.FOUR_LUMBAR, "L3 L4 S1 S2"),
        ("L3 L4 L5 S1 S2", Anomaly.SIX_LUMBAR, "L3 L4 L5 L6 S1"),
        ("T12 T13 L1 L2", Anomaly.REGULAR, "T12 L1 L2 L3"),
        ("T12 T13 L1", Anomaly.THIRTEEN_THORACIC, "T12 T13 L1"),
        # from one irregularity to the other of the same region
        ("T10 T11 T12 T13 L1", Anomaly.ELEVEN_THORACIC, "T10 T11 L1 L2 L3"),
        # both regions: a lumbar rib, with four vertebrae below it
        ("T11 T12 T13 L1 L2 L3 L4 L5", Anomaly.FOUR_LUMBAR, "T11 T12 T13 L1 L2 L3 L4 S1"),
    ],
)  # fmt: skip
def test_an_irregular_number_is_counted_from_above(before, anomaly, after):
    assert text(with_anomaly(names(before), anomaly)) == after


@pytest.mark.parametrize(
    ("before", "anomaly"),
    [
        ("T1 T2 T3", Anomaly.THIRTEEN_THORACIC),
        ("L1 L2 L3", Anomaly.SIX_LUMBAR),
        ("T11 L2 L3", Anomaly.ELEVEN_THORACIC),
        ("T12 L1 L2", Anomaly.ELEVEN_THORACIC),
    ],
)
def test_what_the_points_do_not_reach_is_refused(before, anomaly):
    with pytest.raises(CorrectionError, match=f"a spine with {anomaly.value} vertebrae differs"):
        with_anomaly(names(before), anomaly)


def test_one_vertebra_less_leaves_no_name_for_s2():
    points = names("L3 L4 L5 S1 S2")
    with pytest.raises(CorrectionError, match="what is S2 now: it would be below S2, the last level; delete it first"):
        with_anomaly(points, Anomaly.FOUR_LUMBAR)
    assert text(with_anomaly(points[:-1], Anomaly.FOUR_LUMBAR)) == "L3 L4 S1 S2"


# alternatives


def test_names_of_an_alternative_are_given_and_points_dropped():
    points = names("T11 T12 L1 L2")
    after = with_names(points, ["T12", "L1", None, "L2"])
    assert text(after) == "T12 L1 L2"
    assert [p.key for p in after] == [points[i].key for i in (0, 1, 3)]


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(CorrectionError, match="2 names do not fit 3 points"):
        with_names(names("T11 T12 L1"), ["T12", "L1"])
    with pytest.raises(CorrectionError, match="'X9' is not a vertebral level"):
        with_names(names("T11 T12"), ["T12", "X9"])
