"""A CT comes into the page: named at the start, from the folder, uploaded, dropped; and what is no CT does not."""

from __future__ import annotations

import os
import time

import pytest
import SimpleITK as sitk
from desk import SHOWN, allowed_s, desk_of
from page_files import LEVELS, write_empty, write_garbage_points, write_label_map, write_text_as_ct
from phantoms import small_phantom
from playwright.sync_api import expect
from VertebraLabelingLib.view.folder import LONGEST_LIST

VIEWS = ("axial", "sagittal", "coronal")
FIRST_PICTURE_S = 10.0
"""From the command, as issue F promises it."""

DROP = """([name, base64]) => {
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name));
    const event = { dataTransfer: data, bubbles: true, cancelable: true };
    for (const kind of ["dragover", "drop"]) document.querySelector("main").dispatchEvent(new DragEvent(kind, event));
}"""


def write_secret_ct(path):
    sitk.WriteImage(small_phantom().scan.to_sitk()[2:, :, :], str(path))


def test_the_ct_named_at_the_start_is_in_all_views(chromium, own_viewer):
    with own_viewer(own_viewer.folder / "phantom.nii.gz") as viewer:
        begin = time.monotonic()
        with desk_of(chromium, viewer, own_viewer.folder) as desk:
            page_s = time.monotonic() - begin
            desk.until(lambda state: state["ct"], "the CT")
            desk.until_shown(1)
            first_s = time.monotonic() - begin
            desk.until_shown(4)
            all_s = time.monotonic() - begin
            assert desk["ct-name"].inner_text().startswith("phantom")
            state = desk.state
            assert state["ct"]["size_ijk"] == [70, 70, 80]
            assert state["points"] == []
            assert [state["views"][view]["orientation"].lower() for view in VIEWS] == list(VIEWS)
            print(
                f"\nthe address {viewer.started_s:.1f} s after the command; after that the page {page_s:.1f} s, "
                f"the first picture {first_s:.1f} s, all views {all_s:.1f} s; "
                f"the first picture {viewer.started_s + first_s:.1f} s after the command"
            )
            assert viewer.started_s + first_s <= allowed_s(FIRST_PICTURE_S)


def test_a_ct_of_the_folder_replaces_the_one_on_show_and_its_points(desk):
    desk.open_file("other.nii.gz")
    state = desk.until(lambda state: state["ct"] and state["ct"]["name"] == "other", "the other CT")
    assert state["points"] == []
    desk.open_file("phantom.nii.gz")
    desk.until(lambda state: state["ct"]["name"] == "phantom", "the phantom again")
    assert desk.page.evaluate(SHOWN) >= 4


def test_a_ct_and_points_that_are_uploaded_are_shown_and_stored_nowhere_in_the_folder(desk, tmp_path):
    before = sorted(desk.folder.iterdir())
    desk.upload(desk.folder / "other.nii.gz")
    desk.until(lambda state: state["ct"]["name"] == "other" and not state["opening"], "the uploaded CT")
    desk.upload(desk.folder / "truth.mrk.json")
    desk.until_names(*LEVELS)
    assert sorted(desk.folder.iterdir()) == before
    desk.open_file("phantom.nii.gz")
    desk.until(lambda state: state["ct"]["name"] == "phantom" and not state["opening"], "the phantom again")


def test_files_can_be_dropped_anywhere(desk):
    from base64 import b64encode

    content = b64encode((desk.folder / "truth.mrk.json").read_bytes()).decode()
    desk["shift-up"].click()
    desk.until(lambda state: state["unsaved"], "a correction")
    desk.page.evaluate(DROP, ["dropped.mrk.json", content])
    desk["question-yes"].click()
    desk.until_names(*LEVELS)


@pytest.mark.parametrize("way", ["folder", "upload"])
@pytest.mark.parametrize(
    ("name", "write", "part"),
    [
        ("text.nii.gz", write_text_as_ct, "text.nii.gz"),
        ("empty.nii.gz", write_empty, "empty.nii.gz"),
        ("labels.nii.gz", write_label_map, "labels.nii.gz"),
        ("garbage.mrk.json", write_garbage_points, "garbage.mrk.json"),
    ],
)
def test_a_file_that_is_no_ct_is_refused_in_a_sentence_and_changes_nothing(desk, tmp_path, way, name, write, part):
    before = desk.state
    place = (desk.folder if way == "folder" else tmp_path) / name
    write(place)
    try:
        if way == "folder":
            desk.open_file(name)
            told = desk.until_told(part, "error")
        else:
            with desk.refusal():
                desk.upload(place)
                told = desk.until_told(part, "error")
    finally:
        place.unlink()
    assert str(tmp_path) not in told
    assert told.strip().splitlines()[0].endswith(".")
    after = desk.until(lambda state: not state["opening"], "the end of reading")
    for what in ("ct", "points", "can_undo", "question", "running"):
        assert after[what] == before[what]


@pytest.mark.parametrize("way", ["absolute", "relative", "link"])
def test_a_header_that_leads_out_of_the_folder_shows_nothing_from_there(desk, tmp_path, way):
    write_secret_ct(tmp_path / "secret.mhd")
    named = {"absolute": tmp_path / "secret.raw", "relative": None, "link": "link.raw"}[way]
    named = named or os.path.relpath(tmp_path / "secret.raw", desk.folder)
    header, link = desk.folder / "evil.mhd", desk.folder / "link.raw"
    header.write_text((tmp_path / "secret.mhd").read_text().replace("secret.raw", str(named)))
    link.symlink_to(tmp_path / "secret.raw")
    before = desk.state
    try:
        desk.open_file("evil.mhd")
        desk.until_told("outside of the folder", "error")
        with desk.refusal():
            desk.upload(header)
            desk.until_told("outside of the folder", "error")
    finally:
        header.unlink()
        link.unlink()
    assert desk.until(lambda state: not state["opening"], "the end of reading")["ct"] == before["ct"]


@pytest.mark.parametrize(("kind", "name"), [("csv", "again.csv"), ("verse", "again_ctd.json")])
def test_points_of_every_kind_that_the_page_saves_can_be_chosen_again(desk, kind, name):
    desk["save-name"].fill("again")
    try:
        desk[f"save-{kind}"].click()
        desk.until_told("Saved", "info")
        desk["shift-up"].click()
        desk.until(lambda state: state["unsaved"], "a correction")
        desk.open_file(name)
        desk["question-yes"].click()
        desk.until_names(*LEVELS)
    finally:
        (desk.folder / name).unlink()


def test_a_folder_that_holds_more_than_the_list_shows_is_told_once(desk):
    files = [desk.folder / f"many{number}.csv" for number in range(LONGEST_LIST + 1)]
    for path in files:
        path.touch()
    try:
        desk["points-table"].focus()
        desk["folder-list"].focus()
        desk.until_told("more than the list shows", "info")
        expect(desk["folder-list"].locator("option[value*=many]")).to_have_count(LONGEST_LIST)
    finally:
        for path in files:
            path.unlink()
