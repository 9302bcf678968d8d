"""The picture of the straightened spine: what it shows, where its levels are drawn, and what a click in it means."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from column_examples import curved, names
from harness import boot
from PIL import Image
from VertebraLabelingLib.core.correction.column_point import ColumnPoint
from VertebraLabelingLib.core.errors import CorrectionError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.preview import WINDOW_HU
from VertebraLabelingLib.view.curved import GAP_PX, CurvedView, curved_picture

GRID = Geometry((160, 130, 90), (3.0, 3.0, 4.0), (-135.0, -90.0, -320.0))
LUMBAR = names("T12 L1 L2 L3 L4 L5")


def ramp(axis: int) -> Scan:
    """A scan whose value is the LPS coordinate along an axis."""
    lps = GRID.lps_from_index_zyx(np.moveaxis(np.indices(GRID.shape_zyx), 0, -1))
    return Scan(lps[..., axis].astype(np.float32), GRID)


def grey(png: bytes) -> np.ndarray:
    with Image.open(BytesIO(png)) as picture:
        assert picture.mode == "L"
        return np.asarray(picture)


def test_the_file_is_both_views_in_the_bone_window_at_one_mm_per_pixel():
    picture = curved_picture(ramp(2), LUMBAR)
    pixels = grey(picture.png)
    assert pixels.shape == (picture.height, picture.width)
    low, high = WINDOW_HU
    label = picture.labels[3]
    for x in (label.x_px, label.x_coronal_px):
        assert pixels[int(label.y_px), int(x)] == pytest.approx(
            255 * (LUMBAR[3].position_lps_mm[2] - low) / (high - low), abs=1
        )
    assert picture.coronal.first_px == picture.sagittal.width_px + GAP_PX
    assert (pixels[:, picture.sagittal.width_px : picture.coronal.first_px] == 0).all()
    steps = np.diff([label.y_px for label in picture.labels])
    expected = -np.diff([point.position_lps_mm[2] for point in LUMBAR])
    np.testing.assert_allclose(steps, expected, atol=1e-6)


@pytest.mark.parametrize("column", [LUMBAR, curved("T1", "L5"), LUMBAR[::-1]], ids=["straight", "bent", "tail first"])
def test_the_place_at_a_label_is_that_of_its_point(column):
    column = tuple(
        replace(point, position_lps_mm=_in_grid(point.position_lps_mm), key=f"id of {point.label}") for point in column
    )
    picture = curved_picture(ramp(0), column)
    for point, label in zip(column, picture.labels, strict=True):
        sagittal = picture.place_at(label.x_px, label.y_px)
        coronal = picture.place_at(label.x_coronal_px, label.y_px)
        # each view shows the point as projected across it; the bodies lie within mm of the curve
        assert np.linalg.norm(np.subtract(sagittal, point.position_lps_mm)) < 1.5
        assert np.linalg.norm(np.subtract(coronal, point.position_lps_mm)) < 1.5
        assert label.key == point.key
    assert picture.place_at(5, 5)[2] > picture.place_at(5, picture.height - 5)[2]  # the head is above


def _in_grid(place):
    x, y, z = place
    return (x, y - 300 if y > 200 else y, z)


def test_front_is_on_the_left_and_so_is_the_patients_right():
    picture = curved_picture(ramp(0), LUMBAR)
    y_px = picture.labels[2].y_px
    back_px, right_px = picture.sagittal.width_px - 5, picture.coronal.first_px + 5
    assert picture.place_at(5, y_px)[1] < picture.place_at(back_px, y_px)[1]
    assert picture.place_at(right_px, y_px)[0] < picture.place_at(picture.width - 5, y_px)[0]


def test_clicks_between_the_views_and_beside_the_picture_mean_nothing():
    picture = curved_picture(ramp(0), LUMBAR)
    y_px = picture.labels[2].y_px
    gap_px = picture.sagittal.width_px + GAP_PX / 2
    outside = [(gap_px, y_px), (-1, y_px), (picture.width, y_px), (10, -0.5), (10, picture.height)]
    assert [picture.place_at(*place) for place in outside] == [None] * 5
    assert picture.place_at(gap_px - GAP_PX, y_px) is not None


def test_labels_bear_the_colour_of_the_region_and_the_mark_of_doubt():
    doubtful = replace(LUMBAR[1], probability=0.41)
    strange = ColumnPoint("F-7", (5.0, -20.0, -100.0))
    confirmed = replace(LUMBAR[2], probability=0.2, locked=True)
    picture = curved_picture(ramp(0), (LUMBAR[0], doubtful, confirmed, strange))
    t12, l1, l2, nameless = picture.labels
    assert (t12.text, t12.uncertain) == ("T12", False)
    assert (l1.text, l1.uncertain) == ("L1 ? 41%", True)
    assert (l2.text, l2.uncertain) == ("L2", False)
    assert t12.colour != l1.colour == l2.colour == "#ffb840"
    assert nameless.name == "F-7"
    assert t12.text_x_px < t12.x_px


def test_one_point_has_a_picture_and_none_has_a_sentence():
    picture = curved_picture(ramp(0), LUMBAR[:1])
    assert [label.name for label in picture.labels] == [LUMBAR[0].label]
    with pytest.raises(CorrectionError, match="label the scan"):
        curved_picture(ramp(0), ())


@pytest.fixture
def volume_node():
    """A CT in MRML, whose values are z, outside any scene."""
    if boot.unavailable():
        pytest.skip(boot.unavailable())
    boot.boot()
    import slicer
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    image = vtk.vtkImageData()
    image.SetDimensions(*GRID.shape_zyx[::-1])
    hu = ramp(2).hu.astype(np.int16)
    image.GetPointData().SetScalars(numpy_to_vtk(hu.reshape(-1), deep=True))
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetAndObserveImageData(image)
    matrix = np.diag([-3.0, -3.0, 4.0, 1.0])
    matrix[:3, 3] = np.array(GRID.origin_lps_mm) * [-1, -1, 1]
    to_ras = vtk.vtkMatrix4x4()
    to_ras.DeepCopy(matrix.ravel())
    node.SetIJKToRASMatrix(to_ras)
    return node


def test_a_view_shows_the_voxels_of_the_scene(volume_node):
    view = CurvedView()
    view.update(volume_node, LUMBAR)
    picture = view.picture()
    assert (grey(picture.png) == grey(curved_picture(ramp(2), LUMBAR).png)).mean() > 0.9  # the voxels are rounded
    assert picture.labels == curved_picture(ramp(2), LUMBAR).labels


def test_a_view_draws_anew_only_when_something_of_it_changes(volume_node):
    view = CurvedView()
    assert view.picture() is None
    view.update(volume_node, LUMBAR)
    version, picture = view.version, view.picture()
    view.update(volume_node, tuple(replace(point, remark="other") for point in LUMBAR))
    assert (view.version, view.picture()) == (version, picture)
    for column in (LUMBAR[1:], (replace(LUMBAR[0], label="T11"), *LUMBAR[1:])):
        view.update(volume_node, column)
        assert view.version > version
        assert [label.name for label in view.picture().labels] == [point.label for point in column]
        version = view.version
    volume_node.GetImageData().Modified()
    view.update(volume_node, column)
    assert view.version > version


def test_a_view_says_why_it_is_empty(volume_node):
    view = CurvedView()
    for node, column in ((None, LUMBAR), (volume_node, ())):
        view.update(node, column)
        assert view.picture() is None
        assert view.problem == ""
    beside = (ColumnPoint("L1", (-30.0, 0.0, 0.0)), ColumnPoint("L2", (30.0, 0.0, 0.0)))
    view.update(volume_node, beside)
    assert view.picture() is None
    assert "beside each other" in view.problem
    view.update(volume_node, LUMBAR)
    assert view.picture() is not None
    assert view.problem == ""
