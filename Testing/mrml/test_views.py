"""Jumping to a point moves the real slice nodes to its place in the world, and marks it."""

from __future__ import annotations

import numpy as np
import pytest
from mrml import scenes
from VertebraLabelingLib.app.points_node import create_points_node, write_column
from VertebraLabelingLib.app.views import jump_to
from VertebraLabelingLib.core.correction.column import ColumnPoint


@pytest.fixture
def node(scene):
    node = create_points_node(scene, "Vertebrae")
    write_column(node, (ColumnPoint("L1", (-11.0, -12.0, 13.0)), ColumnPoint("L2", (-14.0, -15.0, -16.0))))
    return node


def slice_offsets(scene):
    """Where the three views cut, RAS mm: right (sagittal), anterior (coronal), superior (axial)."""
    offsets = (scene.GetNodeByID(f"vtkMRMLSliceNode{name}").GetSliceOffset() for name in ("Yellow", "Green", "Red"))
    return np.abs(list(offsets))


def centres(scene):
    """Middle of the three views, RAS mm."""
    nodes = (scene.GetNodeByID(f"vtkMRMLSliceNode{name}").GetSliceToRAS() for name in ("Yellow", "Green", "Red"))
    return [[matrix.GetElement(row, 3) for row in range(3)] for matrix in nodes]


def test_all_slice_views_cut_through_the_point(scene, node):
    jump_to(node, 0)
    np.testing.assert_allclose(slice_offsets(scene), (11.0, 12.0, 13.0))
    jump_to(node, 1)
    np.testing.assert_allclose(slice_offsets(scene), (14.0, 15.0, 16.0))


@pytest.mark.parametrize("add_transform", [scenes.add_linear_transform, scenes.add_bending_transform])
def test_the_views_go_where_a_transform_puts_the_point(scene, node, add_transform):
    add_transform(scene, node)
    jump_to(node, 1)
    world = node.GetNthControlPointPositionWorld(1)
    assert not np.allclose(world, node.GetNthControlPointPosition(1), atol=1.0)
    np.testing.assert_allclose(slice_offsets(scene), np.abs(world), atol=1e-6)


def test_centring_also_pans(scene, node):
    jump_to(node, 1)
    assert not np.allclose(centres(scene), (14.0, 15.0, -16.0))
    jump_to(node, 1, centred=True)
    np.testing.assert_allclose(centres(scene), [(14.0, 15.0, -16.0)] * 3)


def test_the_point_is_marked(node):
    jump_to(node, 1)
    display = node.GetDisplayNode()
    assert display.GetActiveComponentType() == display.ComponentControlPoint
    assert display.GetActiveControlPoint() == 1


def test_the_index_counts_placed_points_only(scene, node):
    node.InsertControlPoint(0, [0.0, 0.0, 0.0], "unset")
    node.UnsetNthControlPointPosition(0)
    jump_to(node, 0)
    np.testing.assert_allclose(slice_offsets(scene), (11.0, 12.0, 13.0))
    assert node.GetDisplayNode().GetActiveControlPoint() == 1


def test_a_point_that_is_not_there_is_an_error(node):
    with pytest.raises(IndexError):
        jump_to(node, 2)


def test_a_node_without_display_can_be_jumped_to(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.AddControlPoint([1.0, 2.0, 3.0], "L1")
    jump_to(node, 0)
    np.testing.assert_allclose(slice_offsets(scene), (1.0, 2.0, 3.0))
