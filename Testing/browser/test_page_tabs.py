"""One user at a time: a second tab, a tab that is loaded again, a viewer that ends."""

from __future__ import annotations

from desk import Desk, desk_of
from page_files import LEVELS
from playwright.sync_api import expect


def test_a_second_tab_may_take_over_and_finds_all_as_it_was(chromium, own_viewer):
    with (
        own_viewer(own_viewer.folder / "phantom.nii.gz") as viewer,
        desk_of(chromium, viewer, own_viewer.folder) as first,
    ):
        first.until(lambda state: state["ct"] and not state["opening"], "the CT")
        first.open_points("truth.mrk.json")
        first["shift-up"].click()
        first.until(lambda state: state["unsaved"], "a correction")
        before = viewer.state()
        second = Desk(first.page.context.new_page(), viewer, own_viewer.folder)
        second.page.goto(viewer.address)
        expect(second["busy"]).to_be_visible()
        first["shift-down"].click()  # the first tab is still at work
        first.until_names(*LEVELS)
        first["undo"].click()
        first.until(lambda state: state["points"] == before["points"], "the shift again")
        second["take-over"].click()
        expect(second["page"]).to_have_attribute("data-ready", "true")
        expect(first["taken-over"]).to_be_visible()
        expect(second["point-row-0"]).to_have_attribute("data-name", "T11")
        second["undo"].click()
        second.until_names(*LEVELS)
        second.until_shown(4)
        first["take-over"].click()
        expect(first["page"]).to_have_attribute("data-ready", "true")
        expect(second["taken-over"]).to_be_visible()
        expect(first["point-row-0"]).to_have_attribute("data-name", "T12")
        second.stays_at_home()


def test_a_page_loaded_again_finds_all_as_it_was(desk):
    desk["shift-up"].click()
    before = desk.until(lambda state: state["unsaved"], "a correction")
    desk.page.reload()
    expect(desk["page"]).to_have_attribute("data-ready", "true")
    expect(desk["point-row-0"]).to_have_attribute("data-name", "T11")
    desk.until_shown(4)
    assert desk.state["points"] == before["points"]
    desk["undo"].click()
    desk.until_names(*LEVELS)


def test_a_run_outlives_the_page_that_began_it(desk):
    desk["label-button"].click()
    expect(desk["cancel-button"]).to_be_visible()
    desk.page.reload()
    expect(desk["cancel-button"]).to_be_visible()
    desk["cancel-button"].click()
    desk.until(lambda state: not state["running"], "the end of the run")
    assert desk.viewer.names == LEVELS


def test_when_the_viewer_ends_the_page_says_so(chromium, own_viewer):
    with own_viewer(own_viewer.folder / "phantom.nii.gz") as viewer:
        context = chromium.new_context()
        desk = Desk(context.new_page(), viewer, own_viewer.folder).open()
        desk.until(lambda state: state["ct"] and not state["opening"], "the CT")
        viewer.process.terminate()
        expect(desk["taken-over"]).to_contain_text("ended")
        assert viewer.process.wait(30) == 0
        context.close()
