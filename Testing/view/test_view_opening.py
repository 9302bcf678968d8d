"""From a file to the scene: the volume is the CT's voxels in their place, the points lie on it."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from VertebraLabelingLib.app.placement import volume_of
from VertebraLabelingLib.app.points_node import read_column
from VertebraLabelingLib.app.volume import geometry_of, refusal
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.formats import write_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.view import opening

TURNED = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
GRID = Geometry((5, 6, 7), (0.8, 0.9, 2.5), (10.0, -20.0, 30.0), TURNED)


def scan(hu, name="ct.nii.gz"):
    return Scan(np.asarray(hu, np.float32), GRID, name)


def whole_numbers():
    return np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7) - 100


def test_the_volume_has_the_voxels_the_place_and_the_name_of_the_file(scene):
    node = opening.add_volume(scan(whole_numbers()))
    voxels = slicer.util.arrayFromVolume(node)
    assert voxels.dtype == np.int16
    assert np.array_equal(voxels, whole_numbers())
    found = geometry_of(node)
    assert found.shape_zyx == GRID.shape_zyx
    assert found.lps_from_index_zyx((1, 2, 3)) == pytest.approx(GRID.lps_from_index_zyx((1, 2, 3)))
    assert node.GetName() == "ct"
    assert refusal(node) == ""


def test_values_that_are_no_whole_numbers_stay_as_they_are(scene):
    for hu in (whole_numbers() + 0.25, whole_numbers() + 40000):
        assert np.array_equal(slicer.util.arrayFromVolume(opening.add_volume(scan(hu))), hu)


def test_a_file_that_is_opened_again_keeps_its_name(scene):
    """Files are saved under it, and there is only one CT at a time."""
    names = [opening.add_volume(scan(whole_numbers())).GetName() for _ in range(2)]
    assert names == ["ct", "ct"]


def test_saved_points_come_back_on_their_ct_with_their_locks(scene, tmp_path):
    points = (
        LabelledPoint(Level.L1, (1.0, 2.0, 30.0), 0.9, "", False),
        LabelledPoint(Level.L2, (1.5, 2.5, -5.0), 1.0, "", True),
    )
    path = tmp_path / "x.mrk.json"
    write_points(path, Labelling(points))
    volume = opening.add_volume(scan(whole_numbers()))
    node = opening.add_points(opening.points_in(path, volume), path.name, volume)
    assert [(p.label, p.locked) for p in read_column(node)] == [("L1", False), ("L2", True)]
    assert read_column(node)[0].position_lps_mm == pytest.approx((1.0, 2.0, 30.0))
    assert volume_of(node) is volume


def test_a_damaged_point_file_leaves_the_scene_as_it_was(scene, tmp_path):
    path = tmp_path / "x.mrk.json"
    path.write_text("{")
    volume = opening.add_volume(scan(whole_numbers()))
    before = scene.GetNumberOfNodes()
    with pytest.raises(InputError, match=r"x\.mrk\.json"):
        opening.points_in(path, volume)
    assert scene.GetNumberOfNodes() == before
