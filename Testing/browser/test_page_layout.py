"""What is in sight: with many points, in a narrow window, and where there is nothing to show."""

from __future__ import annotations

from itertools import pairwise

import pytest
from desk import SIZE_PX
from playwright.sync_api import expect
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS
from VertebraLabelingLib.core.formats import write_points
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling

SMALL_PX = (1240, 780)
NARROW_PX = (860, 780)
LEAST_VIEW_PX = 250


@pytest.fixture
def shown(desk):
    """Opens points, given by their places (LPS mm), the first of them T1; the window is as it was afterwards."""
    path = desk.folder / "made.mrk.json"

    def show(*places_lps_mm):
        levels = REGULAR_LEVELS[7:]
        points = [LabelledPoint(level, place) for level, place in zip(levels, places_lps_mm, strict=False)]
        write_points(path, Labelling(tuple(points)))
        desk.open_file(path.name)
        return desk.until_names(*[point.level.name for point in points])

    yield show
    path.unlink(missing_ok=True)
    desk.page.set_viewport_size({"width": SIZE_PX[0], "height": SIZE_PX[1]})


def resize(desk, size_px) -> None:
    desk.page.set_viewport_size({"width": size_px[0], "height": size_px[1]})


def test_all_tools_are_in_sight_beside_a_long_table(desk, shown):
    x, y, z = desk.state["points"][0]["position_lps_mm"]
    shown(*[(x, y, z - 7.0 * i) for i in range(19)])
    resize(desk, SMALL_PX)
    for control in ("label-button", "shift-up", "level", "refine", "curve", "redo", "save-name", "download-verse"):
        box = desk[control].bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= SMALL_PX[1], control
    table = desk["points-table"].evaluate("table => [table.clientHeight, table.scrollHeight]")
    assert 100 <= table[0] < table[1]  # it is the table that scrolls


def test_in_a_narrow_window_the_views_keep_their_size_one_below_the_other(desk, shown):
    resize(desk, NARROW_PX)
    boxes = [desk[f"view-{view}"].bounding_box() for view in ("sagittal", "coronal", "axial", "3d", "curved")]
    assert all(box["height"] >= LEAST_VIEW_PX for box in boxes)
    tops = sorted((box["y"], box["height"]) for box in boxes)
    assert all(upper + height <= lower + 1 for (upper, height), (lower, _) in pairwise(tops))


def test_points_that_lie_along_no_spine_have_a_sentence_in_place_of_the_straightened_view(desk, shown):
    x, y, z = desk.state["points"][2]["position_lps_mm"]
    shown((x - 30, y, z), (x + 30, y, z))
    expect(desk["curved-empty"]).to_contain_text("beside each other")
