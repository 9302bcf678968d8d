"""A report of the points refers to the DICOM series of the CT, also when its files are gone."""

from __future__ import annotations

import asyncio
import shutil
import sys

import pytest

pytest.importorskip("greenlet", reason="greenlet is not installed (pip install '.[dev]')")
import SimpleITK as sitk
from dicom_slice import write_ct_series
from session_support import LUMBAR, FakeJob, result
from small_ct import trunk_image
from VertebraLabelingLib.view.opener import Opener
from VertebraLabelingLib.view.series import read_series
from VertebraLabelingLib.view.snapshot import snapshot


def labelled(workspace, path):
    """The CT opened as an upload is, its files gone, and labelled."""
    assert asyncio.run(Opener(workspace).open(path, None, "the upload")) == ""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    workspace.act("label")
    FakeJob.made[-1].finish(result())
    workspace.poll()


def kinds(workspace):
    return [kind["name"] for kind in snapshot(workspace)["kinds"]]


def test_a_report_is_offered_and_written_when_the_files_of_the_series_are_gone(workspace, tmp_path):
    hd = pytest.importorskip("highdicom", reason="needs highdicom")
    write_ct_series(tmp_path / "series", trunk_image())
    labelled(workspace, tmp_path / "series")
    assert kinds(workspace) == ["markups", "csv", "verse", "report"]
    workspace.act("save", "report", "mine")
    assert workspace.message_kind == "info", workspace.message
    report = hd.sr.srread(workspace.folder.root / "mine.dcm")
    groups = report.content.get_planar_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == list(LUMBAR)
    assert report.StudyInstanceUID == "1.2.3"
    downloaded = workspace.files.export_to(tmp_path, "report")
    assert hd.sr.srread(downloaded).StudyInstanceUID == "1.2.3"


def test_on_a_ct_that_is_no_dicom_a_report_is_neither_offered_nor_written(workspace, tmp_path):
    sitk.WriteImage(trunk_image(), str(tmp_path / "ct.nii.gz"))
    labelled(workspace, tmp_path / "ct.nii.gz")
    assert kinds(workspace) == ["markups", "csv", "verse"]
    workspace.act("save", "report", "mine")
    assert workspace.message_kind == "error"
    assert "not loaded from DICOM" in workspace.message
    assert not (workspace.folder.root / "mine.dcm").exists()


def test_a_series_is_forgotten_with_its_ct(workspace, tmp_path):
    write_ct_series(tmp_path / "series", trunk_image())
    labelled(workspace, tmp_path / "series")
    sitk.WriteImage(trunk_image(), str(tmp_path / "ct.nii.gz"))
    labelled(workspace, tmp_path / "ct.nii.gz")
    assert "report" not in kinds(workspace)


def test_without_highdicom_the_ct_is_shown_and_the_report_refused_in_the_usual_sentence(
    workspace, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    write_ct_series(tmp_path / "series", trunk_image())
    labelled(workspace, tmp_path / "series")
    workspace.act("save", "report", "mine")
    assert workspace.message_kind == "error"
    assert "needs the package highdicom" in workspace.message
    assert workspace.files.export_to(tmp_path, "report") is None


def test_a_series_to_which_no_report_can_refer_is_shown_and_told_by_the_name_that_the_user_knows(tmp_path):
    pytest.importorskip("highdicom", reason="needs highdicom")
    from pydicom import dcmread

    for path in write_ct_series(tmp_path / "series", trunk_image()):
        slice_ = dcmread(path)
        del slice_.FrameOfReferenceUID
        slice_.save_as(path)
    series = read_series(tmp_path / "series", "the upload")
    assert series.headers is None
    assert series.refusal.startswith("A slice of the DICOM series in the upload has no FrameOfReferenceUID")


def test_a_file_that_is_gone_or_no_dicom_is_no_series(tmp_path):
    (tmp_path / "ct.nii.gz").write_bytes(bytes(300))
    assert read_series(tmp_path / "ct.nii.gz", "ct") is None
    assert read_series(tmp_path / "gone", "gone") is None
