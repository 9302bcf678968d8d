"""The geometry of the multi-view projection: where points are seen, and which rays see them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from VertebraLabelingLib.methods.multi_view.geometry import Views, equal_views
from VertebraLabelingLib.methods.multi_view.settings import MultiViewSettings, paper

SETTINGS = MultiViewSettings(image_hw=(101, 81), pixel_mm=2.0, source_axis_mm=1000.0, axis_detector_mm=500.0)
MIDDLE_RC = (50.0, 40.0)


def random_points(n: int = 20) -> np.ndarray:
    return np.random.default_rng(0).uniform(-90, 90, (n, 3))


def test_the_first_view_is_antero_posterior_head_up_and_left_on_the_right():
    views = equal_views(SETTINGS)
    head, left, back = views.project([[20.0, 0, 0], [0, 0, 20.0], [0, 20.0, 0]])[0]
    assert head == pytest.approx((MIDDLE_RC[0] - 10, MIDDLE_RC[1]))
    assert left == pytest.approx((MIDDLE_RC[0], MIDDLE_RC[1] + 10))
    assert back == pytest.approx(MIDDLE_RC)
    assert views.sources_zyx_mm[0] == pytest.approx((0, -1000, 0)), "the source is in front of the patient"


def test_a_quarter_turn_looks_from_the_right_with_the_front_on_the_right():
    views = Views(np.array([np.pi / 2]), SETTINGS)
    assert views.sources_zyx_mm[0] == pytest.approx((0, 0, -1000))
    assert views.project([[0, -20.0, 0]])[0, 0] == pytest.approx((MIDDLE_RC[0], MIDDLE_RC[1] + 10))


def test_what_is_nearer_to_the_source_is_seen_larger():
    points = [[-30.0, -200.0, 40.0], [-30.0, 200.0, 40.0]]
    near, far = equal_views(SETTINGS).project(points)[0] - MIDDLE_RC
    assert near == pytest.approx(np.array([15, 20]) / 0.8)
    assert far == pytest.approx(np.array([15, 20]) / 1.2)


def test_the_detector_distance_changes_what_a_pixel_of_the_detector_measures_and_no_image():
    assert SETTINGS.detector_pixel_mm == pytest.approx(2.0 * 1.5)
    assert paper().detector_pixel_mm == pytest.approx(2.0), "as in the authors' code"
    far = replace(SETTINGS, axis_detector_mm=900.0)
    points = random_points()
    assert np.array_equal(equal_views(far).project(points), equal_views(SETTINGS).project(points))


def test_views_are_equally_spaced_from_the_first_on():
    views = equal_views(SETTINGS, 4, first_rad=0.3)
    assert views.angles_rad == pytest.approx(0.3 + np.arange(4) * np.pi / 2)
    assert len(equal_views(SETTINGS)) == SETTINGS.views


@pytest.mark.parametrize("number", [1, 3, 10])
def test_rays_through_where_a_point_is_seen_pass_through_the_point(number: int):
    views, points = equal_views(SETTINGS, number, 0.7), random_points()
    for view, pixels in enumerate(views.project(points)):
        source, directions = views.rays(view, pixels)
        assert np.linalg.norm(directions, axis=1) == pytest.approx(1)
        assert np.cross(points - source, directions) == pytest.approx(0, abs=1e-9)
        assert np.all(np.sum((points - source) * directions, axis=1) > 0)


def test_points_on_a_ray_are_seen_at_its_pixel():
    views, pixels = equal_views(SETTINGS, 7), np.random.default_rng(1).uniform(0, 80, (9, 2))
    for view in range(7):
        source, directions = views.rays(view, pixels)
        for along_mm in (800.0, 1000.0, 1100.0):
            assert views.project(source + along_mm * directions)[view] == pytest.approx(pixels)


def test_far_away_opposite_views_are_mirror_images():
    far = replace(SETTINGS, source_axis_mm=1e9)
    there, back = equal_views(far, 2, 0.4).project(random_points())
    assert back[:, 0] == pytest.approx(there[:, 0], abs=1e-4)
    assert back[:, 1] == pytest.approx(2 * MIDDLE_RC[1] - there[:, 1], abs=1e-4)


def test_near_by_opposite_views_are_no_mirror_images():
    there, back = equal_views(SETTINGS, 2, 0.4).project(random_points())
    assert np.abs(back[:, 0] - there[:, 0]).max() > 1


def test_a_point_behind_the_source_is_not_seen():
    seen = equal_views(SETTINGS, 2).project([[0, -1001.0, 0]])
    assert np.isnan(seen[0]).all()
    assert np.isfinite(seen[1]).all()


def test_settings_survive_the_metadata_of_a_weight_file():
    assert MultiViewSettings.from_metadata(paper().to_metadata()) == paper()
    with pytest.raises(TypeError):
        MultiViewSettings.from_metadata({**paper().to_metadata(), "unknown": 1})
    with pytest.raises(KeyError):
        MultiViewSettings.from_metadata({})


@pytest.mark.parametrize("wrong", [{"pixel_mm": 0.0}, {"source_axis_mm": -1.0}, {"image_hw": (0, 5)}])
def test_impossible_settings_are_refused_by_name(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        equal_views(replace(SETTINGS, **wrong))


@pytest.mark.parametrize("angles", [[], [[0.0]], [np.nan]])
def test_views_without_proper_angles_are_refused(angles: list):
    with pytest.raises(ValueError, match="angles_rad"):
        Views(np.array(angles), SETTINGS)


def test_no_views_and_points_of_a_wrong_shape_are_refused():
    views = equal_views(SETTINGS)
    with pytest.raises(ValueError, match="At least one view"):
        equal_views(SETTINGS, 0)
    with pytest.raises(ValueError, match=r"shape \(n, 3\)"):
        views.project([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"shape \(m, 2\)"):
        views.rays(0, [[1.0, 2.0, 3.0]])
