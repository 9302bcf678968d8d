"""Settings out of JSON values, and the way through the windows of a volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.windows import dense_windows, windows_along
from VertebraLabelingLib.methods.metadata import Settings
from VertebraLabelingLib.methods.placement import border_voxels, walk, window_starts
from VertebraLabelingLib.methods.sites.settings import SitesSettings


@dataclass(frozen=True)
class Some(Settings):
    name: str = ""
    widths: tuple[int, ...] = (8,)
    hu_range: tuple[float, float] | None = (-1.0, 1.0)
    ranges: tuple[tuple[float, float], ...] = ((0.0, 1.0),)


PLAIN = {"name": "x", "widths": [1, 2], "hu_range": None, "ranges": [[0, 1], [2, 3]]}


def test_lists_become_tuples_and_none_stays():
    made = Some.from_metadata(PLAIN)
    assert made == Some("x", (1, 2), None, ((0, 1), (2, 3)))
    assert Some.from_metadata(made.to_metadata()) == made


@pytest.mark.parametrize("row", ["widths", "hu_range", "ranges"])
def test_a_missing_row_is_named(row):
    with pytest.raises(KeyError, match=row):
        Some.from_metadata({key: value for key, value in PLAIN.items() if key != row})


@pytest.mark.parametrize("wrong", [{"widths": 3}, {"ranges": [[1, 2, 3]]}, {"unknown": 1}])
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises((TypeError, ValueError)):
        Some.from_metadata({**PLAIN, **wrong})


def test_weights_from_before_the_calibration_have_none():
    values = SitesSettings().to_metadata()
    del values["score_calibration"]
    assert SitesSettings.from_metadata(values) == SitesSettings()


def test_windows_follow_the_curve_or_cover_the_volume():
    geometry = Geometry((60, 40, 30), (2.0, 2.0, 2.0), (5.0, -3.0, 1.0))
    index = np.stack([np.linspace(0, 59, 30), np.full(30, 20.0), np.full(30, 15.0)], axis=1)
    window = (16, 16, 16)
    along = window_starts(geometry, window, 8, geometry.lps_from_index_zyx(index))
    np.testing.assert_array_equal(along, windows_along(index, window, 8))
    np.testing.assert_array_equal(window_starts(geometry, window, 8, None), dense_windows((60, 40, 30), window))


def test_a_walk_sees_every_window_in_even_batches_and_reports_between():
    hu = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    starts, fractions = np.array([[0, 0, 0], [1, 2, 3], [2, 3, 4], [-1, 0, 0]]), []
    batches = list(walk(hu, starts, (1, 1, 2), lambda stage, fraction: fractions.append(fraction), at_once=3))
    assert [len(seen) for _, seen in batches] == [2, 2] and fractions == [0, 0.5, 1]
    np.testing.assert_array_equal(np.concatenate([some for some, _ in batches]), starts)
    seen = np.concatenate([seen for _, seen in batches])[:, 0, 0]
    np.testing.assert_array_equal(seen, [[0, 1], [33, 34], [59, -1000], [-1000, -1000]])


def test_the_border_of_a_window_is_where_its_outermost_voxels_are():
    places = np.array([[0.0, 5.0], [2.5, 4.0], [4.2, 1.0], [2.0, 9.0]])
    np.testing.assert_allclose(border_voxels(places, (5, 10)), [0.0, 1.5, 0.0, 0.0])
