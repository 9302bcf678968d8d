"""Settings out of JSON values, and where windows go."""

from __future__ import annotations

import numpy as np
import pytest
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.windows import dense_windows, windows_along
from VertebraLabelingLib.methods.metadata import with_tuples
from VertebraLabelingLib.methods.placement import window_starts
from VertebraLabelingLib.methods.sites.settings import SitesSettings


def test_lists_become_tuples_and_none_stays():
    values = {"widths": [1, 2], "hu_range": None, "ranges": [[0, 1], [2, 3]], "name": "x"}
    made = with_tuples(values, sizes=("widths", "hu_range"), ranges=("ranges",))
    assert made == {"widths": (1, 2), "hu_range": None, "ranges": ((0, 1), (2, 3)), "name": "x"}


def test_a_missing_key_is_named_unless_it_is_optional():
    with pytest.raises(KeyError, match="widths"):
        with_tuples({"ranges": []}, sizes=("widths",), ranges=("ranges",))
    with pytest.raises(KeyError, match="ranges"):
        with_tuples({"widths": [1]}, sizes=("widths",), ranges=("ranges",))
    assert with_tuples({}, sizes=("later",), optional=("later",)) == {}


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
