"""Runs: what they are given, what their result makes of the scene, and that nothing else ever changes it."""

from __future__ import annotations

import pytest
from scenes import add_linear_transform, add_roi, add_volume
from session_support import LUMBAR, FakeJob, add_points, desk, drag, labels_of, positions_of, result, scene_text
from VertebraLabelingLib.app.job import LabelJob
from VertebraLabelingLib.app.placement import volume_of
from VertebraLabelingLib.app.points_node import is_corrected, read_column
from VertebraLabelingLib.app.state import result_of

__all__ = ["desk"]


def test_a_complete_result_becomes_a_new_styled_list_beside_the_volume(desk):
    transform = add_linear_transform(desk.scene, desk.ct)
    node = desk.label()
    assert labels_of(node) == list(LUMBAR)
    assert positions_of(node)[1] == (1.0, 2.0, -35.0)
    assert node.GetNthControlPointPosition(1) == (-1.0, -2.0, -35.0)
    assert node.GetName() == "CT vertebrae"
    assert node.GetParentTransformNode() is transform
    assert node.GetDisplayNode().GetSliceProjection()
    assert volume_of(node) is desk.ct
    assert not is_corrected(node)
    assert result_of(node).keys == tuple(point.key for point in read_column(node))
    assert not desk.session.can_undo
    assert not desk.session.is_running
    assert desk.failures == []
    assert desk.asked.questions == []
    assert desk.session.last_result["points"]


def test_the_job_gets_all_options(desk, tmp_path):
    roi = add_roi(desk.scene, (0, 0, 0), (10, 10, 10))
    desk.session.set_roi(roi)
    desk.session.set_options(engine="onnx", device="cpu", refine=False, model_file=tmp_path / "own.npz")
    assert desk.session.label()
    request = desk.job.request
    assert (request.volume_node, request.roi_node, request.anchors) == (desk.ct, roi, ())
    assert (request.engine, request.device, request.refine) == ("onnx", "cpu", False)
    assert request.model_file == tmp_path / "own.npz"
    assert request.method == desk.session.options.method


@pytest.mark.parametrize("end", ["fail", "stop", "close", "refused"])
def test_a_run_without_a_result_leaves_the_scene_as_it_was(desk, end, monkeypatch):
    node = desk.label()
    desk.asked.answers = [True]
    node.SetNthControlPointLocked(2, True)
    before = scene_text(desk.scene)
    if end == "refused":
        monkeypatch.setattr(FakeJob, "start", lambda job: setattr(job, "state", "failed"))
    assert desk.session.label() is (end != "refused")
    if end == "fail":
        desk.job.fail("No vertebra was found.")
        desk.session.poll()
    elif end == "stop":
        desk.session.cancel()
        assert desk.session.stopping
        desk.job.stop()
        desk.session.poll()
    elif end == "close":
        desk.session.close()
    assert desk.job.is_closed
    assert not desk.session.is_running
    assert scene_text(desk.scene) == before
    assert desk.failures == (["No vertebra was found."] if end == "fail" else [])


def test_a_running_run_leaves_the_scene_as_it_was_and_is_told(desk):
    before, progress = scene_text(desk.scene), []
    desk.session.progressed.connect(lambda: progress.append(desk.session.stage))
    assert desk.session.label()
    desk.session.poll()
    desk.session.poll()
    assert scene_text(desk.scene) == before
    assert progress == ["Finding the spine"] * 2
    assert desk.session.is_running
    assert not desk.session.can_label


def test_a_second_run_is_refused_while_one_goes_on(desk):
    assert desk.session.label()
    assert not desk.session.label()
    assert len(FakeJob.made) == 1
    assert "wait" in desk.failures[0]


def test_without_a_volume_nothing_starts(desk):
    desk.session.set_input_volume(None)
    assert not desk.session.can_label
    assert not desk.session.label()
    assert desk.failures == ["No volume is chosen; choose a CT volume."]


def test_a_result_after_the_volume_was_removed_is_dropped(desk):
    assert desk.session.label()
    desk.scene.RemoveNode(desk.ct)
    before = scene_text(desk.scene)
    desk.job.finish(result())
    desk.session.poll()
    assert scene_text(desk.scene) == before
    assert "removed" in desk.failures[0]


def test_an_uncorrected_list_is_replaced_without_a_question(desk):
    node = desk.label()
    assert desk.label(("L1", "L2")) is node
    assert labels_of(node) == ["L1", "L2"]
    assert desk.asked.questions == []


def test_a_corrected_list_is_replaced_only_when_the_user_says_so(desk):
    node = desk.label()
    assert desk.session.shift(1)
    before = scene_text(desk.scene)
    desk.asked.answers = [False]
    assert not desk.session.label()
    assert scene_text(desk.scene) == before
    assert len(FakeJob.made) == 1
    assert desk.label() is node
    assert desk.labels == list(LUMBAR)
    assert len(desk.asked.questions) == 2
    assert "CT vertebrae" in desk.asked.questions[1]
    assert not is_corrected(node)
    assert not desk.session.can_undo


def test_points_of_the_users_own_are_replaced_only_when_the_user_says_so(desk):
    node = add_points(desk.scene, "L1", "L2")
    desk.session.set_points_node(node)
    desk.asked.answers = [False]
    assert not desk.session.label()
    assert labels_of(node) == ["L1", "L2"]


def test_an_empty_list_of_the_users_own_is_filled_and_styled(desk):
    node = add_points(desk.scene)
    desk.session.set_points_node(node)
    assert desk.label() is node
    assert node.GetDisplayNode().GetSliceProjection()
    assert volume_of(node) is desk.ct
    assert desk.asked.questions == []


def test_confirmed_points_are_offered_as_anchors(desk):
    node = desk.label()
    desk.session.confirm((1, 3))
    assert desk.session.label()
    assert len(desk.asked.questions) == 2
    assert "L1, L3" in desk.asked.questions[1]
    assert [point.label for point in desk.job.request.anchors] == ["L1", "L3"]
    ids = [point.key for point in read_column(node)]
    desk.job.finish(result(confirmed=("L1", "L3")))
    desk.session.poll()
    assert [point.locked for point in desk.session.column] == [False, True, False, True, False, False, False]
    assert [point.key for point in desk.session.column] == ids


def test_confirmed_points_are_no_anchors_when_the_user_says_no(desk):
    desk.label()
    desk.session.confirm((1,))
    desk.asked.answers = [True, False]
    assert desk.session.label()
    assert desk.job.request.anchors == ()


def test_anchors_of_one_name_are_refused_before_anything_starts(desk):
    node = desk.label()
    desk.session.confirm((1, 3))
    node.SetNthControlPointLabel(3, "L1")
    assert not desk.session.label()
    assert len(FakeJob.made) == 1
    assert "L1 occurs twice" in desk.failures[0]


@pytest.mark.parametrize("replace", [True, False])
def test_points_changed_during_the_run_are_replaced_only_when_the_user_says_so(desk, replace):
    node = desk.label()
    assert desk.session.label()
    drag(node, 0, (5.0, 5.0, 5.0))
    desk.asked.answers = [replace]
    desk.job.finish(result(("L1", "L2")))
    desk.session.poll()
    assert "changed while the run went on" in desk.asked.questions[0]
    assert desk.labels == ["L1", "L2"]
    assert (desk.session.points_node is node) is replace
    assert labels_of(node) == (["L1", "L2"] if replace else list(LUMBAR))


def test_a_list_removed_during_the_run_is_replaced_by_a_new_one(desk):
    node = desk.label()
    assert desk.session.label()
    desk.scene.RemoveNode(node)
    desk.job.finish(result())
    desk.session.poll()
    assert desk.session.points_node is not None
    assert desk.session.points_node is not node
    assert desk.labels == list(LUMBAR)


def test_a_result_does_not_take_the_panel_from_another_volume(desk):
    other = add_volume(desk.scene, name="Other")
    assert desk.session.label()
    desk.session.set_input_volume(other)
    desk.job.finish(result())
    desk.session.poll()
    assert desk.session.input_volume is other
    assert desk.session.points_node is None
    desk.session.set_input_volume(desk.ct)
    assert desk.labels == list(LUMBAR)


def test_notes_on_the_scan_are_told_with_the_result(desk):
    desk.label(notes=["Gaps between slices are unequal."], remarks=["12 thoracic vertebrae."])
    assert desk.session.summary_lines[1:] == ("12 thoracic vertebrae.", "Gaps between slices are unequal.")


def test_a_question_at_the_end_of_a_run_does_not_end_it_twice(desk):
    """A message box lets timers run: the session is polled while the result waits for the answer."""
    node = desk.label()
    assert desk.session.label()
    node.SetNthControlPointLabel(0, "T13")
    questions = []

    def ask(question):
        questions.append(question)
        desk.session.poll()
        return True

    desk.session._ask = ask
    desk.job.finish(result())
    desk.session.poll()
    assert len(questions) == 1
    assert desk.labels == list(LUMBAR)


def test_refining_moves_the_points_as_one_step(desk):
    desk.label()
    ct, start = desk.ct, desk.session.column
    desk.session.set_options(engine="onnx", device="cpu")
    assert desk.session.refine((1, 2))
    assert desk.job.arguments == (ct, start, (1, 2), "onnx", "cpu")
    moved = result(("L1", "L2"))
    moved["points"][0]["position_lps_mm"] = [9.0, 9.0, -34.0]
    desk.job.finish({"points": moved["points"]})
    desk.session.poll()
    assert desk.session.column[1].position_lps_mm == (9.0, 9.0, -34.0)
    assert [p.label for p in desk.session.column] == list(LUMBAR)
    assert desk.session.undo_text == "refine L1, L2"
    assert desk.session.undo()
    assert desk.session.column == start


def test_a_refined_point_is_no_longer_where_the_hand_put_it(desk):
    node = desk.label()
    node.SetNthControlPointDescription(1, "p=0.90; next to the border")
    drag(node, 1, (0.0, 0.0, -30.0))
    assert desk.session.column[1].remark == "next to the border; moved by hand"
    assert desk.session.refine((1,))
    desk.job.finish({"points": result(("L1",))["points"]})
    desk.session.poll()
    assert desk.session.column[1].remark == "next to the border"


def test_a_refinement_of_points_changed_meanwhile_is_dropped(desk):
    node = desk.label()
    assert desk.session.refine((1,))
    drag(node, 1, (0.0, 0.0, -30.0))
    column = desk.session.column
    desk.job.finish({"points": result(("L1",))["points"]})
    desk.session.poll()
    assert desk.session.column == column
    assert "changed during the refinement" in desk.failures[0]


def test_confirmed_points_are_refined_only_when_the_user_says_so(desk):
    desk.label()
    desk.session.confirm((1,))
    desk.asked.answers = [False, True]
    assert not desk.session.refine((1, 2))
    assert desk.session.refine((1, 2))
    assert desk.asked.questions[0].startswith("L1:")


def test_a_point_without_a_level_cannot_be_refined(desk):
    node = desk.label()
    node.SetNthControlPointLabel(1, "F-1")
    assert not desk.session.refine((1,))
    assert "'F-1' is no level" in desk.failures[0]


def test_nothing_runs_without_an_engine(desk, monkeypatch):
    from VertebraLabelingLib.app import installed

    desk.session.close()
    nothing = installed.DependencyState((installed.Package("torch"),), (), False)
    monkeypatch.setattr(installed, "state", lambda: nothing)
    session = desk.open(make_job=LabelJob)
    assert "install PyTorch or ONNX Runtime" in session.refusal
    assert not session.label()
    session.close()
