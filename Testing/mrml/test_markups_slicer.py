"""Our .mrk.json in Slicer's own storage code, and Slicer's own files in our readers (needs slicer-core)."""

from __future__ import annotations

import json

import pytest
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.formats import read_points, write_points
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed (pip install '.[slicer]')")
if not hasattr(slicer, "vtkMRMLMarkupsFiducialNode"):
    pytest.skip("slicer-core is not installed (Testing/slicer is not it)", allow_module_level=True)

POINTS = (
    LabelledPoint(Level.T12, (1.25, -20.5, 300.0), 0.97),
    LabelledPoint(Level.L1, (2.0, -21.0, 270.125), 0.31, "could be T13"),
)


@pytest.fixture
def logic_scene():
    """Slicer's Markups logic and its scene (without a selection node it logs errors that do not matter here)."""
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerMarkupsLogic()
    logic.SetMRMLScene(scene)
    return logic, scene


def _node(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.CreateDefaultDisplayNodes()
    storage = node.CreateDefaultStorageNode()
    scene.AddNode(storage)
    node.SetAndObserveStorageNodeID(storage.GetID())
    return node, storage


@pytest.fixture
def loaded(tmp_path, logic_scene):
    """The fiducial node that Slicer makes of our file, as when a user drops the file on it."""
    path = tmp_path / "ours.mrk.json"
    write_points(path, Labelling(POINTS))
    logic, scene = logic_scene
    return scene.GetNodeByID(logic.LoadMarkups(str(path), "ours"))


def test_slicer_reads_labels_and_descriptions(loaded):
    assert [loaded.GetNthControlPointLabel(i) for i in range(loaded.GetNumberOfControlPoints())] == ["T12", "L1"]
    assert loaded.GetNthControlPointDescription(0) == "p=0.97"
    assert loaded.GetNthControlPointDescription(1) == "p=0.31; could be T13"


def test_slicer_reads_positions_as_ras(loaded):
    assert loaded.GetNthControlPointPosition(0) == (-1.25, 20.5, 300.0)
    assert loaded.GetNthControlPointPosition(1) == (-2.0, 21.0, 270.125)


def test_slicer_reads_states(loaded):
    assert [loaded.GetNthControlPointSelected(i) for i in range(2)] == [True, False]
    assert not any(loaded.GetNthControlPointLocked(i) for i in range(2))
    assert not loaded.GetLocked()
    assert loaded.GetNthControlPointPositionStatus(0) == loaded.PositionDefined


def test_slicer_reads_display_choices(loaded):
    display = loaded.GetDisplayNode()
    assert display.GetSnapMode() == display.SnapModeUnconstrained
    assert display.GetSliceProjection()
    assert display.GetPointLabelsVisibility()


def test_our_file_has_the_keys_and_default_values_of_slicers_own(loaded, tmp_path):
    """Slicer writes the node it read from us: same keys in the same order, same values, newer schema number aside."""
    rewritten = tmp_path / "slicer.mrk.json"
    loaded.GetStorageNode().SetFileName(str(rewritten))
    assert loaded.GetStorageNode().WriteData(loaded) == 1
    ours, theirs = (json.loads((tmp_path / name).read_text()) for name in ("ours.mrk.json", "slicer.mrk.json"))
    assert ours["markups"] == theirs["markups"]
    assert list(ours["markups"][0]) == list(theirs["markups"][0])
    assert list(ours["markups"][0]["display"]) == list(theirs["markups"][0]["display"])
    assert list(ours["markups"][0]["controlPoints"][0]) == list(theirs["markups"][0]["controlPoints"][0])


def test_we_read_what_slicer_writes(logic_scene, tmp_path):
    """Slicer's own json and csv of one list; a point that was never placed is skipped."""
    logic, scene = logic_scene
    node, storage = _node(scene)
    node.AddControlPoint([-1.25, 20.5, 300.0], "T12")
    node.AddControlPoint([-2.0, 21.0, 270.125], "L1")
    node.SetNthControlPointDescription(1, "p=0.31; could, or not")
    node.AddControlPoint([0.0, 0.0, 0.0], "F-3")
    node.UnsetNthControlPointPosition(2)
    storage.SetFileName(str(tmp_path / "slicer.mrk.json"))
    assert storage.WriteData(node) == 1
    assert logic.ExportControlPointsToCSV(node, str(tmp_path / "lps.csv"), True)
    assert logic.ExportControlPointsToCSV(node, str(tmp_path / "ras.csv"), False)
    places = [point.position_lps_mm for point in POINTS]
    for name in ("slicer.mrk.json", "lps.csv", "ras.csv"):
        points = read_points(tmp_path / name)
        assert [point.level for point in points] == [Level.T12, Level.L1], name
        assert [point.position_lps_mm for point in points] == places, name
        assert (points[1].probability, points[1].remark) == (0.31, "could, or not"), name
