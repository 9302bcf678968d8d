"""The correction tools on a real points node: each one step of undo; confirmed points change only with consent."""

from __future__ import annotations

import pytest
import slicer
from session_support import LUMBAR, add_points, desk, labels_of, positions_of, scene_text, unsure
from VertebraLabelingLib.app.curve_node import POINTS
from VertebraLabelingLib.core.correction.relabel import Anomaly

__all__ = ["desk"]

LOWER = ["L1", "L2", "L3", "L4", "L5", "S1", "S2"]


@pytest.fixture
def node(desk):
    return desk.label()


@pytest.mark.parametrize(
    ("action", "labels"),
    [
        (lambda session: session.shift(1), LOWER),
        (lambda session: session.relabel(1, "L2", "down"), ["T12", "L2", "L3", "L4", "L5", "S1", "S2"]),
        (lambda session: session.relabel(0, "t13"), ["T13", *LUMBAR[1:]]),
        (lambda session: session.anomaly(Anomaly.SIX_LUMBAR), ["T12", "L1", "L2", "L3", "L4", "L5", "L6"]),
        (lambda session: session.insert(6, "below"), [*LUMBAR, "S2"]),
        (lambda session: session.delete((0, 6)), list(LUMBAR[1:6])),
        (lambda session: session.confirm((1, 2)), list(LUMBAR)),
    ],
    ids=["shift", "relabel down", "relabel one", "six lumbar", "insert", "delete", "confirm"],
)
def test_every_tool_is_one_step(desk, node, action, labels):
    before = desk.session.column
    assert action(desk.session), desk.failures
    after = desk.session.column
    assert labels_of(node) == labels
    assert after != before
    assert desk.session.undo_text
    assert desk.session.undo()
    assert without_keys(desk.session.column) == without_keys(before)
    assert not desk.session.can_undo
    assert desk.session.redo()
    assert without_keys(desk.session.column) == without_keys(after)
    assert not desk.session.can_redo
    assert desk.asked.questions == []


def without_keys(column):
    return [(p.label, p.position_lps_mm, p.probability, p.remark, p.locked) for p in column]


def test_locks_are_those_of_the_node(desk, node):
    desk.session.confirm((1, 2))
    assert [bool(node.GetNthControlPointLocked(i)) for i in range(4)] == [False, True, True, False]
    desk.session.confirm((2,), False)
    assert [bool(node.GetNthControlPointLocked(i)) for i in range(4)] == [False, True, False, False]


def test_a_deleted_point_comes_back_in_its_place(desk, node):
    before = positions_of(node)
    desk.session.delete((2,))
    desk.session.undo()
    assert labels_of(node) == list(LUMBAR)
    assert positions_of(node) == before


def test_undo_of_deletions_goes_on_with_the_points_that_came_back(desk, node):
    """A point that comes back has another id; older states, which know the old one, must mean it too."""
    desk.session.relabel(2, "T13")
    desk.session.delete((2,))
    desk.session.undo()
    place = positions_of(node)[2]
    desk.session.undo()
    assert labels_of(node) == list(LUMBAR)
    assert positions_of(node)[2] == place
    desk.session.redo()
    desk.session.redo()
    assert labels_of(node) == [*LUMBAR[:2], *LUMBAR[3:]]


def test_confirmed_points_are_renamed_only_when_the_user_says_so(desk, node):
    desk.session.confirm((3,))
    before = desk.session.column
    desk.asked.answers = [False]
    assert not desk.session.shift(1)
    assert desk.session.column == before
    assert "L3 is confirmed" in desk.asked.questions[0]
    assert desk.session.shift(1)
    assert labels_of(node) == LOWER
    assert desk.failures == []


def test_confirmed_points_are_deleted_only_when_the_user_says_so(desk, node):
    desk.session.confirm((3,))
    desk.asked.answers = [False, True]
    assert not desk.session.delete((3, 4))
    assert labels_of(node) == list(LUMBAR)
    assert desk.session.delete((3, 4))
    assert len(labels_of(node)) == 5


def test_a_vertebra_without_a_free_name_is_inserted_only_when_those_below_may_be_renamed(desk, node):
    desk.asked.answers = [False, True]
    assert not desk.session.insert(1, "below")
    assert labels_of(node) == list(LUMBAR)
    assert "No level is free between L1 and L2" in desk.asked.questions[0]
    assert desk.session.insert(1, "below")
    assert labels_of(node) == ["T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2"]
    assert positions_of(node)[2][2] == pytest.approx(-52.5)
    desk.session.undo()
    assert labels_of(node) == list(LUMBAR)


def test_what_cannot_be_done_is_told_and_changes_nothing(desk, node):
    before = scene_text(desk.scene)
    assert not desk.session.shift(2)
    assert not desk.session.relabel(1, "coccyx")
    assert not desk.session.relabel(99, "L1")
    assert not desk.session.delete(())
    assert not desk.session.undo()
    assert not desk.session.redo()
    assert not desk.session.apply_alternative(0)
    assert len(desk.failures) == 7
    assert "not a vertebral level" in desk.failures[1]
    assert "not there" in desk.failures[2]
    assert scene_text(desk.scene) == before


def test_without_points_every_tool_says_so(desk):
    session = desk.session
    before = scene_text(desk.scene)
    tools = [
        lambda: session.shift(1),
        lambda: session.relabel(0, "L1"),
        lambda: session.insert(0, "below"),
        lambda: session.delete((0,)),
        lambda: session.confirm((0,)),
        lambda: session.anomaly(Anomaly.REGULAR),
        lambda: session.apply_alternative(0),
        lambda: session.refine((0,)),
        session.undo,
        session.redo,
        session.update_curve,
    ]
    assert [tool() for tool in tools] == [False] * len(tools)
    assert len(desk.failures) == len(tools)
    assert scene_text(desk.scene) == before


def test_a_list_of_fixed_length_is_left_alone_and_undo_still_works(desk, node):
    desk.session.shift(1)
    desk.session.delete((0,))
    node.SetFixedNumberOfControlPoints(True)
    assert not desk.session.delete((0,))
    assert not desk.session.undo()
    assert "is fixed" in desk.failures[1]
    node.SetFixedNumberOfControlPoints(False)
    assert desk.session.undo()
    assert labels_of(node) == LOWER
    assert desk.session.undo()
    assert labels_of(node) == list(LUMBAR)


def test_an_alternative_is_one_step(desk):
    desk.session.label()
    desk.job.finish(unsure())
    desk.session.poll()
    assert [offer.text for offer in desk.session.alternatives] == ["1 level lower (18%)"]
    assert desk.session.apply_alternative(0)
    assert desk.labels == LOWER
    assert desk.session.alternatives == ()
    assert desk.session.undo()
    assert desk.labels == list(LUMBAR)
    assert len(desk.session.alternatives) == 1


def test_an_alternative_drops_the_points_that_it_does_not_name(desk):
    desk.session.label()
    desk.job.finish(unsure(other=("L1", "L2", "L3", "L4", "L5", "S1", None)))
    desk.session.poll()
    assert desk.session.apply_alternative(0)
    assert desk.labels == LOWER[:6]
    assert desk.session.alternatives == ()
    desk.session.undo()
    assert desk.labels == list(LUMBAR)
    assert len(desk.session.alternatives) == 1


def test_an_alternative_renames_confirmed_points_only_when_the_user_says_so(desk):
    desk.session.label()
    desk.job.finish(unsure())
    desk.session.poll()
    desk.session.confirm((2,))
    desk.asked.answers = [False, True]
    assert not desk.session.apply_alternative(0)
    assert desk.labels == list(LUMBAR)
    assert desk.session.apply_alternative(0)
    assert desk.labels == LOWER


def test_alternatives_do_not_fit_other_points(desk):
    desk.session.label()
    desk.job.finish(unsure())
    desk.session.poll()
    desk.session.delete((0,))
    assert desk.session.alternatives == ()
    desk.session.undo()
    assert len(desk.session.alternatives) == 1
    assert desk.session.apply_alternative(0)
    assert desk.labels == LOWER
    desk.session.points_node.AddControlPoint([0, 0, 50], "T11")
    assert desk.session.alternatives == ()


def test_the_curve_follows_the_points_once_it_was_made(desk, node):
    assert desk.session.update_curve()
    curve = desk.session.state.curve
    assert curve.GetNodeReference(POINTS) is node
    assert curve.GetNumberOfControlPoints() == 7
    desk.session.delete((6,))
    assert curve.GetNumberOfControlPoints() == 6
    desk.session.undo()
    assert curve.GetNumberOfControlPoints() == 7
    assert desk.session.update_curve()
    assert desk.scene.GetNumberOfNodesByClass("vtkMRMLMarkupsCurveNode") == 1


def test_selecting_moves_the_views_and_marks_the_point(desk, node):
    assert desk.session.selected is None
    assert desk.session.select(2)
    assert desk.session.selected == 2
    matrix = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed").GetSliceToRAS()
    assert matrix.GetElement(2, 3) == -70.0
    assert node.GetDisplayNode().GetActiveControlPoint() == 2
    desk.session.delete((0,))
    assert desk.session.selected == 1
    desk.session.delete((1,))
    assert desk.session.selected is None
    assert not desk.session.select(99)


def test_points_of_the_users_own_can_be_corrected_too(desk):
    node = add_points(desk.scene, "L1", "L2")
    desk.session.set_points_node(node)
    assert desk.session.shift(-1)
    assert labels_of(node) == ["T12", "L1"]
    assert desk.session.undo()
    assert labels_of(node) == ["L1", "L2"]
