"""Labelling from the page: a phantom, a patient's neck, and a run that is given up."""

from __future__ import annotations

import os
import shutil
import time

import pytest
from desk import allowed_s, desk_of, middle, names_of
from page_files import LEVELS
from playwright.sync_api import expect
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS

NECK = "neck/neck-236.nii.gz"
"""Of the split "val": no weights were trained on it."""
NECK_S = 15.0
"""From click to points, as issue F promises it."""
BETWEEN_CLICKS_MS = 600
"""More than between the two of a double click."""


def label(desk) -> float:
    """Press the button and wait for the points; seconds from click to points."""
    begin = time.monotonic()
    desk["label-button"].click()
    expect(desk["progress"]).to_be_visible()
    expect(desk["cancel-button"]).to_be_enabled()
    desk.until(lambda state: not state["running"] and state["points"], "points")
    return time.monotonic() - begin


def test_a_click_names_all_vertebrae_of_the_phantom(desk):
    took_s = label(desk)
    state = desk.state
    found = names_of(state)
    first = REGULAR_LEVELS.index(next(level for level in REGULAR_LEVELS if level.name == found[0]))
    assert found == [level.name for level in REGULAR_LEVELS[first : first + len(found)]]
    assert len(found) >= len(LEVELS) - 1
    expect(desk["summary"].first).to_contain_text(f"{found[0]}-{found[-1]}")
    expect(desk["points-table"].locator("[data-testid^=point-row-]")).to_have_count(len(found))
    expect(desk["curved-label-0"]).to_contain_text(found[0])
    print(f"\nphantom: {took_s:.1f} s from click to points, load {os.getloadavg()[0]:.1f}")


def test_a_run_that_is_cancelled_leaves_the_points_as_they_were(desk):
    desk["shift-up"].click()
    before = desk.until(lambda state: state["unsaved"], "corrections")
    desk["label-button"].click()
    desk["question-yes"].click()  # the corrections would be replaced
    desk["cancel-button"].click()
    after = desk.until(lambda state: not state["running"], "the end of the run")
    assert after["points"] == before["points"]
    assert after["unsaved"]
    expect(desk["label-button"]).to_be_enabled()


def test_labelling_again_over_corrections_begins_only_after_a_yes(desk):
    desk["shift-up"].click()
    before = desk.until(lambda state: state["unsaved"], "corrections")
    desk["label-button"].click()
    desk["question-no"].click()
    after = desk.until(lambda state: not state["question"], "the question gone")
    assert not after["running"]
    assert after["points"] == before["points"]


def test_while_a_run_goes_on_nothing_else_can_be_changed(desk):
    desk["label-button"].click()
    expect(desk["cancel-button"]).to_be_visible()
    expect(desk["shift-up"]).to_be_disabled()
    expect(desk["delete"]).to_be_disabled()
    desk.page.keyboard.press("Control+ArrowUp")
    desk.open_file("other.nii.gz")
    desk.until(lambda state: state["message"]["kind"] == "error", "a refusal")
    assert desk.state["ct"]["name"] == "phantom"
    assert desk.viewer.names == LEVELS
    desk["cancel-button"].click()
    desk.until(lambda state: not state["running"], "the end of the run")


@pytest.mark.shared
def test_a_patients_neck_is_labelled(chromium, own_viewer, shared_data):
    file = shared_data / NECK
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    shutil.copy(file, own_viewer.folder)
    place = own_viewer.folder / file.name
    with own_viewer(place) as viewer, desk_of(chromium, viewer, own_viewer.folder) as desk:
        desk.until(lambda state: state["ct"], "the CT")
        took_s = label(desk)
        print(f"\nneck: {took_s:.1f} s from click to points")
        assert desk.viewer.names == ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3", "T4", "T5"]
        assert not desk.state["is_level_unsure"]
        assert took_s <= allowed_s(NECK_S)
        expect(desk["curved-label-0"]).to_contain_text("C1")


def test_a_double_click_begins_a_run_and_does_not_cancel_it(desk):
    x, y = middle(desk["label-button"])
    desk.page.mouse.click(x, y)
    expect(desk["cancel-button"]).to_be_visible()  # in the same place
    desk.page.mouse.down(click_count=2)
    desk.page.mouse.up(click_count=2)
    desk.page.wait_for_timeout(BETWEEN_CLICKS_MS)
    state = desk.state
    assert (state["running"], state["stopping"], state["message"]["text"]) == (True, False, "")
    desk.page.wait_for_timeout(BETWEEN_CLICKS_MS)
    desk["cancel-button"].click()
    desk.until(lambda state: not state["running"], "the end of the run")
