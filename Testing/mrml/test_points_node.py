"""The named points in a real Markups node: read, written in place, and whether a user has corrected them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import slicer
from VertebraLabelingLib.app.points_node import (
    column_index,
    control_point_index,
    create_points_node,
    is_corrected,
    mark_written,
    read_column,
    style,
    write_column,
)
from VertebraLabelingLib.core.correction.column import ColumnPoint
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.core.formats import read_points, write_points
from VertebraLabelingLib.core.labelling import Labelling

COLUMN = (
    ColumnPoint("T12", (1.25, -20.5, 300.0), 0.97),
    ColumnPoint("L1", (2.0, -21.0, 270.125), 0.31, "could be T13"),
    ColumnPoint("L2", (2.5, -22.0, 238.0), 0.9),
    ColumnPoint("L3", (3.0, -23.0, 205.0), 0.88),
)
POINT_EVENTS = ("PointAddedEvent", "PointModifiedEvent", "PointRemovedEvent", "PointPositionDefinedEvent")


@pytest.fixture
def node(scene):
    node = create_points_node(scene, "Vertebrae")
    write_column(node, COLUMN)
    mark_written(node)
    return node


def labels(node):
    return [point.label for point in read_column(node)]


def keys(node):
    return [point.key for point in read_column(node)]


def without_keys(column):
    return tuple(replace(point, key="") for point in column)


def with_point(column, index, **changes):
    return (*column[:index], replace(column[index], **changes), *column[index + 1 :])


def saved_and_loaded(node, folder):
    """The node after saving scene and points and loading both into another scene."""
    scene = node.GetScene()
    storage = node.CreateDefaultStorageNode()
    scene.AddNode(storage)
    storage.UnRegister(None)
    node.SetAndObserveStorageNodeID(storage.GetID())
    storage.SetFileName(str(folder / "points.mrk.json"))
    assert storage.WriteData(node)
    scene.SetURL(str(folder / "scene.mrml"))
    assert scene.Commit()
    other = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerMarkupsLogic()  # registers the node classes
    logic.SetMRMLScene(other)
    other.SetURL(str(folder / "scene.mrml"))
    assert other.Import()
    loaded = other.GetFirstNodeByName(node.GetName())
    # the scenes must outlive the node
    loaded.test_owner = (other, logic)
    return loaded


def test_written_points_are_read_back(node):
    assert without_keys(read_column(node)) == COLUMN


def test_positions_in_the_node_are_ras(node):
    assert node.GetNthControlPointPosition(0) == (-1.25, 20.5, 300.0)


def test_uncertain_points_are_unselected_unless_locked(node):
    assert [node.GetNthControlPointSelected(i) for i in range(4)] == [True, False, True, True]
    write_column(node, with_point(read_column(node), 1, locked=True))
    assert node.GetNthControlPointSelected(1)
    assert node.GetNthControlPointLocked(1)


def test_a_probability_that_is_shown_as_sure_is_sure_from_the_first_moment(node):
    """0.496 is written as 0.50: the colour must not change with the next, unrelated write."""
    write_column(node, with_point(read_column(node), 0, probability=0.496))
    before = node.GetNthControlPointSelected(0)
    write_column(node, read_column(node))
    assert node.GetNthControlPointSelected(0) == before == (not read_column(node)[0].is_uncertain)


def test_renaming_keeps_ids_and_everything_else_of_a_point(node):
    before = keys(node)
    node.SetNthControlPointVisibility(2, False)
    node.SetNthControlPointAssociatedNodeID(2, "vtkMRMLScalarVolumeNode1")
    column = read_column(node)
    write_column(node, tuple(replace(p, label=name) for p, name in zip(column, ("L1", "L2", "L3", "L4"), strict=True)))
    assert labels(node) == ["L1", "L2", "L3", "L4"]
    assert keys(node) == before
    assert not node.GetNthControlPointVisibility(2)
    assert node.GetNthControlPointAssociatedNodeID(2) == "vtkMRMLScalarVolumeNode1"


def test_a_new_point_is_inserted_where_the_column_has_it(node):
    column = read_column(node)
    new = ColumnPoint("T13", (1.6, -20.7, 285.0), 0.5, "inserted")
    write_column(node, (column[0], new, *column[1:]))
    assert labels(node) == ["T12", "T13", "L1", "L2", "L3"]
    assert keys(node)[:1] + keys(node)[2:] == [point.key for point in column]
    assert without_keys(read_column(node))[1] == new
    first = ColumnPoint("T11", (1.0, -20.0, 330.0))
    last = ColumnPoint("L4", (3.5, -24.0, 171.0))
    write_column(node, (first, *read_column(node), last))
    assert labels(node) == ["T11", "T12", "T13", "L1", "L2", "L3", "L4"]


def test_a_dropped_point_is_removed_and_comes_back_in_its_place(node):
    before = read_column(node)
    write_column(node, (before[0], *before[2:]))
    assert labels(node) == ["T12", "L2", "L3"]
    assert keys(node) == [before[0].key, before[2].key, before[3].key]
    write_column(node, before)
    assert without_keys(read_column(node)) == COLUMN
    restored = keys(node)
    write_column(node, before)
    assert keys(node) == restored, "the point whose old key is lost goes on by its label"


def test_a_column_in_another_order_is_followed_without_new_points(node):
    column = read_column(node)
    write_column(node, (column[3], column[0], column[2], column[1]))
    assert read_column(node) == (column[3], column[0], column[2], column[1])


def test_an_empty_column_empties_the_node(node):
    write_column(node, ())
    assert node.GetNumberOfControlPoints() == 0


def test_points_that_are_not_placed_are_no_part_of_the_column_and_stay(node):
    node.UnsetNthControlPointPosition(1)
    node.AddControlPoint([0.0, 0.0, 0.0], "preview")
    node.SetNthControlPointPosition(4, 0.0, 0.0, 0.0, node.PositionPreview)
    assert labels(node) == ["T12", "L2", "L3"]
    assert [column_index(node, i) for i in range(5)] == [0, None, 1, 2, None]
    assert [control_point_index(node, i) for i in range(3)] == [0, 2, 3]
    with pytest.raises(IndexError):
        control_point_index(node, 3)
    column = read_column(node)
    write_column(node, (*column[1:], ColumnPoint("L4", (3.5, -24.0, 171.0))))
    assert labels(node) == ["L2", "L3", "L4"]
    count = node.GetNumberOfControlPoints()
    assert [node.GetNthControlPointLabel(i) for i in range(count)] == ["L1", "L2", "L3", "L4", "preview"]


def test_one_event_of_each_kind_and_none_for_nothing(node):
    events = []
    for name in POINT_EVENTS:
        node.AddObserver(getattr(node, name), lambda caller, event, name=name: events.append(name))
    node.AddObserver("ModifiedEvent", lambda caller, event: events.append("ModifiedEvent"))
    column = read_column(node)
    write_column(node, column)
    assert events == []
    renamed = tuple(replace(p, label=name, locked=True) for p, name in zip(column, ("L1", "L2", "L3"), strict=False))
    write_column(node, (*renamed, ColumnPoint("L4", (9.0, 9.0, 9.0)), ColumnPoint("L5", (9.0, 9.0, -20.0))))
    assert len(events) == len(set(events))
    assert {"PointAddedEvent", "PointModifiedEvent"} <= set(events)


def test_a_users_own_description_survives(node):
    node.SetNthControlPointDescription(0, "fractured, see report")
    node.SetNthControlPointDescription(2, "p=0.90; wedge; 20 %")
    node.SetNthControlPointDescription(3, "")
    column = read_column(node)
    assert (column[0].probability, column[0].remark) == (1.0, "fractured, see report")
    write_column(node, tuple(replace(p, label=n) for p, n in zip(column, ("L1", "L2", "L3", "L4"), strict=True)))
    texts = [node.GetNthControlPointDescription(i) for i in range(4)]
    assert texts == ["fractured, see report", "p=0.31; could be T13", "p=0.90; wedge; 20 %", ""]


def test_a_fixed_number_of_points_is_respected(node):
    node.SetFixedNumberOfControlPoints(True)
    column = read_column(node)
    write_column(node, with_point(column, 0, label="T11"))
    assert labels(node)[0] == "T11"
    for changed in (column[1:], (*column, ColumnPoint("L4", (3.5, -24.0, 171.0)))):
        with pytest.raises(UsageError, match="Vertebrae"):
            write_column(node, changed)
    assert labels(node) == ["T11", "L1", "L2", "L3"]


def test_written_points_are_not_corrected(node):
    assert not is_corrected(node)


@pytest.mark.parametrize(
    "correct",
    [
        lambda node: node.SetNthControlPointPosition(1, -2.0, 21.05, 270.125),
        lambda node: node.SetNthControlPointLabel(0, "T11"),
        lambda node: node.SetNthControlPointLocked(2, True),
        lambda node: node.SetNthControlPointDescription(2, "p=0.90; look again"),
        lambda node: node.RemoveNthControlPoint(3),
        lambda node: node.RemoveAllControlPoints(),
        lambda node: node.AddControlPoint([0.0, 0.0, 0.0], "L4"),
        lambda node: node.InsertControlPoint(0, [-1.25, 20.5, 300.0], "T12"),
        lambda node: node.UnsetNthControlPointPosition(0),
    ],
    ids=["moved", "renamed", "locked", "remark", "deleted", "all deleted", "added", "doubled", "unset"],
)
def test_every_correction_is_seen(node, correct):
    correct(node)
    assert is_corrected(node)
    mark_written(node)
    assert not is_corrected(node)


def test_what_only_concerns_the_display_is_no_correction(node, scene):
    display = node.GetDisplayNode()
    display.SetColor(1.0, 0.0, 0.0)
    display.SetGlyphScale(9.0)
    display.SetVisibility(False)
    display.SetActiveControlPoint(1)
    node.SetName("Patient 3")
    node.SetLocked(True)
    node.SetNthControlPointSelected(0, False)
    node.SetNthControlPointVisibility(1, False)
    node.SwapControlPoints(0, 3)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    node.AddControlPoint([0.0, 0.0, 0.0], "preview")
    node.SetNthControlPointPosition(4, 0.0, 0.0, 0.0, node.PositionPreview)
    assert not is_corrected(node)


def test_points_that_no_labelling_wrote_are_the_users(scene):
    node = create_points_node(scene, "By hand")
    assert not is_corrected(node)
    node.AddControlPoint([0.0, 0.0, 0.0], "L1")
    assert is_corrected(node)


def test_the_memory_survives_saving_and_loading(node, tmp_path):
    write_column(
        node, with_point(read_column(node), 0, position_lps_mm=(1 / 3, -2e-7, 1234.56789012), remark='ä "q"; %3B:&<>')
    )
    mark_written(node)
    loaded = saved_and_loaded(node, tmp_path)
    assert len(read_column(loaded)) == 4
    assert not is_corrected(loaded)
    loaded.SetNthControlPointLabel(0, "T11")
    assert is_corrected(loaded)


def test_a_correction_is_still_seen_after_saving_and_loading(node, tmp_path):
    node.SetNthControlPointLocked(0, True)
    assert is_corrected(saved_and_loaded(node, tmp_path))


def test_points_inside_bone_are_visible_and_uncertain_ones_stand_out(node):
    display = node.GetDisplayNode()
    assert display.GetSliceProjection()
    assert display.GetOccludedVisibility()
    assert display.GetPointLabelsVisibility()
    assert display.GetSnapMode() == display.SnapModeUnconstrained
    assert display.GetColor() != display.GetSelectedColor()
    display.SetVisibility(False)
    style(node)
    assert node.GetNumberOfDisplayNodes() == 1
    assert not display.GetVisibility(), "what the user hid stays hidden"


def test_names_of_nodes_are_unique(node, scene):
    assert create_points_node(scene, "Vertebrae").GetName() != node.GetName()


def test_slicers_file_of_the_node_is_the_one_that_the_command_line_writes(node, tmp_path):
    """Points and display: a list looks the same whether the module or the command line made it."""
    storage = slicer.vtkMRMLMarkupsJsonStorageNode()
    storage.SetFileName(str(tmp_path / "slicer.mrk.json"))
    assert storage.WriteData(node)
    points = read_points(tmp_path / "slicer.mrk.json")
    assert [point.level.name for point in points] == labels(node)
    assert [point.position_lps_mm for point in points] == [point.position_lps_mm for point in COLUMN]
    write_points(tmp_path / "ours.mrk.json", Labelling(points))
    slicers, ours = (json.loads((tmp_path / f"{name}.mrk.json").read_text()) for name in ("slicer", "ours"))
    assert slicers["markups"][0]["display"] == ours["markups"][0]["display"]
    assert slicers["markups"][0]["controlPoints"] == ours["markups"][0]["controlPoints"]
