"""Corrections that are not saved when the viewer ends are kept in a file that nobody else had."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("greenlet", reason="greenlet is not installed (pip install '.[dev]')")
from session_support import LUMBAR, FakeJob, drag, result
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.view import rescue as rescue_file
from VertebraLabelingLib.view.folder import Folder
from VertebraLabelingLib.view.rescue import rescue
from VertebraLabelingLib.view.workspace import Workspace

GRID = Geometry((8, 9, 10), (3.0, 3.0, 3.0))


@pytest.fixture
def desk(scene, tmp_path):
    """A workspace with a labelled CT on show."""
    FakeJob.made.clear()
    workspace = Workspace(scene, Folder(tmp_path), make_job=FakeJob, make_refine_job=FakeJob)
    workspace.files.open_scan(Scan(np.full(GRID.shape_zyx, 40, np.float32), GRID, "ct.nii.gz"))
    workspace.act("label")
    FakeJob.made[-1].finish(result())
    workspace.poll()
    yield workspace
    workspace.close()


def test_without_corrections_nothing_is_written(desk, tmp_path):
    assert rescue(desk) is None
    drag(desk.session.points_node, 0, (4.0, 5.0, 6.0))
    desk.act("save", "markups", "mine")
    assert rescue(desk) is None
    assert [path.name for path in tmp_path.iterdir()] == ["mine.mrk.json"]


def test_corrections_are_written_beside_what_is_there(desk, tmp_path):
    drag(desk.session.points_node, 0, (4.0, 5.0, 6.0))
    expected = [point.position_lps_mm for point in desk.session.column]
    (tmp_path / "ct.unsaved.mrk.json").write_text("older")
    (tmp_path / "ct.unsaved-2.mrk.json").symlink_to(tmp_path.parent / "nowhere")
    path = rescue(desk)
    assert path == tmp_path / "ct.unsaved-3.mrk.json"
    assert (tmp_path / "ct.unsaved.mrk.json").read_text() == "older"
    points = read_points(path)
    assert [point.level.name for point in points] == list(LUMBAR)
    assert np.allclose([point.position_lps_mm for point in points], expected, atol=0.01)
    assert path.name in desk.folder.listing().point_files


def test_also_while_a_question_is_open(desk):
    drag(desk.session.points_node, 0, (4.0, 5.0, 6.0))
    desk.files.open_scan(Scan(np.full(GRID.shape_zyx, 40, np.float32), GRID, "other.nii.gz"))
    assert desk.questions.text
    assert rescue(desk) is not None


def test_names_that_no_list_of_levels_may_have_are_kept_as_they_are(desk):
    node = desk.session.points_node
    node.SetNthControlPointLabel(0, node.GetNthControlPointLabel(1))
    path = rescue(desk)
    points = json.loads(path.read_text(encoding="utf-8"))["markups"][0]["controlPoints"]
    assert [point["label"] for point in points] == [LUMBAR[1], *LUMBAR[1:]]


def test_a_folder_that_cannot_be_written_is_no_end(desk, monkeypatch):
    export = rescue_file.export

    def refusing(path, *rest):
        if path.parent == desk.folder.root:
            raise UsageError("read-only")
        export(path, *rest)

    monkeypatch.setattr(rescue_file, "export", refusing)
    drag(desk.session.points_node, 0, (4.0, 5.0, 6.0))
    path = rescue(desk)
    try:
        assert path.parent != desk.folder.root
        assert path.parent.stat().st_mode & 0o077 == 0
        assert len(read_points(path)) == len(LUMBAR)
    finally:
        path.unlink()
        path.parent.rmdir()


def test_the_name_of_a_ct_that_is_as_long_as_can_be_is_shortened(desk, tmp_path):
    desk.session.input_volume.SetName("ä" * 120)  # of 247 bytes with ".nii.gz"
    drag(desk.session.points_node, 0, (4.0, 5.0, 6.0))
    path = rescue(desk)
    assert path.parent == tmp_path
    assert path.name == "ä" * 100 + ".unsaved.mrk.json"
    assert len(read_points(path)) == len(LUMBAR)


def test_a_name_that_is_no_file_name_is_replaced(desk, tmp_path):
    desk.session.input_volume.SetName(".")
    drag(desk.session.points_node, 0, (4.0, 5.0, 6.0))
    assert rescue(desk) == tmp_path / "points.unsaved.mrk.json"
