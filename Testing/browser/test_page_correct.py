"""Corrections in the page: each is the module's own tool; tested is that the page reaches it and shows what it did."""

from __future__ import annotations

import json
import math

import pytest
from desk import point_of
from page_files import LEVELS
from playwright.sync_api import expect


def places_of(state) -> list[list[float]]:
    return [point["position_lps_mm"] for point in state["points"]]


def test_a_point_dragged_by_mouse_moves_in_the_slice_and_in_the_saved_file(desk):
    before = desk.select("L2")
    desk["save-name"].fill("dragged")
    path = desk.folder / "dragged.mrk.json"
    try:
        desk["save-markups"].click()
        desk.until_saved(path)
        first = path.read_text(encoding="utf-8")
        state = desk.drag("sagittal", "L2", 30, 20)
        x, y, z = (b - a for a, b in zip(*(point_of(s, "L2")["position_lps_mm"] for s in (before, state)), strict=True))
        assert abs(x) < 0.05  # within the sagittal slice
        assert y > 5  # to the right of the picture is to the back
        assert z < -3
        assert places_of(state)[3:] == places_of(before)[3:]
        assert point_of(state, "L2")["remark"] == "moved by hand"
        desk["save-markups"].click()
        expect(desk["question"]).to_contain_text("Replace it?")
        desk["question-yes"].click()
        desk.until(lambda s: not s["unsaved"] and not s["question"], "saved")
        second = path.read_text(encoding="utf-8")
    finally:
        path.unlink(missing_ok=True)
    assert second != first
    saved = {p["label"]: p["position"] for p in json.loads(second)["markups"][0]["controlPoints"]}
    for point in state["points"]:
        assert saved[point["name"]] == pytest.approx(point["position_lps_mm"], abs=0.01)


def test_a_point_dragged_out_of_the_ct_is_told_and_comes_back_by_undo(desk):
    before = desk.select("T12")
    x, y = desk.on_screen("sagittal", "T12")
    picture = desk["view-sagittal"].locator("img").bounding_box()
    desk.drag("sagittal", "T12", picture["x"] + 2 - x, picture["y"] + 2 - y)
    desk["canvas-sagittal"].focus()
    for _ in range(4):
        desk.page.keyboard.press("Alt+ArrowUp")
    expect(desk["problem-list"]).to_contain_text("T12 lies outside of the CT")
    label = desk["curved-label-0"]
    desk.until(lambda _: label.is_visible() and label.bounding_box()["y"] > 0, "the straightened view with it")
    while desk.state["can_undo"]:
        desk["undo"].click()
        desk.page.wait_for_timeout(100)
    after = desk.until(lambda state: not state["can_undo"], "all steps taken back")
    assert places_of(after) == places_of(before)
    expect(desk["problem-list"]).to_have_count(0)


def test_a_drag_is_one_step_of_undo_and_redo(desk):
    before = desk.select("L4")
    moved = desk.drag("coronal", "L4", -25, 0)
    assert moved != before
    desk["undo"].click()
    back = desk.until(lambda state: places_of(state) == places_of(before), "the place before the drag")
    assert back["can_redo"]
    assert not back["can_undo"]
    desk["redo"].click()
    desk.until(lambda state: places_of(state) == places_of(moved), "the place after the drag")


def test_all_names_one_down_and_up_undo_and_redo(desk):
    shifted = ["L1", "L2", "L3", "L4", "L5", "S1", "S2"]
    desk["shift-up"].click()
    up = desk.until_names("T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1")
    assert places_of(up) == places_of(desk.state)
    desk["shift-down"].click()
    desk.until_names(*LEVELS)
    desk["undo"].click()
    desk.until_names("T11", "T12", *shifted[:-1])
    desk["undo"].click()
    desk.until_names(*LEVELS)
    desk["redo"].click()
    desk.until_names("T11", "T12", *shifted[:-1])
    expect(desk["redo"]).to_be_enabled()


def test_what_cannot_be_done_is_told_in_a_sentence_and_changes_nothing(desk):
    desk["shift-down"].click()
    told = desk.until_told("S2", "error")
    assert told.strip().splitlines()[0].endswith(".")
    assert desk.viewer.names == LEVELS


@pytest.mark.parametrize(
    ("reach", "after"),
    [
        ("reach-only", ["T12", "L1", "T9", "L3", "L4", "L5", "S1", "S2"]),
        ("reach-up", ["T7", "T8", "T9", "L3", "L4", "L5", "S1", "S2"]),
        ("reach-down", ["T12", "L1", "T9", "T10", "T11", "T12", "L1", "L2"]),
    ],
)
def test_a_point_is_named_anew_alone_or_with_those_above_or_below(desk, reach, after):
    desk.select("L2")
    desk["level"].select_option("T9")
    desk[reach].click()
    desk.until_names(*after)
    rows = desk.page.locator("[data-testid^=point-row-]")
    expect(rows.nth(2)).to_have_attribute("data-name", "T9")
    expect(desk["problem-list"].locator("li").first).to_be_visible()  # such names do not fit the places
    desk["undo"].click()
    desk.until_names(*LEVELS)


def test_a_deleted_point_is_inserted_again_near_its_place(desk):
    before = desk.select("L3")
    desk["delete"].click()
    without = [name for name in LEVELS if name != "L3"]
    desk.until_names(*without)
    desk.select("L4")
    desk["insert-above"].click()
    state = desk.until_names(*LEVELS)
    old, new = (point_of(s, "L3")["position_lps_mm"] for s in (before, state))
    assert sum((a - b) ** 2 for a, b in zip(old, new, strict=True)) ** 0.5 < 8
    desk.select("T12")
    desk["insert-above"].click()
    desk.until_names("T11", *LEVELS)


def test_a_click_meets_the_row_under_the_mouse_although_the_one_above_is_just_deleted(desk):
    desk.select("L3")
    clicks = ("[data-testid=delete]", ".point[data-name=L5]")  # at once: the page does not know of the deletion yet
    desk.page.evaluate("names => names.forEach(name => document.querySelector(name).click())", clicks)
    state = desk.until_names(*(name for name in LEVELS if name != "L3"))
    assert [point["name"] for point in state["points"] if point["is_selected"]] == ["L5"]


def test_confirmed_points_are_renamed_only_after_a_yes(desk):
    desk["lock-2"].click()
    desk.until(lambda state: point_of(state, "L2")["locked"], "L2 locked")
    desk["shift-up"].click()
    expect(desk["question"]).to_contain_text("L2")
    desk["question-no"].click()
    desk.until(lambda state: not state["question"], "the question gone")
    assert desk.viewer.names == LEVELS
    desk["shift-up"].click()
    desk["question-yes"].click()
    desk.until_names("T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1")


def test_several_rows_are_confirmed_and_deleted_together(desk):
    desk.select("L1")
    desk.row("L3").click(modifiers=["Shift"])
    desk.until(lambda state: sum(p["is_selected"] for p in state["points"]) == 3, "three rows selected")
    desk["confirm"].click()
    desk.until(
        lambda state: [p["locked"] for p in state["points"]] == [False, True, True, True] + 4 * [False], "locked"
    )
    desk["unlock"].click()
    desk.until(lambda state: not any(p["locked"] for p in state["points"]), "unlocked")
    desk["delete"].click()
    desk.until_names("T12", "L4", "L5", "S1", "S2")


def test_counting_again_with_six_lumbar_vertebrae(desk):
    desk["anomaly"].select_option("SIX_LUMBAR")
    desk.until_names("T12", "L1", "L2", "L3", "L4", "L5", "L6", "S1")
    expect(desk["anomaly"]).to_have_value("")
    desk["undo"].click()
    desk.until_names(*LEVELS)


def test_a_row_brings_the_slices_to_its_point(desk):
    for name in ("S1", "T12"):
        state = desk.select(name)
        place = point_of(state, name)
        state = desk.until(lambda s, n=name: all(point_of(s, n)["in_slice"].values()), f"{name} in all slices")
        assert state["views"]["axial"]["offset_mm"] == pytest.approx(place["position_lps_mm"][2], abs=0.01)


def test_the_crosshair_and_the_words_over_the_slices_go_with_a_jump(desk):
    desk.select("T12")
    before = desk.crosshair("sagittal")
    state = desk.select("L4")
    x, y, z = point_of(state, "L4")["position_lps_mm"]
    for view, side in (
        ("sagittal", f"{'R' if x <= 0 else 'L'} {abs(x):.1f} mm"),
        ("coronal", f"{'A' if y <= 0 else 'P'} {abs(y):.1f} mm"),
        ("axial", f"{'S' if z >= 0 else 'I'} {abs(z):.1f} mm"),
    ):
        expect(desk[f"offset-{view}"]).to_have_text(side)
    desk.until(lambda _: desk.crosshair("sagittal") not in (None, before), "the crosshair elsewhere")
    for view in ("sagittal", "coronal"):
        across, down = point_of(desk.state, "L4")["at"][view]
        desk.until(
            lambda _, v=view, to=(across, down): (
                (cross := desk.crosshair(v)) is not None and max(abs(cross[i] - to[i]) for i in (0, 1)) <= 2
            ),
            f"the crosshair on L4 in {view}",
        )


def test_the_wheel_goes_through_the_slices_and_right_drag_enlarges_them(desk):
    desk.select("L2")
    before = desk.state["views"]["axial"]["offset_mm"]
    x, y = desk.middle_of("axial")
    desk.page.mouse.move(x, y)
    desk.page.mouse.wheel(0, -120)
    state = desk.until(lambda s: s["views"]["axial"]["offset_mm"] != before, "another slice")
    assert 0 < abs(state["views"]["axial"]["offset_mm"] - before) <= 15
    t12, s2 = (point_of(state, name)["at"]["sagittal"][1] for name in ("T12", "L5"))
    x, y = desk.middle_of("sagittal")
    desk.page.mouse.move(x + 60, y)
    desk.page.mouse.down(button="right")
    desk.page.mouse.move(x + 60, y + 40, steps=4)
    desk.page.mouse.up(button="right")
    places = [("T12", t12), ("L5", s2)]

    def is_larger(now) -> bool:
        seen = [point_of(now, name)["at"]["sagittal"] for name, _ in places]
        return None in seen or abs(seen[1][1] - seen[0][1]) > 1.05 * (s2 - t12)

    desk.until(is_larger, "a larger sagittal slice")
    desk["canvas-sagittal"].focus()
    for _ in range(12):  # as it was, for whoever comes next
        now = point_of(desk.state, "T12")["at"]["sagittal"]
        low = point_of(desk.state, "L5")["at"]["sagittal"]
        if now is not None and low is not None and low[1] - now[1] <= 1.1 * (s2 - t12):
            break
        desk.page.keyboard.press("-")
        desk.page.wait_for_timeout(200)


def test_refine_moves_the_selected_point_to_the_middle_of_its_body(desk):
    truth = point_of(desk.select("L3"), "L3")["position_lps_mm"]
    moved = desk.drag("sagittal", "L3", 8, 6)
    off = math.dist(point_of(moved, "L3")["position_lps_mm"], truth)
    desk["refine"].click()
    desk.until(lambda state: state["running"], "a refinement")
    state = desk.until(lambda s: not s["running"] and not s["message"]["text"], "its end")
    assert math.dist(point_of(state, "L3")["position_lps_mm"], truth) < off
    assert point_of(state, "L3")["remark"] != "moved by hand"
    assert places_of(state)[:3] == places_of(moved)[:3]


def test_a_name_is_typed_into_the_table(desk):
    desk.row("L2").locator(".name").dblclick()
    expect(desk["rename"]).to_be_focused()
    desk["rename"].fill("t11")
    desk.page.keyboard.press("Enter")
    desk.until_names("T12", "L1", "T11", *LEVELS[3:])
    expect(desk["points-table"]).to_be_focused()
    desk["undo"].click()
    desk.until_names(*LEVELS)
    desk.row("L2").locator(".name").dblclick()
    desk["rename"].fill("lumbar")
    desk.page.keyboard.press("Enter")
    desk.until_told("choose a level", "error")
    assert desk.viewer.names == LEVELS


def test_a_curve_is_drawn_through_the_spine(desk):
    state = desk.select("L2")
    (x, y), (x2, y2) = (point_of(state, name)["at"]["sagittal"] for name in ("L3", "L4"))
    between = ((x + x2) / 2 - 10, (y + y2) / 2, 20)
    assert desk.lightest("sagittal", *between) < 200  # a disc
    desk["curve"].click()
    desk.until(lambda _: desk.lightest("sagittal", *between) > 200, "the curve")


def test_a_level_in_the_curved_view_brings_the_slices_there(desk):
    desk.select("T12")
    expect(desk["curved-label-5"]).to_be_visible()
    desk["curved-label-5"].click()
    desk.until(
        lambda state: state["selected"] == 5 and all(state["points"][5]["in_slice"].values()), "L5 in all slices"
    )


def test_a_click_into_the_curved_view_between_two_levels_brings_the_slices_there(desk):
    state = desk.select("T12")
    l3, l4 = (point_of(state, name)["position_lps_mm"][2] for name in ("L3", "L4"))
    boxes = [desk[f"curved-label-{i}"].bounding_box() for i in (3, 4)]
    picture = desk["view-curved"].locator("img").bounding_box()
    middle = sum(box["y"] + box["height"] / 2 for box in boxes) / 2
    desk["view-curved"].locator("img").click(
        position={"x": picture["width"] * 0.25, "y": middle - picture["y"]}, force=True
    )
    state = desk.until(lambda s: l4 < s["views"]["axial"]["offset_mm"] < l3, "an axial slice between L3 and L4")
    assert state["views"]["axial"]["offset_mm"] == pytest.approx((l3 + l4) / 2, abs=4)


def test_the_curved_view_follows_the_names(desk):
    expect(desk["curved-label-0"]).to_contain_text("T12")
    desk["shift-up"].click()
    expect(desk["curved-label-0"]).to_contain_text("T11")
