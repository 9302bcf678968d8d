from __future__ import annotations

import numpy as np
import pytest
from VertebraLabelingLib.core.windows import crop, dense_windows, windows_along

WINDOW = (56, 40, 40)


def straight(first_z: float, last_z: float, y: float = 50.0, x: float = 60.0) -> np.ndarray:
    z = np.linspace(first_z, last_z, 30)
    return np.stack([z, np.full_like(z, y), np.full_like(z, x)], axis=1)


def test_dense_windows_cover_every_voxel_and_stay_inside():
    shape, window = (23, 10, 17), (8, 5, 6)
    seen = np.zeros(shape, bool)
    for z, y, x in dense_windows(shape, window, 0.5):
        assert min(z, y, x) >= 0
        seen[z : z + 8, y : y + 5, x : x + 6] = True
    assert seen.all()


def test_dense_windows_of_a_whole_body_number_as_in_the_fact_sheet():
    assert len(dense_windows((450, 200, 250), (104, 80, 80), 0.5)) == 192


def test_dense_windows_overlap_at_least_as_asked():
    starts = np.unique(dense_windows((100, 8, 8), (16, 8, 8), 0.5)[:, 0])
    assert np.diff(starts).max() <= 8


def test_a_volume_smaller_than_the_window_gets_one_centred_window():
    assert dense_windows((10, 4, 20), (16, 8, 8), 0.5).tolist() == [[-3, -2, 0], [-3, -2, 4], [-3, -2, 8], [-3, -2, 12]]


@pytest.mark.parametrize("length", [10, 57, 100, 230])
def test_windows_along_cover_the_curve_in_equal_steps(length):
    starts = windows_along(straight(20, 20 + length), WINDOW, 13)[:, 0]
    steps = np.diff(starts)
    assert starts[0] <= 20 and starts[-1] + WINDOW[0] - 1 >= 20 + length
    assert len(steps) == 0 or (steps.max() <= 13 and np.ptp(steps) <= 1)
    assert 20 - starts[0] <= WINDOW[0] / 2 and starts[-1] + WINDOW[0] - (20 + length) <= WINDOW[0] / 2 + 1


def test_a_short_curve_gets_one_window_centred_on_it():
    assert windows_along(straight(30, 40), WINDOW, 13).tolist() == [[8, 30, 40]]


def test_the_direction_of_the_curve_does_not_matter():
    curve = straight(5, 180)
    curve[:, 1] += np.linspace(0, 40, 30)
    np.testing.assert_array_equal(windows_along(curve, WINDOW, 13), windows_along(curve[::-1], WINDOW, 13))


def test_windows_follow_a_tilted_curve_in_plane():
    curve = straight(0, 200)
    curve[:, 1] = 30 + 0.2 * curve[:, 0]
    starts = windows_along(curve, WINDOW, 20)
    centres = starts + (np.array(WINDOW) - 1) / 2
    np.testing.assert_allclose(centres[:, 1], 30 + 0.2 * centres[:, 0], atol=1.0)
    np.testing.assert_allclose(centres[:, 2], 60, atol=0.6)


def test_crop_pads_what_sticks_out():
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    window = crop(array, (-1, 1, 2), (3, 4, 3), -1000.0)
    expected = np.full((3, 4, 3), -1000, np.float32)
    expected[1:, :2, :2] = array[:, 1:, 2:]
    np.testing.assert_array_equal(window, expected)


def test_crop_beside_the_volume_is_all_fill():
    assert (crop(np.zeros((2, 2, 2), np.float32), (5, 0, 0), (2, 2, 2), 7.0) == 7).all()
