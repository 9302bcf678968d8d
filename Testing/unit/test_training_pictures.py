"""Pictures of the validation: the points that an output holds, and where they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level  # noqa: E402
from VertebraLabelingLib.methods.sites.network import SitesOutput  # noqa: E402

from training.pictures import Points, draw_window_picture, of_levels, of_sites  # noqa: E402
from training.sampling import Window  # noqa: E402
from training.tasks import make_task  # noqa: E402


def test_a_peak_is_a_point_with_the_level_that_is_likeliest_there() -> None:
    task = make_task("sites", {"window_zyx": [32, 16, 16]}, {})
    maps = torch.full((1, 2, 16, 8, 8), -9.0)
    maps[0, :, 5, 4, 3] = 30.0
    levels = torch.zeros(1, 26, 8, 4, 4)
    levels[0, REGULAR_LEVELS.index(Level.L2)] = 5.0
    found = of_sites(SitesOutput(maps[:, 0], maps[:, 1], levels), task)
    assert [Level(v) for v in found.levels] == [Level.L2]
    np.testing.assert_allclose(found.points_mm, [[22.0, 18.0, 14.0]], atol=1e-3)


def test_levels_are_drawn_where_they_are_present() -> None:
    task = make_task("integral-regression", {}, {})
    logits, coordinates = torch.full((1, 26), -3.0), torch.ones(1, 26, 3)
    logits[0, REGULAR_LEVELS.index(Level.T3)] = 1.0
    found = of_levels((logits, coordinates), task)
    assert [Level(v) for v in found.levels] == [Level.T3]
    np.testing.assert_allclose(found.points_mm, [[6.0, 6.0, 6.0]])


def test_the_picture_names_true_and_found_points_in_both_views() -> None:
    hu = torch.full((20, 10, 12), -500.0)
    hu[10, 5, 6] = 600.0
    points = np.array([[21.0, 11.0, 13.0], [90.0, 11.0, 13.0]])
    levels = np.array([Level.T12, Level.T11])
    window = Window(hu, levels, points, np.empty((0, 3)), (0.0, 40.0), np.array([40.0, 20.0, 24.0]))
    figure = draw_window_picture(window, Points(np.array([Level.L1]), points[:1]), 2.0)
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["T12", "L1"]] * 2
    for axes, place in zip(figure.axes, ((11.0, 21.0), (13.0, 21.0)), strict=True):
        assert axes.texts[0].xy == place
        shown = axes.images[0].get_array()
        (row, column), size = np.argwhere(shown == 600)[0], np.array(shown.shape)
        assert (row, column) == (int(21.0 / 40 * size[0]), int(place[0] / (2 * size[1]) * size[1]))
