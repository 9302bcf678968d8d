"""The scene around the session: other nodes chosen, nodes removed, scenes closed, saved and loaded."""

from __future__ import annotations

import pytest
import slicer
from scenes import add_volume
from session_support import LUMBAR, add_points, desk, labels_of, result, scene_text, unsure
from VertebraLabelingLib.app.placement import volume_of
from VertebraLabelingLib.app.state import result_of

__all__ = ["desk"]


@pytest.fixture
def node(desk):
    return desk.label()


def test_a_volume_that_was_labelled_shows_its_points(desk, node):
    other = add_volume(desk.scene, name="Other")
    desk.session.set_input_volume(other)
    assert desk.session.points_node is None
    assert desk.session.column == ()
    desk.label(("L1", "L2"))
    assert volume_of(desk.session.points_node) is other
    desk.session.set_input_volume(desk.ct)
    assert desk.session.points_node is node
    desk.session.set_input_volume(other)
    assert desk.labels == ["L1", "L2"]


def test_points_show_the_volume_that_they_were_made_from(desk, node):
    desk.session.set_input_volume(add_volume(desk.scene, name="Other"))
    desk.session.set_points_node(node)
    assert desk.session.input_volume is desk.ct


def test_points_of_the_users_own_go_with_any_volume(desk):
    own = add_points(desk.scene, "L1")
    other = add_volume(desk.scene, name="Other")
    desk.session.set_points_node(own)
    assert desk.session.input_volume is desk.ct
    desk.session.set_input_volume(other)
    assert desk.session.points_node is own


def test_other_points_begin_without_a_history(desk, node):
    desk.session.shift(1)
    desk.session.select(2)
    desk.session.set_points_node(add_points(desk.scene, "L1"))
    assert not desk.session.can_undo
    assert desk.session.selected is None
    desk.session.set_points_node(node)
    assert not desk.session.can_undo
    assert desk.labels[0] == "L1"


def test_choosing_is_told_once(desk, node):
    desk.changes = 0
    desk.session.set_input_volume(add_volume(desk.scene, name="Other"))
    assert desk.changes == 1


def test_no_list_chosen_means_a_new_one(desk, node):
    desk.session.set_points_node(None)
    assert desk.session.column == ()
    assert desk.session.summary_lines == ()
    new = desk.label()
    assert new is not node
    assert labels_of(node) == list(LUMBAR)


def test_a_removed_list_is_not_shown_any_more(desk, node):
    desk.session.shift(1)
    desk.scene.RemoveNode(node)
    assert desk.session.points_node is None
    assert desk.session.column == ()
    assert not desk.session.can_undo
    assert desk.label() is not None


def test_a_removed_volume_leaves_the_points(desk, node):
    desk.scene.RemoveNode(desk.ct)
    assert desk.session.input_volume is None
    assert desk.session.points_node is node
    assert desk.session.shift(1)
    assert not desk.session.can_label


def test_a_scene_closed_during_a_run_ends_it(desk):
    assert desk.session.label()
    job = desk.job
    job.finish(result())
    desk.scene.Clear()
    assert job.is_closed
    assert not desk.session.is_running
    desk.session.poll()
    assert desk.session.points_node is None
    assert desk.scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0
    assert desk.failures == []


def test_a_closed_scene_shows_nothing_and_works_again(desk, node):
    desk.session.shift(1)
    desk.scene.Clear()
    assert desk.session.column == ()
    assert desk.session.input_volume is None
    assert not desk.session.can_undo
    desk.session.set_input_volume(add_volume(desk.scene, name="Next"))
    assert desk.label(("C1", "C2")) is not None
    assert desk.labels == ["C1", "C2"]


def test_a_saved_scene_is_picked_up(desk, tmp_path):
    """Points, what the run said and the alternative come back with the scene; the history does not."""
    desk.session.label()
    desk.job.finish(unsure())
    desk.session.poll()
    desk.session.confirm((2,))
    said, key = desk.session.summary_lines, desk.session.column[0].key
    save(desk.scene, tmp_path)
    desk.scene.Clear()
    assert desk.session.column == ()
    load(desk.scene, tmp_path)
    session = desk.session
    assert [point.label for point in session.column] == list(LUMBAR)
    assert session.column[2].locked
    assert session.column[0].key == key
    assert session.input_volume.GetName() == "CT"
    assert session.summary_lines == said
    assert not session.can_undo
    assert [offer.text for offer in session.alternatives] == ["1 level lower (18%)"]
    desk.asked.answers = [True]
    assert session.apply_alternative(0)
    assert desk.labels == ["L1", "L2", "L3", "L4", "L5", "S1", "S2"]
    assert session.undo()
    assert desk.labels == list(LUMBAR)


def test_alternatives_of_a_saved_scene_do_not_fit_other_points(desk, tmp_path):
    desk.session.label()
    desk.job.finish(unsure())
    desk.session.poll()
    desk.session.delete((0,))
    save(desk.scene, tmp_path)
    desk.scene.Clear()
    load(desk.scene, tmp_path)
    assert len(desk.session.column) == 6
    assert desk.session.alternatives == ()


def test_a_point_that_came_back_is_the_same_in_a_saved_scene(desk, tmp_path):
    """Undoing a deletion gives the point a new id, which the result must know when the scene is loaded again."""
    desk.session.label()
    desk.job.finish(unsure())
    desk.session.poll()
    desk.session.delete((0,))
    desk.session.undo()
    save(desk.scene, tmp_path)
    desk.scene.Clear()
    load(desk.scene, tmp_path)
    assert len(desk.session.alternatives) == 1


def save(scene, folder):
    """As Slicer does: one file for the points, one for the scene."""
    for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode", scene):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(folder / f"{node.GetName()}.mrk.json"))
        assert node.GetStorageNode().WriteData(node) == 1
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", scene):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(folder / f"{node.GetName()}.nrrd"))
        assert node.GetStorageNode().WriteData(node) == 1
    scene.SetSaveToXMLString(0)
    scene.SetURL(str(folder / "scene.mrml"))
    scene.SetRootDirectory(str(folder))
    assert scene.Commit()


def load(scene, folder):
    scene.SetURL(str(folder / "scene.mrml"))
    assert scene.Connect()


def test_a_session_opened_on_a_scene_with_a_labelling_shows_it(desk, node):
    desk.session.close()
    before = scene_text(desk.scene)
    session = desk.open()
    assert session.points_node is node
    assert session.summary_lines[0].startswith("T12-S1, 7 vertebrae")
    assert scene_text(desk.scene) == before
    session.close()


def test_two_sessions_of_one_scene_show_the_same(desk, node):
    """As when a script labels while the panel is open."""
    other = desk.open()
    other.set_points_node(None)
    assert desk.session.points_node is None
    other.set_points_node(node)
    assert other.shift(1)
    assert desk.session.column == other.column
    assert desk.session.undo()
    assert labels_of(node) == list(LUMBAR)
    assert other.can_undo
    other.close()


def test_options_are_kept_where_they_belong(desk, tmp_path):
    desk.session.set_options(method="integral-regression", refine=True, engine="onnx", device="cpu")
    desk.session.set_options(model_file=tmp_path / "own.npz")
    other = desk.open()
    assert (other.options.method, other.options.refine) == ("integral-regression", True)
    assert (other.options.engine, other.options.device, other.options.model_file) == ("auto", "auto", None)
    assert desk.session.options.engine == "onnx"
    assert desk.session.options.model_file == tmp_path / "own.npz"
    assert "own.npz" not in scene_text(desk.scene)[0]
    other.close()


def test_the_result_stays_with_its_points(desk, node):
    assert result_of(node).levels == LUMBAR
    desk.session.shift(1)
    assert result_of(node).levels == LUMBAR
