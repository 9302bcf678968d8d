"""The preview picture: the curve through the points, the bent planes, and the file."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import image as pictures
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.preview import Curve, curved_view, draw_preview

SHAPE_ZYX = (120, 40, 40)


def ramp_scan(axis: int) -> Scan:
    """4 mm voxels whose value is the LPS coordinate (mm) along x (0), y (1) or z (2)."""
    geometry = Geometry(SHAPE_ZYX, (4.0, 4.0, 4.0), (-80.0, -80.0, -240.0))
    index = np.moveaxis(np.indices(SHAPE_ZYX), 0, -1)
    return Scan(geometry.lps_from_index_zyx(index)[..., axis].astype(np.float32), geometry, "ramp.nii.gz")


def column(levels: tuple[Level, ...]) -> Labelling:
    z = np.linspace(180, -200, max(2, len(levels)))
    points = [
        LabelledPoint(v, (10 * np.sin(h / 60), h / 20, h), 0.3 + 0.02 * v) for v, h in zip(levels, z, strict=False)
    ]
    return Labelling(tuple(points))


def test_curve_passes_its_points_and_stays_constant_beyond():
    points = np.array([[1.0, 5.0, 100.0], [3.0, 2.0, 60.0], [2.0, 9.0, 0.0]])
    x, y = Curve.through(points[[1, 0, 2]]).at(np.array([150.0, 100.0, 60.0, 0.0, -50.0]))
    np.testing.assert_allclose(x, [1, 1, 3, 2, 2])
    np.testing.assert_allclose(y, [5, 5, 2, 9, 9])


def test_curve_of_one_point_and_of_points_at_one_height():
    z = np.array([-10.0, 0.0, 10.0])
    for points in ([[3.0, 4.0, 0.0]], [[2.0, 4.0, 0.0], [4.0, 4.0, 0.5]]):
        x, y = Curve.through(np.array(points)).at(z)
        np.testing.assert_allclose(x, 3.0)
        np.testing.assert_allclose(y, 4.0)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_bent_plane_follows_the_curve_and_keeps_the_other_axes(axis):
    points = np.array([[10.0, -8.0, 100.0], [-12.0, 20.0, -100.0]])
    curve, z = Curve.through(points), np.arange(100.0, -100.0, -1.0)
    across = curve.at(z)[1 - axis]
    bent = curved_view(ramp_scan(1 - axis), curve, z, points, axis).pixels
    shown = curved_view(ramp_scan(axis), curve, z, points, axis)
    heights = curved_view(ramp_scan(2), curve, z, points, axis).pixels
    middle = bent.shape[1] // 2
    np.testing.assert_allclose(bent[:, middle], across, atol=1e-3)
    np.testing.assert_allclose(heights[:, middle], z, atol=1e-3)
    left = shown.extent_mm[0]
    np.testing.assert_allclose(shown.pixels[0, middle], left + 0.5 + middle, atol=1e-3)
    assert shown.extent_mm[3] == 100.5


@pytest.mark.parametrize(
    "levels", [(Level.L3,), (Level.C1, Level.C2), (Level.T12, Level.T13, Level.L1), REGULAR_LEVELS], ids=len
)
def test_a_png_appears_for_any_number_of_points(tmp_path, levels):
    path = tmp_path / "preview.png"
    draw_preview(path, ramp_scan(2), column(levels))
    picture = pictures.imread(path)
    assert picture.shape[0] > 600
    assert 900 < picture.shape[1] < 1500
    assert picture[..., :3].std() > 0.02
    # a coloured dot somewhere: the CT itself and the captions are grey
    colours = picture[..., :3].max(axis=-1) - picture[..., :3].min(axis=-1)
    assert (colours > 0.3).sum() > 50


def test_the_phantom_mark_changes_the_picture_at_the_top_only(tmp_path):
    draw_preview(tmp_path / "a.png", ramp_scan(2), column((Level.L3,)))
    draw_preview(tmp_path / "b.png", ramp_scan(2), column((Level.L3,)), phantom=True)
    differ = np.abs(pictures.imread(tmp_path / "a.png") - pictures.imread(tmp_path / "b.png")).max(axis=(1, 2)) > 0
    assert differ.any()
    assert np.flatnonzero(differ).max() < 80


def test_without_points_there_is_no_picture(tmp_path):
    with pytest.raises(ValueError, match="without points"):
        draw_preview(tmp_path / "preview.png", ramp_scan(2), Labelling(()))
    assert list(tmp_path.iterdir()) == []
