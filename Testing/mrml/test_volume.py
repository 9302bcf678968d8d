"""A volume of the scene as a file: what is refused, and that every voxel keeps value and place."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from mrml import scenes
from VertebraLabelingLib.app.volume import export_volume, refusal
from VertebraLabelingLib.core.errors import InputError, UsageError
from VertebraLabelingLib.core.readers import read_scan

SCALAR_TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
GEOMETRIES = {
    "axial": scenes.ijk_to_ras(np.diag([-1.0, -1.0, 1.0])),
    "left-handed": scenes.ijk_to_ras(np.diag([-1.0, -1.0, -1.0])),
    "oblique": scenes.ijk_to_ras(scenes.OBLIQUE),
    "oblique and left-handed": scenes.ijk_to_ras(scenes.OBLIQUE @ np.diag([1.0, -1.0, 1.0])),
    "sagittal": scenes.ijk_to_ras(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])),
}


def exported(volume, folder, roi=None):
    export_volume(volume, folder / "scan.nrrd", roi)
    return read_scan(folder / "scan.nrrd")


def local_lps(volume, ijk):
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return np.array(matrix.MultiplyPoint((*ijk, 1.0))[:3]) * [-1, -1, 1]


def cropped_ijk(volume, scan):
    """Index in the volume of the first voxel of the scan; the same value must be there."""
    inverse = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(inverse)
    first_ras = scan.geometry.lps_from_index_zyx(np.zeros(3)) * [-1, -1, 1]
    ijk = np.array(inverse.MultiplyPoint((*first_ras, 1.0))[:3])
    whole = np.round(ijk).astype(int)
    np.testing.assert_allclose(ijk, whole, atol=1e-6)
    i, j, k = whole
    depth, height, width = scan.hu.shape
    voxels = slicer.util.arrayFromVolume(volume)[k : k + depth, j : j + height, i : i + width]
    np.testing.assert_array_equal(scan.hu, voxels)
    return tuple(int(v) for v in whole)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_voxel_keeps_its_value_and_its_place(scene, tmp_path, name):
    volume = scenes.add_volume(scene, matrix=GEOMETRIES[name])
    scan = exported(volume, tmp_path)
    np.testing.assert_array_equal(scan.hu, slicer.util.arrayFromVolume(volume))
    for ijk in ((0, 0, 0), (5, 0, 0), (0, 6, 0), (0, 0, 7), (2, 3, 4)):
        np.testing.assert_allclose(
            scan.geometry.lps_from_index_zyx(np.array(ijk[::-1])), local_lps(volume, ijk), atol=1e-9
        )


@pytest.mark.parametrize("name", SCALAR_TYPES)
def test_any_scalar_type_is_kept(scene, tmp_path, name):
    import SimpleITK as sitk

    voxels = (np.arange(4 * 5 * 6) % 100).reshape(4, 5, 6).astype(name)
    volume = scenes.add_volume(scene, voxels)
    scan = exported(volume, tmp_path)
    np.testing.assert_array_equal(scan.hu, voxels)
    image = sitk.ReadImage(str(tmp_path / "scan.nrrd"))
    assert sitk.GetArrayFromImage(image).dtype == np.dtype(name)


def test_the_file_is_not_compressed(scene, tmp_path):
    volume = scenes.add_volume(scene, np.zeros((10, 20, 30), np.int16))
    export_volume(volume, tmp_path / "scan.nrrd")
    assert (tmp_path / "scan.nrrd").stat().st_size > 10 * 20 * 30 * 2
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nrrd"]


@pytest.mark.parametrize("add_transform", [scenes.add_linear_transform, scenes.add_bending_transform])
def test_a_parent_transform_does_not_enter_the_file(scene, tmp_path, add_transform):
    volume = scenes.add_volume(scene)
    before = exported(volume, tmp_path)
    add_transform(scene, volume)
    assert not np.allclose(scenes.world_ras(volume, (2, 3, 4)) * [-1, -1, 1], local_lps(volume, (2, 3, 4)), atol=1.0)
    after = exported(volume, tmp_path)
    assert after.geometry == before.geometry
    np.testing.assert_array_equal(after.hu, before.hu)


def test_a_sequence_proxy_is_exported_as_the_frame_that_is_shown(scene, tmp_path):
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(scene)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    for frame in range(2):
        volume = scenes.add_volume(scene, np.full((4, 5, 6), frame, np.int16))
        sequence.SetDataNodeAtValue(volume, str(frame))
        scene.RemoveNode(volume)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    for frame in range(2):
        browser.SetSelectedItemNumber(frame)
        logic.UpdateProxyNodesFromSequences(browser)
        proxy = browser.GetProxyNode(sequence)
        assert refusal(proxy) == ""
        assert np.all(exported(proxy, tmp_path).hu == frame)


def test_the_box_of_a_roi_is_cut_out(scene, tmp_path):
    volume = scenes.add_volume(
        scene, matrix=scenes.ijk_to_ras(spacing_mm=(1.0, 1.0, 2.0), origin_ras_mm=(0.0, 0.0, 0.0))
    )
    # from -0.4 to 3.4, 2.6 to 5.4, and in voxels of 2 mm 1.7 to 4.3
    scan = exported(volume, tmp_path, scenes.add_roi(scene, (1.5, 4.0, 6.0), (3.8, 2.8, 5.2)))
    assert cropped_ijk(volume, scan) == (0, 3, 2)
    assert scan.hu.shape == (3, 3, 4)


def test_a_roi_that_reaches_beyond_the_volume_is_cut_off(scene, tmp_path):
    volume = scenes.add_volume(scene, matrix=GEOMETRIES["oblique and left-handed"])
    centre = local_lps(volume, (2.5, 3, 3.5)) * [-1, -1, 1]
    scan = exported(volume, tmp_path, scenes.add_roi(scene, centre, (500.0, 500.0, 500.0)))
    assert cropped_ijk(volume, scan) == (0, 0, 0)
    assert scan.hu.shape == (8, 7, 6)


def test_a_turned_roi_gives_the_box_around_it(scene, tmp_path):
    """A 4 mm cube turned by 45 degrees about the superior axis is 5.66 mm wide."""
    voxels = np.arange(11**3, dtype=np.int16).reshape(11, 11, 11)
    volume = scenes.add_volume(scene, voxels, scenes.ijk_to_ras(spacing_mm=(1, 1, 1), origin_ras_mm=(0, 0, 0)))
    half = np.sqrt(0.5)
    turned = np.array([[half, -half, 0.0], [half, half, 0.0], [0.0, 0.0, 1.0]])
    scan = exported(volume, tmp_path, scenes.add_roi(scene, (5.0, 5.0, 5.0), (4.0, 4.0, 4.0), turned))
    # 5 - 2.83 = 2.17 to 7.83 in the plane, 3 to 7 along the axis
    assert cropped_ijk(volume, scan) == (2, 2, 3)
    assert scan.hu.shape == (5, 7, 7)


def test_roi_and_volume_under_different_transforms_meet_in_the_world(scene, tmp_path):
    volume = scenes.add_volume(scene)
    alone = exported(volume, tmp_path, scenes.add_roi(scene, (12.0, -17.0, 38.0), (2.0, 2.0, 6.0)))
    scenes.add_linear_transform(scene, volume)
    there = scenes.add_roi(scene, (12.0, -17.0, 38.0), (2.0, 2.0, 6.0))
    with pytest.raises(InputError, match="outside"):
        exported(volume, tmp_path, there)
    there.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    with_it = exported(volume, tmp_path, there)
    assert with_it.geometry == alone.geometry
    np.testing.assert_array_equal(with_it.hu, alone.hu)


def test_a_roi_in_the_world_cuts_a_bent_volume_where_it_is_seen(scene, tmp_path):
    matrix = scenes.ijk_to_ras(spacing_mm=(10, 10, 10), origin_ras_mm=(-100, -100, -100))
    volume = scenes.add_volume(scene, np.arange(21**3, dtype=np.int16).reshape(21, 21, 21), matrix)
    scenes.add_bending_transform(scene, volume)
    centre = scenes.world_ras(volume, (10, 10, 10))
    assert np.linalg.norm(centre) > 10
    scan = exported(volume, tmp_path, scenes.add_roi(scene, centre, (25.0, 25.0, 25.0)))
    first = np.array(cropped_ijk(volume, scan))
    last = first + scan.hu.shape[::-1]
    assert np.all(first <= 9)
    assert np.all(last > 11)
    assert max(scan.hu.shape) <= 5


def test_a_roi_outside_or_without_size_is_refused_and_nothing_is_written(scene, tmp_path):
    volume = scenes.add_volume(scene)
    with pytest.raises(InputError, match=r"'Spine' lies outside 'CT'"):
        exported(volume, tmp_path, scenes.add_roi(scene, (500.0, 0.0, 0.0), (10.0, 10.0, 10.0)))
    with pytest.raises(InputError, match="no size"):
        exported(volume, tmp_path, scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Spine"))
    assert not any(tmp_path.iterdir())


def test_an_unwritable_place_is_a_usage_error(scene, tmp_path):
    with pytest.raises(UsageError):
        export_volume(scenes.add_volume(scene), tmp_path / "missing" / "scan.nrrd")


def _without_image(scene):
    return scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")


def _without_voxels(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    node.SetAndObserveImageData(vtk.vtkImageData())
    return node


def _colour(scene):
    return scenes.add_volume(scene, np.zeros((4, 5, 6, 3), np.uint8), node_class="vtkMRMLVectorVolumeNode")


def _vectors_in_a_scalar_node(scene):
    return scenes.add_volume(scene, np.zeros((4, 5, 6, 2), np.float32))


def _label_map(scene):
    return scenes.add_volume(scene, np.zeros((4, 5, 6), np.uint8), node_class="vtkMRMLLabelMapVolumeNode")


def _bits(scene):
    node = scenes.add_volume(scene)
    image = vtk.vtkImageData()
    image.SetDimensions(8, 8, 8)
    image.AllocateScalars(vtk.VTK_BIT, 1)
    node.SetAndObserveImageData(image)
    return node


def _sheared(scene):
    matrix = scenes.ijk_to_ras()
    matrix[1, 2] += 0.5
    return scenes.add_volume(scene, matrix=matrix)


def _flat(scene):
    matrix = scenes.ijk_to_ras()
    matrix[:3, 2] = 0.0
    return scenes.add_volume(scene, matrix=matrix)


REFUSED = {
    "nothing": (lambda scene: None, "choose a CT volume"),
    "points": (lambda scene: scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "CT"), "no volume"),
    "no image": (_without_image, "no image"),
    "empty image": (_without_voxels, "no image"),
    "colour": (_colour, "3 values per voxel"),
    "vectors": (_vectors_in_a_scalar_node, "2 values per voxel"),
    "label map": (_label_map, "label map"),
    "bits": (_bits, "one bit"),
    "one slice": (lambda scene: scenes.add_volume(scene, np.zeros((1, 5, 6), np.int16)), "only 1 slice along"),
    "two slices": (lambda scene: scenes.add_volume(scene, np.zeros((5, 2, 6), np.int16)), "only 2 slices along"),
    "sheared": (_sheared, "right angles"),
    "no spacing": (_flat, "spacing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_labelled_is_refused_in_a_sentence(scene, tmp_path, name):
    make, words = REFUSED[name]
    volume = make(scene)
    sentence = refusal(volume)
    assert words in sentence
    assert sentence.endswith(".")
    assert volume is None or "'CT'" in sentence
    with pytest.raises(InputError) as error:
        export_volume(volume, tmp_path / "scan.nrrd")
    assert str(error.value) == sentence
    assert not any(tmp_path.iterdir())


def test_a_ct_is_not_refused(scene):
    assert refusal(scenes.add_volume(scene)) == ""
