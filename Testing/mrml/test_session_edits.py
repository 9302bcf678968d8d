"""What the user does to the points in views and in other modules: seen, one step each, never refused."""

from __future__ import annotations

import gc

import pytest
from harness.views import SliceView
from session_support import LUMBAR, add_points, desk, drag, labels_of, positions_of
from VertebraLabelingLib.app.points_node import read_column

__all__ = ["desk"]


@pytest.fixture
def node(desk):
    node = desk.label()
    desk.changes = 0
    return node


def test_a_drag_is_one_step_and_keeps_the_name(desk, node):
    before = desk.session.column
    drag(node, 2, (0, 0, -71), (1, 1, -72), (2, 2, -73))
    assert desk.changes >= 1
    point = desk.session.column[2]
    assert (point.label, point.position_lps_mm, point.remark) == ("L2", (-2.0, -2.0, -73.0), "moved by hand")
    assert desk.session.undo_text == "move L2"
    assert desk.session.undo()
    assert desk.session.column == before
    assert not desk.session.can_undo
    assert desk.session.redo()
    assert positions_of(node)[2] == (-2.0, -2.0, -73.0)


def test_a_drag_is_told_while_it_goes_on_but_not_for_every_pixel(desk, node):
    node.InvokeEvent(node.PointStartInteractionEvent)
    desk.changes = 0
    for pixel in range(50):
        node.SetNthControlPointPosition(2, 0, 0, -70 - pixel)
    assert 1 <= desk.changes < 25
    assert not desk.session.can_undo
    node.InvokeEvent(node.PointEndInteractionEvent)
    assert desk.session.can_undo


def test_a_click_on_a_point_is_no_step(desk, node):
    drag(node, 2)
    assert not desk.session.can_undo


def test_taking_hold_of_a_point_selects_it(desk, node):
    node.GetDisplayNode().SetActiveControlPoint(3)
    drag(node, 3, (0, 0, -100))
    assert desk.session.selected == 3


def test_a_tool_used_in_the_middle_of_a_drag_takes_the_point_where_it_is(desk, node):
    node.InvokeEvent(node.PointStartInteractionEvent)
    node.SetNthControlPointPosition(2, 0, 0, -75)
    assert desk.session.shift(1)
    node.InvokeEvent(node.PointEndInteractionEvent)
    assert positions_of(node)[2] == (0, 0, -75)
    assert desk.session.undo()
    assert labels_of(node) == list(LUMBAR)
    assert positions_of(node)[2] == (0, 0, -75)
    assert desk.session.undo()
    assert positions_of(node)[2] == (1.0, 2.0, -70.0)


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda node: node.SetNthControlPointLabel(1, "hook"), "rename to hook"),
        (lambda node: node.AddControlPoint([0, 0, 40], "T11"), "add T11"),
        (lambda node: node.RemoveNthControlPoint(1), "delete L1"),
        (lambda node: node.RemoveAllControlPoints(), "delete 7 points"),
        (lambda node: node.SetNthControlPointPosition(1, 0, 0, -40), "move L1"),
        (lambda node: node.SetNthControlPointLocked(1, True), "edit points"),
        (lambda node: node.SetNthControlPointDescription(1, "scoliosis"), "edit points"),
    ],
    ids=["rename", "add", "remove", "remove all", "move", "lock", "describe"],
)
def test_an_edit_in_another_module_is_one_step(desk, node, edit, what):
    before = contents(node)
    edit(node)
    after = contents(node)
    assert desk.changes == 1
    assert desk.session.undo_text == what
    assert desk.session.undo()
    assert contents(node) == before
    assert not desk.session.can_undo
    assert desk.session.redo()
    assert contents(node) == after
    assert desk.failures == []


def contents(node):
    return [(p.label, p.position_lps_mm, p.probability, p.remark, p.locked) for p in read_column(node)]


def test_edits_of_one_batch_are_one_step(desk, node):
    was_modifying = node.StartModify()
    node.SetNthControlPointLabel(0, "T11")
    node.RemoveNthControlPoint(6)
    node.AddControlPoint([0, 0, 40], "T10")
    node.EndModify(was_modifying)
    assert desk.session.undo_text == "change the list"
    assert desk.session.undo()
    assert labels_of(node) == list(LUMBAR)
    assert not desk.session.can_undo


def test_the_sessions_own_writing_is_one_step(desk, node):
    desk.session.shift(1)
    assert desk.session.undo_text == "shift down"
    desk.session.undo()
    assert not desk.session.can_undo


def test_a_point_being_placed_is_no_edit(desk, node):
    node.AddControlPoint([0, 0, 40], "preview")
    index = node.GetNumberOfControlPoints() - 1
    node.UnsetNthControlPointPosition(index)
    assert desk.session.undo_text == "delete preview"
    node.SetNthControlPointDescription(index, "still under the mouse")
    assert desk.session.undo_text == "delete preview"
    assert len(desk.session.column) == 7
    node.SetNthControlPointPosition(index, 0, 0, 41)
    assert len(desk.session.column) == 8
    assert desk.session.undo_text == "add preview"


def test_an_edit_after_undo_ends_redo(desk, node):
    desk.session.shift(1)
    desk.session.undo()
    node.SetNthControlPointLabel(0, "T13")
    assert not desk.session.can_redo


def test_a_new_name_of_the_node_is_told(desk, node):
    node.SetName("Spine of the day")
    assert desk.changes == 1
    assert not desk.session.can_undo


def test_edits_of_another_list_are_none_of_ours(desk, node):
    other = add_points(desk.scene, "L1")
    desk.changes = 0
    other.SetNthControlPointLabel(0, "L2")
    assert desk.changes == 0
    assert not desk.session.can_undo


def test_a_closed_session_hears_nothing(desk, node):
    desk.session.close()
    desk.changes = 0
    node.SetNthControlPointLabel(0, "T13")
    desk.scene.Clear()
    assert desk.changes == 0


def test_a_session_that_nobody_holds_is_gone(desk, node):
    """An observer that keeps its session alive would be called in the middle of Python's garbage collection."""
    forgotten = desk.open()
    forgotten.changed.disconnect(desk.count)
    told = []
    forgotten.changed.connect(lambda: told.append(1))
    del forgotten
    gc.collect()
    node.SetNthControlPointLabel(0, "T13")
    assert told == []


def test_a_point_dragged_with_the_mouse_in_a_slice_view_is_one_step(desk, node):
    """Slicer's own markups widget drags the point, event by event."""
    before = desk.session.column
    with SliceView("Sagittal") as view:
        view.jump((-1.0, -2.0, -70.0))
        view.drag((-1.0, -2.0, -70.0), (-1.0, 6.0, -78.0))
        assert labels_of(node) == list(LUMBAR)
        moved = desk.session.column[2].position_lps_mm
        assert moved == pytest.approx((1.0, -6.0, -78.0), abs=1.0)
        assert desk.session.undo_text == "move L2"
        assert desk.session.selected == 2
        assert desk.session.undo()
        assert desk.session.column == before
        assert not desk.session.can_undo
