"""What the module keeps in the scene: typed, with defaults, and still there after saving and loading."""

from __future__ import annotations

from dataclasses import replace

import pytest
import slicer
from mrml import scenes
from VertebraLabelingLib.app.points_node import create_points_node, read_column, write_column
from VertebraLabelingLib.app.state import AlternativeInfo, ModuleState, ResultInfo, result_of, set_result
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.correction.column import ColumnPoint
from VertebraLabelingLib.core.labelling import Alternative, LabelledPoint, Labelling
from VertebraLabelingLib.methods.registry import DEFAULT_METHOD
from VertebraLabelingLib.record import labelling_values

INFO = ResultInfo(
    summary="L1-L2, 2 vertebrae, level unsure",
    level_certain=False,
    anchors=("S1",),
    remarks=('a "remark"; with %3B : & <signs> and ü',),
    alternatives=(AlternativeInfo(("L2", None), 1, 0.18, "1 level lower (18%)"),),
    weights_sha256={"sites": "ab" * 32},
    keys=("1", "2"),
)


@pytest.fixture
def state(scene):
    return ModuleState(scene)


def loaded_again(scene, folder):
    """Another scene with what was saved of this one."""
    scene.SetURL(str(folder / "scene.mrml"))
    assert scene.Commit()
    other = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerMarkupsLogic()
    logic.SetMRMLScene(other)
    other.SetURL(str(folder / "scene.mrml"))
    assert other.Import()
    return other


def test_an_empty_scene_gives_the_defaults(state):
    assert state.method == DEFAULT_METHOD
    assert state.refine is None
    assert [state.input_volume, state.roi, state.points, state.curve] == [None] * 4


def test_choices_keep_their_type(state):
    state.method = "integral-regression"
    assert state.method == "integral-regression"
    for chosen in (True, False, None):
        state.refine = chosen
        assert state.refine is chosen


def test_unknown_values_give_the_defaults(state):
    state.node.SetParameter("Method", "of-a-later-version")
    state.node.SetParameter("Refine", "perhaps")
    assert state.method == DEFAULT_METHOD
    assert state.refine is None


def test_two_accessors_share_one_node_of_the_scene(scene, state):
    state.method = "integral-regression"
    assert ModuleState(scene).method == "integral-regression"
    assert ModuleState(scene).node is state.node
    assert scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode") == 1


def test_the_node_is_the_one_that_slicers_own_logic_looks_for(state):
    """ScriptedLoadableModuleLogic looks for class, singleton tag and this attribute."""
    node = state.node
    assert node.GetClassName() == "vtkMRMLScriptedModuleNode"
    assert (node.GetSingletonTag(), node.GetModuleName()) == ("VertebraLabeling", "VertebraLabeling")
    assert node.GetAttribute("ModuleName") == "VertebraLabeling"


def test_a_change_is_observable_and_a_repetition_is_silent(scene, state):
    events = []
    volume = scenes.add_volume(scene)
    state.node.AddObserver("ModifiedEvent", lambda caller, event: events.append("modified"))
    state.refine = True
    state.input_volume = volume
    count = len(events)
    assert count >= 2
    state.refine = True
    state.input_volume = volume
    assert len(events) == count


def test_references_follow_the_scene(scene, state):
    volume = scenes.add_volume(scene)
    state.input_volume = volume
    assert state.input_volume is volume
    scene.RemoveNode(volume)
    assert state.input_volume is None
    points = create_points_node(scene, "Vertebrae")
    state.points = points
    state.points = None
    assert state.points is None
    assert scene.GetNodeByID(points.GetID()) is points


def test_closing_the_scene_forgets_everything(scene, state):
    state.method = "integral-regression"
    state.input_volume = scenes.add_volume(scene)
    scene.Clear(False)
    assert state.method == DEFAULT_METHOD
    assert state.input_volume is None
    scene.Clear(True)
    state.refine = True
    assert ModuleState(scene).refine is True


def test_everything_survives_saving_and_loading(scene, state, tmp_path):
    state.method = "integral-regression"
    state.refine = False
    state.roi = scenes.add_roi(scene, (0, 0, 0), (10, 10, 10))
    state.points = create_points_node(scene, "Vertebrae")
    state.curve = scene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode", "Curve")
    set_result(state.points, INFO)
    other = loaded_again(scene, tmp_path)
    loaded = ModuleState(other)
    assert loaded.method == "integral-regression"
    assert loaded.refine is False
    assert (loaded.roi.GetName(), loaded.points.GetName(), loaded.curve.GetName()) == ("Spine", "Vertebrae", "Curve")
    assert loaded.points is other.GetFirstNodeByName("Vertebrae")
    assert result_of(loaded.points) == INFO
    assert loaded.input_volume is None


def test_no_fact_of_the_machine_is_in_the_scene(state):
    state.method = "sites"
    state.refine = True
    assert set(state.node.GetParameterNames()) == {"Method", "Refine"}


def test_a_result_belongs_to_its_points(scene):
    first, second = (create_points_node(scene, name) for name in ("First", "Second"))
    set_result(first, INFO)
    assert result_of(second) is None
    set_result(second, replace(INFO, levels=("T12",)))
    assert result_of(first) == INFO
    set_result(first, None)
    assert result_of(first) is None
    assert result_of(second).levels == ("T12",)


@pytest.mark.parametrize("text", ["", "{", "5", "[]", '{"summary": "x"}', '{"summary": "x", "later": 1}'])
def test_a_result_of_another_version_is_no_result(scene, text):
    node = create_points_node(scene, "Vertebrae")
    node.SetAttribute("VertebraLabeling.Result", text)
    assert result_of(node) is None


def test_the_event_of_the_child_process_becomes_a_result(scene):
    """Made by the function that makes the event; the names of an alternative fit the written points."""
    other = Alternative((Level.T13, None), 1, 0.184)
    points = (LabelledPoint(Level.L1, (0.0, 0.0, 0.0)), LabelledPoint(Level.L2, (0.0, 0.0, -30.0)))
    labelling = Labelling(points, (other,), (Level.S1,), False, ("a remark",))
    node = create_points_node(scene, "Vertebrae")
    write_column(node, tuple(ColumnPoint(p.level.name, p.position_lps_mm) for p in points))
    keys = [point.key for point in read_column(node)]
    info = ResultInfo.from_event(labelling_values(labelling), keys)
    assert info.summary == labelling.summary()
    assert (info.level_certain, info.anchors, info.remarks) == (False, ("S1",), ("a remark",))
    assert info.alternatives == (AlternativeInfo(("T13", None), 1, 0.184, other.describe()),)
    assert info.keys == tuple(keys)
    set_result(node, info)
    assert result_of(node) == info
