"""What the panel says of a labelling, as the run left it and after corrections."""

from __future__ import annotations

import pytest
from session_support import add_points, desk, drag, unsure

__all__ = ["desk"]

SURE = "T12-S1, 7 vertebrae, level certain: S1 in view"
UNSURE = "T12-S1, 7 vertebrae, level unsure: nothing to count from; could be 1 level lower (18%)"


@pytest.fixture
def in_doubt(desk):
    desk.session.label()
    desk.job.finish(unsure())
    desk.session.poll()
    return desk


def test_a_result_is_told_in_the_runs_words(desk):
    desk.label()
    assert desk.session.summary_lines == (SURE,)
    assert desk.session.problems == ()
    assert desk.session.segment_lengths_mm == pytest.approx([35.0] * 6)


def test_doubt_and_remarks_are_told(in_doubt):
    assert in_doubt.session.summary_lines == (UNSURE, "A.")


def test_a_moved_point_does_not_change_what_is_known_of_the_level(in_doubt):
    drag(in_doubt.session.points_node, 0, (0, 0, 1))
    assert in_doubt.session.summary_lines == (f"{UNSURE}; corrected by hand", "A.")


def test_the_level_is_the_users_after_a_shift_and_the_runs_after_its_undo(in_doubt):
    in_doubt.session.shift(-1)
    assert in_doubt.session.summary_lines == ("T11-L5, 7 vertebrae, level set by you; corrected by hand",)
    assert [offer.text for offer in in_doubt.session.alternatives] == ["L1-S2 (18%)"]
    in_doubt.session.undo()
    assert in_doubt.session.summary_lines == (UNSURE, "A.")
    assert [offer.text for offer in in_doubt.session.alternatives] == ["1 level lower (18%)"]


def test_the_level_is_the_users_after_an_alternative(in_doubt):
    in_doubt.session.apply_alternative(0)
    assert in_doubt.session.summary_lines == ("L1-S2, 7 vertebrae, level set by you; corrected by hand",)


def test_one_renamed_point_decides_nothing(in_doubt):
    in_doubt.session.relabel(0, "T13")
    assert in_doubt.session.summary_lines == (f"{UNSURE.replace('T12', 'T13', 1)}; corrected by hand",)


def test_a_confirmed_point_makes_the_level_certain(in_doubt):
    in_doubt.session.confirm((2,))
    line = in_doubt.session.summary_lines[0]
    assert line == "T12-S1, 7 vertebrae, level certain, confirmed: L2; corrected by hand"


def test_an_anchor_that_was_deleted_is_not_in_view_any_more(desk):
    desk.label()
    desk.session.delete((6,))
    assert desk.session.summary_lines == (
        "T12-L5, 6 vertebrae, level certain: nothing to count from; corrected by hand",
    )


def test_doubled_names_are_told_as_a_problem(desk):
    desk.label()
    desk.session.points_node.SetNthControlPointLabel(1, "T12")
    assert desk.session.summary_lines == ("T12-S1, 7 vertebrae; corrected by hand",)
    assert "T12 occurs twice" in desk.session.problems[0]


def test_points_that_no_run_made_are_told_as_such(desk):
    desk.session.set_points_node(add_points(desk.scene, "L1", "L2"))
    assert desk.session.summary_lines == ("L1-L2, 2 vertebrae, not named by this module",)
    desk.session.set_points_node(add_points(desk.scene, "hook"))
    assert desk.session.summary_lines == ("no level named, 1 vertebra, not named by this module",)


def test_nothing_is_told_of_an_empty_list(desk):
    desk.session.set_points_node(add_points(desk.scene))
    assert desk.session.summary_lines == ()
    assert desk.session.alternatives == ()


def test_an_unsure_level_is_settled_by_the_user(desk):
    assert not desk.session.is_level_unsure
    desk.label()
    assert not desk.session.is_level_unsure
    desk.label(level_certain=False)
    assert desk.session.is_level_unsure
    desk.session.confirm((0,))
    assert not desk.session.is_level_unsure
    desk.session.undo()
    assert desk.session.is_level_unsure
    desk.session.shift(-1)
    assert not desk.session.is_level_unsure
