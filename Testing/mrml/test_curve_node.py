"""The spine curve: through the centroids, coloured by region, in the place of the points."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from mrml import scenes
from VertebraLabelingLib.app.curve_node import update_curve
from VertebraLabelingLib.app.placement import place_beside
from VertebraLabelingLib.app.points_node import create_points_node, read_column, write_column
from VertebraLabelingLib.core.anatomy import REGION_COLOURS, Region
from VertebraLabelingLib.core.correction.column import ColumnPoint

COLUMN = (
    ColumnPoint("T12", (0.0, -20.0, 300.0)),
    ColumnPoint("L1", (3.0, -24.0, 270.0)),
    ColumnPoint("L2", (5.0, -28.0, 238.0)),
    ColumnPoint("S1", (6.0, -30.0, 205.0)),
)


@pytest.fixture
def points(scene):
    node = create_points_node(scene, "Vertebrae")
    write_column(node, COLUMN)
    return node


def labels(node):
    return [node.GetNthControlPointLabel(i) for i in range(node.GetNumberOfControlPoints())]


def region_numbers(curve):
    values = curve.GetMeasurement("region").GetControlPointValues()
    return [values.GetValue(i) for i in range(values.GetNumberOfValues())]


def distance_mm(curve, point_ras):
    """Of a world place to the curve that is drawn."""
    places = np.array(
        [curve.GetCurvePointsWorld().GetPoint(i) for i in range(curve.GetCurvePointsWorld().GetNumberOfPoints())]
    )
    return np.linalg.norm(places - point_ras, axis=1).min()


def test_the_curve_runs_through_the_centroids(scene, points):
    curve = update_curve(scene, points)
    assert curve.GetClassName() == "vtkMRMLMarkupsCurveNode"
    assert labels(curve) == ["T12", "L1", "L2", "S1"]
    for index in range(4):
        assert distance_mm(curve, points.GetNthControlPointPositionWorld(index)) < 1e-4
    straight = sum(np.linalg.norm(np.subtract(a.position_lps_mm, b.position_lps_mm)) for a, b in pairwise(COLUMN))
    assert straight <= curve.GetCurveLengthWorld() < 1.02 * straight


def test_its_name_says_whose_it_is_and_it_cannot_be_dragged(scene, points):
    curve = update_curve(scene, points)
    assert curve.GetName() == "Vertebrae spine curve"
    assert curve.GetLocked()
    assert not curve.GetDisplayNode().GetPointLabelsVisibility()
    assert not any(curve.GetNthControlPointVisibility(i) for i in range(4))


def test_it_runs_down_the_column_whatever_the_order_of_the_points(scene, points):
    column = read_column(points)
    write_column(points, (column[2], column[0], replace(column[1], label="old fracture"), column[3]))
    curve = update_curve(scene, points)
    assert labels(curve) == ["T12", "old fracture", "L2", "S1"]
    assert region_numbers(curve) == [1.0, 1.0, 2.0, 3.0]


def test_it_follows_a_correction_in_place(scene, points):
    curve = update_curve(scene, points)
    ids = [curve.GetNthControlPointID(i) for i in range(4)]
    write_column(
        points, (replace(read_column(points)[0], position_lps_mm=(9.0, -9.0, 310.0)), *read_column(points)[1:])
    )
    assert update_curve(scene, points, curve) is curve
    assert [curve.GetNthControlPointID(i) for i in range(4)] == ids
    assert curve.GetNthControlPointPosition(0) == (-9.0, 9.0, 310.0)
    write_column(points, (*read_column(points)[1:], ColumnPoint("S2", (6.0, -31.0, 180.0))))
    update_curve(scene, points, curve)
    assert labels(curve) == ["L1", "L2", "S1", "S2"]
    write_column(points, read_column(points)[:1])
    update_curve(scene, points, curve)
    assert labels(curve) == ["L1"]
    write_column(points, ())
    update_curve(scene, points, curve)
    assert labels(curve) == []
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsCurveNode") == 1


@pytest.mark.parametrize("add_transform", [scenes.add_linear_transform, scenes.add_bending_transform])
def test_it_lies_where_the_points_lie(scene, points, add_transform):
    volume = scenes.add_volume(scene)
    add_transform(scene, volume)
    place_beside(points, volume)
    curve = update_curve(scene, points)
    for index in range(4):
        place = points.GetNthControlPointPositionWorld(index)
        assert not np.allclose(place, points.GetNthControlPointPosition(index), atol=0.01)
        np.testing.assert_allclose(curve.GetNthControlPointPositionWorld(index), place, atol=1e-6)


def test_each_region_has_its_colour(scene, points):
    curve = update_curve(scene, points)
    display = curve.GetDisplayNode()
    assert display.GetScalarVisibility()
    drawn = curve.GetCurveWorld()
    regions = drawn.GetPointData().GetArray(display.GetActiveScalarName())
    table = display.GetColorNode().GetLookupTable()
    assert display.GetScalarRange() == table.GetRange()
    for index, region in enumerate((Region.THORACIC, Region.LUMBAR, Region.LUMBAR, Region.SACRAL)):
        rgb = [0.0] * 3
        table.GetColor(regions.GetValue(drawn.FindPoint(curve.GetNthControlPointPosition(index))), rgb)
        np.testing.assert_allclose(rgb, REGION_COLOURS[region], atol=1 / 255)


def test_the_colours_follow_a_correction(scene, points):
    curve = update_curve(scene, points)
    renamed = tuple(replace(p, label=n) for p, n in zip(read_column(points), ("C5", "C6", "C7", "T1"), strict=True))
    write_column(points, renamed)
    update_curve(scene, points, curve)
    assert region_numbers(curve) == [0.0, 0.0, 0.0, 1.0]
    assert curve.GetNumberOfMeasurements() == update_curve(scene, points, curve).GetNumberOfMeasurements()


def test_all_curves_share_one_colour_table(scene, points):
    before = scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode")
    first, second = update_curve(scene, points), update_curve(scene, points)
    assert first is not second
    assert first.GetDisplayNode().GetColorNodeID() == second.GetDisplayNode().GetColorNodeID()
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode") == before + 1
