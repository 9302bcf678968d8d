"""Windows laid together."""

from __future__ import annotations

import numpy as np
from VertebraLabelingLib.core.mosaic import Mosaic, taper


def test_consistent_windows_give_back_the_volume() -> None:
    volume = np.random.default_rng(0).random((2, 12, 6, 8)).astype(np.float32)
    starts = np.array([[0, 0, 0], [4, 0, 0], [4, 0, 2]])
    mosaic = Mosaic(starts, (8, 6, 6), channels=2)
    for z, y, x in starts:
        mosaic.add(np.array([z, y, x]), volume[:, z : z + 8, y : y + 6, x : x + 6])
    mean = mosaic.mean()
    assert mean.shape == volume.shape
    np.testing.assert_allclose(mean[:, 4:, :, :], volume[:, 4:, :, :], rtol=1e-5)


def test_the_window_in_whose_middle_a_voxel_lies_has_the_say() -> None:
    starts = np.array([[0, 0, 0], [8, 0, 0]])
    mosaic = Mosaic(starts, (16, 4, 4), channels=1)
    for value, start in enumerate(starts):
        mosaic.add(start, np.full((1, 16, 4, 4), float(value), np.float32))
    line = mosaic.mean()[0, :, 2, 2]
    assert line[9] < 0.5 < line[14]
    assert np.all(np.diff(line) >= -1e-6)


def test_negative_starts_are_kept_as_the_origin() -> None:
    mosaic = Mosaic(np.array([[-3, -1, -2]]), (4, 4, 4), channels=1)
    assert mosaic.origin_zyx.tolist() == [-3, -1, -2]
    assert mosaic.mean().shape == (1, 4, 4, 4)


def test_taper_is_symmetric_and_positive() -> None:
    weights = taper((8, 6, 4))
    np.testing.assert_array_equal(weights, weights[::-1, ::-1, ::-1])
    assert weights.min() > 0 and weights.max() == 1
