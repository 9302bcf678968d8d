"""A CT of several files: a DICOM series or a header and its data, chosen at once or dropped as a folder."""

from __future__ import annotations

import shutil

import pytest
import SimpleITK as sitk
from desk import desk_of
from dicom_slice import write_ct_series
from phantoms import small_phantom
from VertebraLabelingLib.view.uploads import MOST_FILES

HELD_BACK = """() => {
    const get = DataTransferItem.prototype.webkitGetAsEntry;
    DataTransferItem.prototype.webkitGetAsEntry = function () {
        DataTransferItem.prototype.webkitGetAsEntry = get;
        const entry = get.call(this), reader = entry.createReader();
        const readEntries = (...then) => { window.letGo = () => reader.readEntries(...then); };
        return { name: entry.name, isDirectory: true, isFile: false, createReader: () => ({ readEntries }) };
    };
}"""
"""The next folder that is dropped is read only when window.letGo() is called."""


@pytest.mark.parametrize("beside", [None, "readme.txt"])
def test_a_dicom_series_is_opened_with_whatever_lies_beside_it(desk, tmp_path, beside):
    files = write_ct_series(tmp_path / "series", small_phantom().scan.to_sitk())
    if beside:
        (tmp_path / "series" / beside).write_text("No image.", encoding="utf-8")
        files.append(tmp_path / "series" / beside)
    before = desk.state["ct"]
    desk.upload(*files)
    state = desk.until_series()
    assert state["ct"]["size_ijk"] == before["size_ijk"]
    assert state["ct"]["spacing_mm"] == pytest.approx(before["spacing_mm"], abs=1e-3)
    assert state["message"]["kind"] == "info"
    desk.back_to_the_phantom()


@pytest.mark.parametrize("header", ["a.mhd", "a.nhdr"])
def test_a_header_and_its_data_are_opened(desk, tmp_path, header):
    sitk.WriteImage(small_phantom().scan.to_sitk(), str(tmp_path / header), useCompression=True)
    desk.upload(*sorted(tmp_path.iterdir()))
    desk.until(lambda state: state["ct"]["name"] == "a" and not state["opening"], "the CT")
    desk.back_to_the_phantom()


def test_files_that_are_no_one_scan_are_refused(desk):
    before = desk.state
    with desk.refusal():
        desk.upload(desk.folder / "phantom.nii.gz", desk.folder / "other.nii.gz")
        desk.until_told("no one scan", "error")
    assert desk.state["ct"] == before["ct"]


def test_a_folder_that_is_dropped_is_the_series_in_it_and_below_without_what_is_hidden(desk, tmp_path):
    """Slices of one name in two sub-folders, more of them than a reader gives at a time, and what systems add."""
    before, patient = desk.state["ct"], tmp_path / "PATIENT"
    for number, path in enumerate(write_ct_series(tmp_path / "series", small_phantom().scan.to_sitk())):
        folder = patient / ("lower" if number < 50 else "upper")
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / f"IM{number % 50}")
    for number in range(120):
        (patient / "upper" / f"note{number}.txt").write_text("No image.", encoding="utf-8")
    (patient / ".DS_Store").write_bytes(b"1")
    (patient / ".hidden").mkdir()
    (patient / ".hidden" / "IM0").write_bytes(b"1")
    desk.drop(patient)
    state = desk.until_series()
    assert state["ct"]["size_ijk"] == before["size_ijk"]
    assert state["message"]["text"] == "DICOM series is open."
    desk["label-button"].click()
    desk.until(lambda state: not state["running"] and len(state["points"]) >= 6, "points on the series")
    desk.back_to_the_phantom()


def test_of_two_series_in_a_dropped_folder_the_one_with_most_slices_is_taken_and_told(desk, tmp_path):
    ct = small_phantom().scan.to_sitk()
    write_ct_series(tmp_path / "study" / "a", ct)
    write_ct_series(tmp_path / "study" / "b", ct[:, :, :10], number=2)
    desk.drop(tmp_path / "study")
    assert "Of 2 CT series the one with most slices was taken" in desk.until_series()["message"]["text"]
    desk.back_to_the_phantom()


def test_a_folder_with_one_ct_is_that_ct(desk, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "one.nii.gz").write_bytes((desk.folder / "other.nii.gz").read_bytes())
    (folder / "Thumbs.db").write_bytes(b"1")
    desk.drop(folder)
    desk.until(lambda state: state["ct"]["name"] == "one" and not state["receiving"], "the CT")
    desk.back_to_the_phantom()


@pytest.mark.parametrize("case", ["empty", "many", "large"])
def test_of_a_folder_that_is_refused_nothing_is_sent(chromium, own_viewer, tmp_path, case):
    folder = tmp_path / "dropped"
    folder.mkdir()
    for number in range(MOST_FILES + 1 if case == "many" else 0):
        (folder / f"{number}").touch()
    if case == "large":
        for number in range(3):
            (folder / f"{number}").write_bytes(bytes(400_000))
    part = {"empty": "No file came", "many": f"more than {MOST_FILES} files", "large": "larger than 1 MB"}[case]
    with own_viewer("--upload-limit", 1) as viewer, desk_of(chromium, viewer, own_viewer.folder) as desk:
        with desk.refusal():
            desk.drop(folder)
            desk.until_told(part, "error")
        assert [address for address in desk.requests if address.endswith("/upload")] == []


def test_a_folder_that_cannot_be_read_is_told(desk, tmp_path):
    before, gone = desk.state, tmp_path / "gone"
    (gone / "below").mkdir(parents=True)
    desk.page.evaluate(HELD_BACK)
    desk.drop(gone)
    desk.page.wait_for_function("() => window.letGo")
    shutil.rmtree(gone)
    with desk.refusal():
        desk.page.evaluate("() => window.letGo()")
        desk.until_told("cannot read 'gone'", "error")
    assert desk.state["ct"] == before["ct"]
