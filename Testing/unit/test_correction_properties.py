"""What holds for every column, plausible or not, whatever names are given."""

from __future__ import annotations

from dataclasses import replace

from column_examples import names
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.correction.column import Column, ColumnPoint
from VertebraLabelingLib.core.correction.relabel import Anomaly, relabelled, shifted, with_anomaly
from VertebraLabelingLib.core.errors import CorrectionError

labels = st.sampled_from([*(level.name for level in Level), "lesion", "F-1"])
places = st.tuples(*(st.floats(-200, 200, width=32) for _ in range(3)))
any_column = st.lists(
    st.builds(ColumnPoint, labels, places, st.floats(0, 1), st.text(max_size=3), st.booleans(), st.uuids().map(str)),
    max_size=12,
).map(tuple)


@st.composite
def plausible_columns(draw) -> Column:
    """A part of a spine, with T13, L6, without T12, L5, or with points missed."""
    without = draw(st.sampled_from([set(), {Level.T12}, {Level.L5}, {Level.T12, Level.L5}]))
    extra = draw(st.sampled_from([set(), {Level.T13}, {Level.L6}])) if not without else set()
    spine = [x for x in Level if (not x.is_supernumerary or x in extra) and x not in without]
    first = draw(st.integers(0, len(spine) - 3))
    last = draw(st.integers(first + 2, len(spine) - 1))
    points = names(" ".join(x.name for x in spine[first : last + 1]), draw(st.floats(0.8, 1.2)))
    missed = draw(st.sets(st.integers(0, len(points) - 1), max_size=2))
    return tuple(replace(p, locked=draw(st.booleans())) for i, p in enumerate(points) if i not in missed)


columns = st.one_of(any_column, plausible_columns())
operations = st.one_of(
    st.builds(lambda n: lambda c, **k: shifted(c, n, **k), st.integers(-3, 3)),
    st.builds(
        lambda i, level, reach: lambda c, **k: relabelled(c, i % len(c), level, reach, **k),
        st.integers(0, 30), st.sampled_from(Level), st.sampled_from(["only", "down", "up"]),
    ),
    st.builds(lambda a: lambda c, **k: with_anomaly(c, a, **k), st.sampled_from(Anomaly)),
)  # fmt: skip


@settings(deadline=None)
@given(columns, st.integers(-6, 6))
def test_a_shift_that_is_possible_is_undone_by_the_opposite_one(points, steps):
    try:
        there = shifted(points, steps, include_locked=True)
    except CorrectionError:
        assume(False)
    assert shifted(there, -steps, include_locked=True) == points


@settings(deadline=None)
@given(columns, operations)
def test_renaming_keeps_places_keys_locks_and_the_order_of_the_list(points, operation):
    assume(points)
    try:
        after = operation(points, include_locked=True)
    except CorrectionError:
        assume(False)

    def facts(column: Column) -> list:
        return [(p.position_lps_mm, p.key, p.locked) for p in column]

    assert facts(after) == facts(points)
    named_anew = sum(p.level is None for p in points) - sum(p.level is None for p in after)
    assert named_anew in (0, 1)  # the point itself that is relabelled
    assert all(p in points for p in after if p.level is None)


@settings(deadline=None)
@given(columns, operations)
def test_no_confirmed_point_is_ever_renamed_unasked(points, operation):
    assume(points)
    try:
        after = operation(points)
    except CorrectionError:
        return
    assert [p.level for p in after if p.locked] == [p.level for p in points if p.locked]


@settings(deadline=None)
@given(plausible_columns(), st.lists(st.sampled_from(Anomaly), min_size=1, max_size=3))
def test_regular_undoes_every_irregular_number(points, anomalies):
    try:
        after = start = with_anomaly(points, Anomaly.REGULAR, include_locked=True)
        for anomaly in anomalies:
            after = with_anomaly(after, anomaly, include_locked=True)
    except CorrectionError:
        assume(False)
    assert with_anomaly(after, Anomaly.REGULAR, include_locked=True) == start


@settings(deadline=None)
@given(plausible_columns(), st.data())
def test_names_below_a_relabelled_point_still_increase(points, data):
    assume(points)
    place = data.draw(st.integers(0, len(points) - 1))
    level = data.draw(st.sampled_from(Level))
    try:
        after = relabelled(points, place, level, "down", include_locked=True)
    except CorrectionError:
        assume(False)
    below = [p.level for p in after[place:]]
    assert below == sorted(set(below))
    assert [p.label for p in after[:place]] == [p.label for p in points[:place]]
