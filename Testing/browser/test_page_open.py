"""A CT comes into the page: named at the start, from the folder, uploaded, dropped; and what is no CT does not."""

from __future__ import annotations

import time

import pytest
from desk import SHOWN, desk_of
from page_files import LEVELS, write_empty, write_garbage_points, write_label_map, write_text_as_ct

VIEWS = ("axial", "sagittal", "coronal")

DROP = """([name, base64]) => {
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name));
    const event = { dataTransfer: data, bubbles: true, cancelable: true };
    for (const kind of ["dragover", "drop"]) document.querySelector("main").dispatchEvent(new DragEvent(kind, event));
}"""


def test_the_ct_named_at_the_start_is_in_all_views(chromium, own_viewer):
    with own_viewer(own_viewer.folder / "phantom.nii.gz") as viewer:
        begin = time.monotonic()
        with desk_of(chromium, viewer, own_viewer.folder) as desk:
            page_s = time.monotonic() - begin
            desk.until(lambda state: state["ct"], "the CT")
            desk.until_shown(1)
            first_s = time.monotonic() - begin
            desk.until_shown(4)
            assert desk["ct-name"].inner_text().startswith("phantom")
            state = desk.state
            assert state["ct"]["size_ijk"] == [70, 70, 80]
            assert state["points"] == []
            assert [state["views"][view]["orientation"].lower() for view in VIEWS] == list(VIEWS)
            print(
                f"\nserver {viewer.started_s:.1f} s, page {page_s:.1f} s, first picture {first_s:.1f} s, "
                f"all views {time.monotonic() - begin:.1f} s (after the address was printed)"
            )


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
        desk.open_file(name) if way == "folder" else desk.upload(place)
        told = desk.until_told(part, "error")
    finally:
        place.unlink()
    assert told.strip().splitlines()[0].endswith(".")
    after = desk.until(lambda state: not state["opening"], "the end of reading")
    for what in ("ct", "points", "can_undo", "question", "running"):
        assert after[what] == before[what]
