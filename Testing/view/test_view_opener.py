"""Files are opened one at a time, and whoever asked is told whether they were, in the page's own words."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

pytest.importorskip("greenlet", reason="greenlet is not installed (pip install '.[dev]')")
import SimpleITK as sitk
from session_support import FakeJob, drag, labels_of, result
from small_ct import trunk_image
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.formats import write_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.view import opening
from VertebraLabelingLib.view.opener import Opener


def opened(workspace, path, within=None, name=""):
    return asyncio.run(Opener(workspace).open(path, within, name))


def write_ct(path):
    sitk.WriteImage(trunk_image(), str(path))
    return path


def plain_scan(name):
    return Scan(np.full((8, 8, 8), 40, np.float32), Geometry((8, 8, 8), (3.0, 3.0, 3.0)), name)


def ct_name(workspace):
    return workspace.session.input_volume.GetName() if workspace.session.input_volume is not None else None


def test_a_ct_that_is_opened_is_refused_by_no_sentence(workspace):
    path = write_ct(workspace.folder.root / "ct.nii.gz")
    assert opened(workspace, path, workspace.folder) == ""
    assert ct_name(workspace) == "ct"
    assert workspace.opening_name == ""
    assert workspace.message_kind == "info"


def test_a_file_that_is_no_ct_is_refused_in_the_sentence_that_the_page_shows(workspace):
    path = workspace.folder.root / "text.nii.gz"
    path.write_text("This is no image.")
    refusal = opened(workspace, path)
    assert "text.nii.gz" in refusal
    assert str(path) not in refusal
    assert (workspace.message, workspace.message_kind) == (refusal, "error")
    assert workspace.opening_name == ""
    assert ct_name(workspace) is None


def test_a_point_file_that_is_damaged_is_refused_too(workspace, tmp_path):
    opened(workspace, write_ct(tmp_path / "ct.nii.gz"))
    path = tmp_path / "x.mrk.json"
    path.write_text("{")
    refusal = opened(workspace, path)
    assert refusal.startswith("x.mrk.json")
    assert (workspace.message, workspace.message_kind) == (refusal, "error")


def test_points_without_a_ct_are_refused(workspace, tmp_path):
    write_points(tmp_path / "x.csv", Labelling((LabelledPoint(Level.L1, (1.0, 2.0, 3.0), 1.0),)))
    assert "CT" in opened(workspace, tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["x.mrk.json", "x.csv", "x_ctd.json"])
def test_points_that_were_saved_are_opened_on_their_ct(workspace, name):
    root = workspace.folder.root
    opened(workspace, write_ct(root / "ct.nii.gz"))
    workspace.act("label")
    FakeJob.made[-1].finish(result())
    workspace.poll()
    before = labels_of(workspace.session.points_node)
    drag(workspace.session.points_node, 0, (4.0, 5.0, 6.0))
    kind = {"x.mrk.json": "markups", "x.csv": "csv", "x_ctd.json": "verse"}[name]
    workspace.act("save", kind, "x")
    assert name in workspace.folder.listing().point_files
    assert opened(workspace, workspace.folder.file(name), workspace.folder) == ""
    assert labels_of(workspace.session.points_node) == before


def test_a_second_file_is_refused_while_the_first_is_read_which_stays_so_told(workspace, monkeypatch):
    """The refusal of the second must not end what the page shows of the first."""
    began, may_end = threading.Event(), threading.Event()

    def slow(path, within=None):
        began.set()
        may_end.wait(20)
        return plain_scan(path.name)

    monkeypatch.setattr(opening, "read_ct", slow)

    async def both():
        opener = Opener(workspace)
        first = asyncio.create_task(opener.open(workspace.folder.root / "first.nii", None))
        await asyncio.get_running_loop().run_in_executor(None, began.wait, 20)
        second = await opener.open(workspace.folder.root / "second.nii", None)
        still = workspace.opening_name
        may_end.set()
        return second, still, await first

    second, still, first = asyncio.run(both())
    assert "wait" in second
    assert still == "first.nii"
    assert first == ""
    assert ct_name(workspace) == "first"
    assert workspace.opening_name == ""


def test_a_header_that_leads_out_of_the_folder_shows_nothing_of_what_lies_there(workspace, tmp_path):
    write_ct(tmp_path / "secret.mhd")
    text = (tmp_path / "secret.mhd").read_text().replace("secret.raw", "../secret.raw")
    path = workspace.folder.root / "mine.mhd"
    path.write_text(text)
    assert "outside of the folder" in opened(workspace, path, workspace.folder)
    assert ct_name(workspace) is None
    # the user's own command line may
    assert opened(workspace, path, None) == ""


def test_a_series_that_was_uploaded_is_not_called_by_its_temporary_folder(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "read_ct", lambda path, within=None: plain_scan(tmp_path.name))
    assert opened(workspace, tmp_path, None, "DICOM series") == ""
    assert ct_name(workspace) == "DICOM series"
    assert workspace.files.proposed_name == "DICOM series"
