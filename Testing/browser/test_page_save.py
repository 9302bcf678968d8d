"""Points leave the page as files that this program and Slicer read, and come back as they were."""

from __future__ import annotations

import pytest
from dicom_slice import write_ct_series
from page_files import LEVELS, truth
from phantoms import small_phantom
from playwright.sync_api import expect
from VertebraLabelingLib.core.formats import read_points

ENDINGS = {"markups": ".mrk.json", "csv": ".csv", "verse": "_ctd.json"}


@pytest.mark.parametrize("kind", ENDINGS)
def test_what_is_saved_and_what_is_downloaded_is_what_is_on_show(desk, kind, tmp_path):
    path = desk.folder / f"kept{ENDINGS[kind]}"
    desk["save-name"].fill("kept")
    try:
        desk[f"save-{kind}"].click()
        desk.until_saved(path)
        saved = read_points(path, small_phantom().scan.geometry)
    finally:
        path.unlink(missing_ok=True)
    with desk.page.expect_download() as download:
        desk[f"download-{kind}"].click()
    assert download.value.suggested_filename == f"phantom{ENDINGS[kind]}"
    target = tmp_path / download.value.suggested_filename
    download.value.save_as(target)
    downloaded = read_points(target, small_phantom().scan.geometry)
    for points in (saved, downloaded):
        assert [point.level.name for point in points] == LEVELS
        for point, expected in zip(points, truth().points, strict=True):
            assert point.position_lps_mm == pytest.approx(expected.position_lps_mm, abs=0.05)


def test_a_report_of_a_series_that_was_dropped_refers_to_it(desk, tmp_path):
    from pydicom import dcmread

    expect(desk["save-report"]).to_have_count(0)  # the phantom is no DICOM
    write_ct_series(tmp_path / "series", small_phantom().scan.to_sitk())
    desk.drop(tmp_path / "series")
    desk.until_series()
    desk.open_file("truth.mrk.json")
    desk.until_names(*LEVELS)
    desk["save-name"].fill("kept")
    path = desk.folder / "kept.dcm"
    try:
        desk["save-report"].click()
        desk.until_saved(path)
        saved = dcmread(path)
    finally:
        path.unlink(missing_ok=True)
    with desk.page.expect_download() as download:
        desk["download-report"].click()
    assert download.value.suggested_filename == "DICOM series.dcm"
    download.value.save_as(tmp_path / "downloaded.dcm")
    for report in (saved, dcmread(tmp_path / "downloaded.dcm")):
        assert (report.Modality, report.StudyInstanceUID) == ("SR", "1.2.3")
        assert all(name in str(report) for name in LEVELS)
        assert "1.2.3.1.40" in str(report)  # one of the slices
    desk.back_to_the_phantom()
    desk.open_file("truth.mrk.json")
    desk.until_names(*LEVELS)
    expect(desk["save-report"]).to_have_count(0)


def test_corrections_that_were_saved_come_back(desk):
    desk["shift-up"].click()
    shifted = ["T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1"]
    desk.until_names(*shifted)
    desk["lock-0"].click()
    state = desk.until(lambda s: s["points"][0]["locked"] and s["unsaved"], "T11 locked")
    desk["save-name"].fill("corrected")
    try:
        desk["save-markups"].click()
        desk.until(lambda s: not s["unsaved"], "saved")
        desk.open_points("truth.mrk.json")
        desk.until_names(*LEVELS)
        desk.open_points("corrected.mrk.json")
        again = desk.until_names(*shifted)
    finally:
        (desk.folder / "corrected.mrk.json").unlink(missing_ok=True)
    kept = ("name", "position_lps_mm", "locked")
    assert [[p[key] for key in kept] for p in again["points"]] == [[p[key] for key in kept] for p in state["points"]]


def test_a_file_is_replaced_only_after_a_yes(desk):
    path = desk.folder / "mine.mrk.json"
    path.write_text("mine", encoding="utf-8")
    desk["save-name"].fill("mine")
    try:
        desk["save-markups"].click()
        desk["question-no"].click()
        desk.until(lambda state: not state["question"], "the question gone")
        assert path.read_text(encoding="utf-8") == "mine"
        desk["save-markups"].click()
        desk["question-yes"].click()
        desk.until(lambda _: path.read_text(encoding="utf-8") != "mine", "the file replaced")
        assert len(read_points(path)) == len(LEVELS)
    finally:
        path.unlink()


@pytest.mark.parametrize("name", ["../outside", "a/b", "", "..", "C:\\x", "x" * 250])
def test_a_name_that_is_a_path_or_none_is_refused(desk, name):
    before = sorted(path for path in desk.folder.parent.rglob("*"))
    desk.page.evaluate(
        "([kind, name]) => document.getElementById('vl').dispatchEvent("
        "new CustomEvent('act', { detail: ['save', kind, name] }))",
        ["markups", name],
    )
    desk.until_told("no file name", "error")
    assert sorted(path for path in desk.folder.parent.rglob("*")) == before


def test_corrections_that_are_not_saved_are_given_up_only_after_a_yes(desk):
    desk["shift-up"].click()
    state = desk.until(lambda state: state["unsaved"], "corrections")
    desk.open_file("other.nii.gz")
    expect(desk["question"]).to_contain_text("not saved")
    desk["question-no"].click()
    after = desk.until(lambda state: not state["question"] and not state["opening"], "the question gone")
    assert after["ct"] == state["ct"]
    assert after["points"] == state["points"]
