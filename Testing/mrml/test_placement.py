"""Points and curve lie where the volume lies: in the world, under its transform, and in the subject hierarchy."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from mrml import scenes
from VertebraLabelingLib.app.placement import place_beside, put_with, volume_of
from VertebraLabelingLib.app.points_node import create_points_node, write_column
from VertebraLabelingLib.app.volume import export_volume
from VertebraLabelingLib.core.correction.column import ColumnPoint
from VertebraLabelingLib.core.readers import read_scan

INSIDE_KJI = (3, 2, 4)


@pytest.fixture
def volume(scene):
    return scenes.add_volume(scene, matrix=scenes.ijk_to_ras(scenes.OBLIQUE @ np.diag([1.0, -1.0, 1.0]), (9, 8, 7)))


def hierarchy_of(scene):
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def labelled(scene, volume, folder):
    """A points node with one point on a known voxel, the way a run makes it: through the file."""
    export_volume(volume, folder / "scan.nrrd")
    place_lps_mm = read_scan(folder / "scan.nrrd").geometry.lps_from_index_zyx(np.array(INSIDE_KJI))
    node = create_points_node(scene, "Vertebrae")
    write_column(node, (ColumnPoint("L1", tuple(float(v) for v in place_lps_mm)),))
    place_beside(node, volume)
    return node


def assert_on_voxel(node, volume):
    place = node.GetNthControlPointPositionWorld(0)
    np.testing.assert_allclose(place, scenes.world_ras(volume, INSIDE_KJI[::-1]), atol=1e-6)


def test_a_point_lies_on_its_voxel(scene, volume, tmp_path):
    assert_on_voxel(labelled(scene, volume, tmp_path), volume)


@pytest.mark.parametrize("add_transform", [scenes.add_linear_transform, scenes.add_bending_transform])
def test_a_point_lies_on_its_voxel_under_a_transform(scene, volume, tmp_path, add_transform):
    at_rest = scenes.world_ras(volume, INSIDE_KJI[::-1])
    transform = add_transform(scene, volume)
    node = labelled(scene, volume, tmp_path)
    assert node.GetTransformNodeID() == transform.GetID()
    assert np.linalg.norm(scenes.world_ras(volume, INSIDE_KJI[::-1]) - at_rest) > 1
    assert_on_voxel(node, volume)


def test_a_point_lies_on_its_voxel_under_two_transforms(scene, volume, tmp_path):
    inner = scenes.add_linear_transform(scene, volume)
    scenes.add_bending_transform(scene, inner)
    assert_on_voxel(labelled(scene, volume, tmp_path), volume)


def test_the_transform_is_taken_away_again(scene, volume):
    node = create_points_node(scene, "Vertebrae")
    scenes.add_linear_transform(scene, node)
    place_beside(node, volume)
    assert node.GetTransformNodeID() is None


def test_the_points_get_the_parent_of_the_volume_in_the_subject_hierarchy(scene, volume):
    hierarchy = hierarchy_of(scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    study = hierarchy.CreateStudyItem(patient, "Study")
    hierarchy.CreateItem(study, volume)
    node = create_points_node(scene, "Vertebrae")
    place_beside(node, volume)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Folder")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), folder)
    place_beside(node, volume)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder
    assert hierarchy.GetNumberOfItems() == 5, "no item is made twice"


def test_a_volume_outside_the_hierarchy_is_put_at_its_top(scene, volume):
    node = create_points_node(scene, "Vertebrae")
    place_beside(node, volume)
    hierarchy = hierarchy_of(scene)
    for placed in (node, volume):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(placed)) == hierarchy.GetSceneItemID()


def test_the_points_know_their_volume_until_it_is_gone(scene, volume):
    node = create_points_node(scene, "Vertebrae")
    assert volume_of(node) is None
    place_beside(node, volume)
    assert volume_of(node) is volume
    scene.RemoveNode(volume)
    assert volume_of(node) is None


def test_a_node_can_be_put_with_another_without_taking_it_for_a_volume(scene, volume):
    points, curve = create_points_node(scene, "Vertebrae"), create_points_node(scene, "Other")
    transform = scenes.add_linear_transform(scene, volume)
    place_beside(points, volume)
    put_with(curve, points)
    assert curve.GetTransformNodeID() == transform.GetID()
    assert volume_of(curve) is None
