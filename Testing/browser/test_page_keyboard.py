"""All by keyboard: the mouse is never used here."""

from __future__ import annotations

import pytest
from page_files import LEVELS
from playwright.sync_api import expect

FOCUSABLE = [
    "folder-list", "open-button", "file-input", "method", "label-button", "points-table", "shift-up", "shift-down",
    "level", "insert-above", "delete", "confirm", "undo", "save-name", "save-markups", "download-csv",
]  # fmt: skip
FOCUSED = "() => document.activeElement?.dataset?.testid ?? ''"


def test_tab_reaches_every_control_in_order_and_leaves_again(desk):
    desk["shift-up"].focus()
    desk.page.keyboard.press("Enter")  # so that Undo can be reached
    desk.until(lambda state: state["can_undo"], "a correction")
    desk.select_by_keyboard("L2")
    desk["folder-list"].select_option("other.nii.gz")  # so that Open can be reached
    desk["folder-list"].focus()
    reached = [desk.page.evaluate(FOCUSED)]
    while len(reached) < 80 and (len(reached) == 1 or reached[-1] not in ("", "folder-list")):
        desk.page.keyboard.press("Tab")
        reached.append(desk.page.evaluate(FOCUSED))
    positions = [reached.index(name) for name in FOCUSABLE]
    assert positions == sorted(positions)
    assert reached[-1] in ("", "folder-list"), "Tab never came out of the page"


def test_rows_are_walked_with_arrows_and_the_slices_follow(desk):
    desk["points-table"].focus()
    for key, index in (("Home", 0), ("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("End", 7), ("PageUp", 0)):
        desk.page.keyboard.press(key)
        state = desk.until(lambda s, i=index: s["selected"] == i, f"row {index} after {key}")
        assert all(state["points"][index]["in_slice"].values())
        expect(desk[f"point-row-{index}"]).to_have_attribute("data-selected", "true")


def test_shift_undo_redo_by_keys_anywhere(desk):
    desk["points-table"].focus()
    desk.page.keyboard.press("Control+ArrowUp")
    desk.until_names("T11", "T12", *LEVELS[1:-1])
    desk.page.keyboard.press("z")
    desk.until_names(*LEVELS)
    desk.page.keyboard.press("y")
    desk.until_names("T11", "T12", *LEVELS[1:-1])
    desk.page.keyboard.press("Control+ArrowDown")
    desk.until_names(*LEVELS)
    desk.page.keyboard.press("Control+z")
    desk.until_names("T11", "T12", *LEVELS[1:-1])


def test_a_view_with_the_focus_is_scrolled_and_enlarged_by_keys_and_a_point_nudged(desk):
    before = desk.select("L2")
    place = before["points"][2]["position_lps_mm"]
    desk["canvas-axial"].focus()
    for key, way in (("ArrowUp", 1), ("ArrowDown", -1), ("PageDown", -1), ("PageUp", 1)):
        was_mm = desk.state["views"]["axial"]["offset_mm"]
        desk.page.keyboard.press(key)
        state = desk.until(lambda s, mm=was_mm: s["views"]["axial"]["offset_mm"] != mm, f"another slice by {key}")
        assert (state["views"]["axial"]["offset_mm"] - was_mm) * way > 0
    gap_px = _between_points(before)
    desk["canvas-sagittal"].focus()
    desk.page.keyboard.press("+")
    desk.until(lambda state: _between_points(state) > 1.1 * gap_px, "a larger slice")
    desk.page.keyboard.press("-")
    desk.until(lambda state: _between_points(state) == pytest.approx(gap_px, rel=0.01), "the slice as it was")
    for key, step in (("Alt+ArrowRight", (0, 1, 0)), ("Alt+ArrowDown", (0, 0, -1))):
        desk.page.keyboard.press(key)
        place = [a + b for a, b in zip(place, step, strict=True)]
        state = desk.until(
            lambda s, to=place: s["points"][2]["position_lps_mm"] == pytest.approx(to, abs=0.02), f"L2 moved by {key}"
        )
        desk.until(lambda s: all(s["points"][2]["in_slice"].values()), "the slices with it")
    desk.page.keyboard.press("z")
    desk.page.keyboard.press("z")
    after = desk.until(lambda s: not s["can_undo"], "both nudges taken back")
    assert [p["position_lps_mm"] for p in after["points"]] == [p["position_lps_mm"] for p in before["points"]]


def _between_points(state) -> float:
    """Pixels between L2 and L3 in the sagittal slice."""
    return state["points"][3]["at"]["sagittal"][1] - state["points"][2]["at"]["sagittal"][1]


@pytest.mark.parametrize("key", ["Enter", "F2"])
def test_a_point_is_renamed_by_keys_in_the_table(desk, key):
    desk.select_by_keyboard("L3")
    desk.page.keyboard.press(key)
    expect(desk["rename"]).to_be_focused()
    desk.page.keyboard.type("l6")
    desk.page.keyboard.press("Escape")
    expect(desk["rename"]).to_have_count(0)
    assert desk.viewer.names == LEVELS
    desk.page.keyboard.press(key)
    desk.page.keyboard.type("l6")
    desk.page.keyboard.press("Enter")
    desk.until_names(*LEVELS[:3], "L6", *LEVELS[4:])
    desk.page.keyboard.press("ArrowUp")  # the focus is in the table again
    desk.until(lambda state: state["selected"] == 2, "the row above")


def test_the_keys_are_listed(desk):
    desk["points-table"].focus()
    desk.page.keyboard.press("?")
    expect(desk["keys"]).to_contain_text("1 mm")
    desk.page.keyboard.press("Escape")
    expect(desk["keys"]).to_have_count(0)


def test_the_focus_is_somewhere_when_the_list_of_keys_was_closed(desk):
    desk["keys-button"].focus()
    desk.page.keyboard.press("Enter")
    desk["keys"].get_by_role("button").focus()
    desk.page.keyboard.press("Enter")
    expect(desk["keys"]).to_have_count(0)
    expect(desk["keys-button"]).to_be_focused()


def test_no_name_is_typed_while_a_run_could_end_between_the_letters(desk):
    desk.select_by_keyboard("L3")
    desk["label-button"].click()
    expect(desk["cancel-button"]).to_be_visible()
    desk["points-table"].focus()
    desk.page.keyboard.press("Enter")
    desk.until_told("Wait for the run", "error")
    expect(desk["rename"]).to_have_count(0)
    desk["cancel-button"].click()
    desk.until(lambda state: not state["running"], "the end of the run")
    assert desk.viewer.names == LEVELS


def test_confirm_and_delete_by_keys_in_the_table(desk):
    desk.select_by_keyboard("L3")
    desk.page.keyboard.press("l")
    desk.until(lambda state: state["points"][3]["locked"], "L3 locked")
    desk.page.keyboard.press("Delete")
    expect(desk["question"]).to_be_visible()
    desk.page.keyboard.press("Escape")
    desk.until(lambda state: not state["question"], "the question gone")
    assert desk.viewer.names == LEVELS
    desk["points-table"].focus()
    desk.page.keyboard.press("l")
    desk.until(lambda state: not state["points"][3]["locked"], "L3 unlocked")
    desk.page.keyboard.press("Delete")
    desk.until_names(*[name for name in LEVELS if name != "L3"])


def test_a_question_takes_the_focus_is_answered_by_keys_and_gives_it_back(desk):
    desk.select_by_keyboard("L1")
    desk.page.keyboard.press("l")
    desk.until(lambda state: state["points"][1]["locked"], "L1 locked")
    desk.page.keyboard.press("Control+ArrowUp")
    expect(desk["question-no"]).to_be_focused()  # the answer that changes nothing
    desk.page.keyboard.press("Tab")
    expect(desk["question-yes"]).to_be_focused()
    desk.page.keyboard.press("Enter")
    desk.until_names("T11", "T12", *LEVELS[1:-1])
    expect(desk["points-table"]).to_be_focused()


@pytest.mark.parametrize("control", ["save-name", "level"])
def test_letters_typed_into_a_field_correct_nothing(desk, control):
    desk["shift-up"].focus()
    desk.page.keyboard.press("Enter")
    before = desk.until(lambda state: state["can_undo"], "a correction")
    desk[control].focus()
    desk.page.keyboard.type("zyl")
    desk.page.keyboard.press("Delete")
    desk.page.keyboard.press("Escape")
    desk["points-table"].focus()
    desk.page.keyboard.press("End")  # what comes after it has been dealt with
    after = desk.until(lambda state: state["selected"] == len(LEVELS) - 1, "the last row")
    assert [p["name"] for p in after["points"]] == [p["name"] for p in before["points"]]


def test_a_run_begins_and_is_cancelled_by_keys(desk):
    desk["label-button"].focus()
    desk.page.keyboard.press("Enter")
    expect(desk["cancel-button"]).to_be_visible()
    desk["cancel-button"].focus()
    desk.page.keyboard.press("Enter")
    desk.until(lambda state: not state["running"], "the end of the run")
    assert desk.viewer.names == LEVELS
