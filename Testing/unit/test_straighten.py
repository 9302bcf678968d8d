"""The straightened spine: exact geometry of the frame, the images and the way back to the patient."""

from __future__ import annotations

import time

import numpy as np
import pytest
from VertebraLabelingLib.core.errors import CorrectionError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.planes import OUTSIDE_HU
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.core.straighten import BEYOND_MM, HALF_WIDTH_MM, straight_view, straightened

RADIUS_MM = 200.0
GRID = Geometry((200, 110, 110), (3.0, 3.0, 3.0), (-165.0, -165.0, -300.0))
SAGITTAL, CORONAL = 1, 0


def column(count: int = 9, step_mm: float = 30.0) -> np.ndarray:
    return np.array([[4.0, -10.0, 120.0 - step_mm * i] for i in range(count)])


def arc(degrees: np.ndarray, axis: int) -> np.ndarray:
    """Points (n, 3) on a circle of `RADIUS_MM` in the sagittal (1) or coronal (0) plane, bulging to + of the axis."""
    angle = np.radians(degrees)
    points = np.zeros((len(angle), 3))
    points[:, axis], points[:, 2] = RADIUS_MM * (np.cos(angle) - 1) + 60, RADIUS_MM * np.sin(angle)
    return points


def helix(turn_deg: float = 60.0) -> np.ndarray:
    """A column that bends to the back and to the left, as in a scoliosis."""
    angle = np.linspace(0, np.radians(turn_deg), 15)
    return np.column_stack([70 * np.sin(2 * angle), 50 * np.cos(angle), 200 - 380 * angle / angle[-1]])


def values_of(place, grid: Geometry = GRID) -> Scan:
    """A scan whose value at each voxel is `place(lps)`."""
    lps = grid.lps_from_index_zyx(np.moveaxis(np.indices(grid.shape_zyx), 0, -1))
    return Scan(place(lps).astype(np.float32), grid, "made.nii.gz")


def test_a_straight_column_gives_the_plain_reformat():
    scan = values_of(lambda lps: lps[..., 1] + 10 * lps[..., 2])
    spine = straightened(GRID, column())
    np.testing.assert_allclose(spine.left, np.tile([1.0, 0, 0], (len(spine.z_mm), 1)), atol=1e-12)
    np.testing.assert_allclose(spine.back, np.tile([0, 1.0, 0], (len(spine.z_mm), 1)), atol=1e-12)
    np.testing.assert_allclose(spine.centre_lps_mm[:, 2], spine.z_mm + 120, atol=1e-9)
    view = straight_view(scan, spine, SAGITTAL)
    y = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 1) - 10.0
    np.testing.assert_allclose(view.pixels, y + 10 * (spine.z_mm[:, None] + 120), atol=2e-2)
    left, right, bottom, top = view.extent_mm
    assert (left, right) == (-HALF_WIDTH_MM - 0.5, HALF_WIDTH_MM + 0.5)
    assert top == pytest.approx(BEYOND_MM, abs=1.5)
    assert bottom == pytest.approx(-240 - BEYOND_MM, abs=1.5)


def test_columns_of_the_coronal_picture_go_to_the_patients_left():
    scan = values_of(lambda lps: lps[..., 0])
    view = straight_view(scan, straightened(GRID, column()), CORONAL)
    x = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 1) + 4.0
    np.testing.assert_allclose(view.pixels, np.tile(x, (len(view.pixels), 1)), atol=1e-3)


@pytest.mark.parametrize("axis", [SAGITTAL, CORONAL], ids=["kyphosis", "scoliosis"])
def test_a_tube_bent_along_an_arc_becomes_straight_and_keeps_its_length(axis):
    bodies = arc(np.linspace(45, -45, 13), axis)

    def tube(lps):
        from_middle = np.hypot(lps[..., axis] - 60 + RADIUS_MM, lps[..., 2])
        return 1000.0 * np.exp(-((from_middle - RADIUS_MM) ** 2 + lps[..., 1 - axis] ** 2) / 200)

    spine = straightened(GRID, bodies)
    pixels = straight_view(values_of(tube), spine, axis).pixels
    inner = pixels[(spine.z_mm < 0) & (spine.z_mm > -RADIUS_MM * np.pi / 2)]
    middle = (inner * np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 1)).sum(axis=1) / inner.sum(axis=1)
    assert np.abs(middle).max() < 0.6
    rows = spine.straight_from_lps(bodies)
    np.testing.assert_allclose(np.diff(rows[:, 2]), -RADIUS_MM * np.pi / 2 / 12, rtol=0.01)
    assert np.abs(rows[:, :2]).max() < 1.0


@pytest.mark.parametrize("bodies", [column(), arc(np.linspace(40, -40, 12), SAGITTAL), helix()], ids=["I", "C", "S"])
def test_the_way_there_and_back_ends_where_it_began(bodies):
    spine = straightened(GRID, bodies)
    z = np.random.default_rng(1).uniform(spine.z_mm[-1] - 30, spine.z_mm[0] + 30, 400)
    straight = np.column_stack([np.random.default_rng(2).uniform(-60, 60, (400, 2)), z])
    lps = spine.lps_from_straight(straight)
    assert np.linalg.norm(spine.straight_from_lps(lps) - straight, axis=1).max() < 0.1
    again = spine.lps_from_straight(spine.straight_from_lps(lps))
    assert np.linalg.norm(again - lps, axis=1).max() < 0.01


def test_the_picture_shows_at_each_pixel_the_place_that_the_mapping_tells():
    spine = straightened(GRID, helix())
    for axis in (SAGITTAL, CORONAL):
        for shown in range(3):
            pixels = straight_view(values_of(lambda lps, shown=shown: lps[..., shown]), spine, axis).pixels
            straight = np.zeros((*pixels.shape, 3))
            straight[..., axis] = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 1)
            straight[..., 2] = spine.z_mm[:, None]
            lps = spine.lps_from_straight(straight)
            inside = GRID.border_distance_mm(lps) > 8
            np.testing.assert_allclose(pixels[inside], lps[..., shown][inside], atol=0.01)


def test_the_frame_is_right_handed_does_not_turn_about_the_curve_and_keeps_to_the_left():
    spine = straightened(GRID, helix())
    axes = np.stack([spine.left, spine.back, spine.up], axis=1)
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), np.tile(np.eye(3), (len(axes), 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(axes), 1.0)
    turn = (np.diff(spine.left, axis=0) * spine.back[1:]).sum(axis=1)
    assert np.abs(turn).max() < 1e-4  # radians per mm, against 0.006 of the bend
    assert np.abs(np.diff(spine.left, axis=0)).max() > 1e-3
    # no other constant turn of the frame brings it nearer to the patient's left
    assert abs(spine.back[:, 0].sum()) < 1e-6
    assert spine.left[:, 0].mean() > 0.8


def test_places_2_mm_off_hardly_bend_the_picture():
    bodies = column(12, 18.0)
    bodies[::2, 0] += 2.0
    bodies[1::2, 0] -= 2.0
    spine = straightened(GRID, bodies)
    tilt_deg = np.degrees(np.arccos(spine.up[:, 2]))  # of the line from point to point: 13
    assert tilt_deg.max() < 8.0
    assert tilt_deg[len(tilt_deg) // 3 : -len(tilt_deg) // 3].max() < 3.0
    np.testing.assert_allclose(spine.straight_from_lps(bodies)[:, 0], bodies[:, 0] - 4.0, atol=1.0)


@pytest.mark.parametrize(
    "bodies",
    [[[4.0, -10.0, 20.0]], [[4.0, -10.0, 20.0]] * 3, [[4.0, -10.0, 20.0], [4.0, -6.0, 20.1]]],
    ids=["one", "the same", "nearly the same"],
)
def test_points_in_one_place_give_the_plain_reformat(bodies):
    spine = straightened(GRID, np.array(bodies))
    np.testing.assert_allclose(spine.up, np.tile([0, 0, 1.0], (len(spine.z_mm), 1)), atol=1e-12)
    np.testing.assert_allclose(spine.straight_from_lps(np.array(bodies[0])), 0, atol=1e-9)
    assert np.ptp(spine.z_mm) == pytest.approx(2 * BEYOND_MM, abs=1)


def test_two_points_give_the_line_through_them():
    bodies = np.array([[0.0, 0.0, 30.0], [0.0, 30.0, -10.0]])
    spine = straightened(GRID, bodies)
    np.testing.assert_allclose(spine.up, np.tile([0, -0.6, 0.8], (len(spine.z_mm), 1)), atol=1e-9)
    np.testing.assert_allclose(spine.straight_from_lps(bodies), [[0, 0, 0], [0, 0, -50]], atol=1e-9)


def test_rows_end_with_the_scan_but_never_before_a_body():
    bodies = column(9)
    whole = straightened(GRID, bodies)
    short = Geometry((60, 110, 110), (3.0, 3.0, 3.0), (-165.0, -165.0, -48.0))  # z from -49.5 to 130.5
    cut = straightened(short, bodies)
    assert cut.z_mm[0] == pytest.approx(10.5, abs=1)
    assert cut.z_mm[-1] == pytest.approx(-240, abs=2)
    assert whole.z_mm[-1] == pytest.approx(-240 - BEYOND_MM, abs=1.5)
    pixels = straight_view(values_of(lambda lps: lps[..., 0], short), cut, SAGITTAL).pixels
    assert (pixels[-50:] == OUTSIDE_HU).all()


def test_voxels_turned_and_of_unequal_sides_make_no_difference():
    turned = Geometry((220, 60, 100), (3.0, 5.0, 2.5), (165.0, 150.0, 300.0), (-1, 0, 0, 0, -1, 0, 0, 0, -1))
    spine = straightened(GRID, helix())
    inner = slice(50, -50)
    for grid in (GRID, turned):
        middle = straight_view(values_of(lambda lps: lps[..., 1], grid), spine, CORONAL).pixels[inner, 70]
        np.testing.assert_allclose(middle, spine.centre_lps_mm[inner, 1], atol=1e-2)


@pytest.mark.parametrize(
    ("bodies", "sentence"),
    [
        (np.empty((0, 3)), "label the scan first"),
        (np.array([[0.0, 0, 0], [np.nan, 0, 9]]), "has no place"),
        (np.array([[-20.0, 0, 0], [20.0, 1, 0]]), "beside each other"),
    ],
    ids=["none", "not a number", "beside each other"],
)
def test_what_cannot_be_straightened_is_refused_in_a_sentence(bodies, sentence):
    with pytest.raises(CorrectionError, match=sentence):
        straightened(GRID, bodies)


def test_a_whole_body_takes_less_than_a_third_of_a_second_of_one_core():
    grid = Geometry((400, 200, 200), (2.0, 2.0, 2.0), (-200.0, -200.0, -600.0))
    scan = Scan(np.zeros(grid.shape_zyx, np.int16), grid)  # as in a MRML volume
    bodies = np.column_stack([np.zeros(26), 30 * np.sin(np.linspace(0, 6, 26)), np.linspace(150, -500, 26)])
    took = []
    for _ in range(3):
        start = time.process_time()
        spine = straightened(grid, bodies)
        views = [straight_view(scan, spine, axis) for axis in (SAGITTAL, CORONAL)]
        took.append(time.process_time() - start)
    print(f"straightened {views[0].pixels.shape} twice in {min(took):.3f} s")
    assert min(took) < 0.3
