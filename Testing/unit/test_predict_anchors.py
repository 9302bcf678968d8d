"""``label --anchors`` and what else the command line tells of confirmed points."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from test_dicom import ORIGIN, write_series
from test_predict import LEVELS, POSITIONS, FakeMethod, body_image, sure_evidence
from VertebraLabelingLib import options, predict
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError, NothingFoundError
from VertebraLabelingLib.core.formats import read_anchors, read_points, write_points
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling

POINTS = tuple(LabelledPoint(level, tuple(p)) for level, p in zip(LEVELS, POSITIONS.tolist(), strict=True))
ONE_HIGH = (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)
L3 = replace(POINTS[1], confirmed=True)


@pytest.fixture(scope="module")
def body(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "body.nii.gz"
    sitk.WriteImage(body_image(), str(path))
    return path


@pytest.fixture(autouse=True)
def one_level_too_high(monkeypatch):
    """A network that calls L2 to S1 by the names of L1 to L5, and is sure of it."""
    monkeypatch.setattr(options, "load_method", lambda *_: FakeMethod(sure_evidence(ONE_HIGH)))


def markups(path: Path, *points: LabelledPoint) -> Path:
    write_points(path, Labelling(points))
    return path


def label(ct: Path, output: Path, *more) -> int:
    return predict.main(["label", str(ct), "--output", str(output), "--device", "cpu", *map(str, more)])


def test_the_locked_points_name_the_others(body, tmp_path):
    out = tmp_path / "a.mrk.json"
    assert label(body, out, "--quiet") == 0
    assert tuple(p.level for p in read_points(out)) == ONE_HIGH
    unlocked = replace(POINTS[4], level=Level.S2)
    anchors = markups(tmp_path / "anchors.mrk.json", L3, unlocked)
    assert label(body, out, "--anchors", anchors, "--quiet") == 0
    points = read_points(out)
    assert tuple(p.level for p in points) == LEVELS
    assert [p.level for p in points if p.confirmed] == [Level.L3]


def test_an_output_can_be_the_anchors_of_the_next_run(body, tmp_path):
    out = markups(tmp_path / "a.mrk.json", L3, POINTS[2])
    for _ in range(2):
        assert label(body, out, "--anchors", out, "--quiet") == 0
        assert [p for p in read_points(out) if p.confirmed] == [L3]


def test_only_locked_points_count_whatever_the_markups_file_is_called(tmp_path):
    path = markups(tmp_path / "a.mrk.json", L3, POINTS[2]).rename(tmp_path / "points.json")
    assert read_anchors(path) == (L3,)


def test_every_point_of_a_table_is_an_anchor(body, tmp_path):
    table = tmp_path / "a.csv"
    write_points(table, Labelling(POINTS[1:3]))
    assert label(body, tmp_path / "a.mrk.json", "--anchors", table, "--quiet") == 0
    confirmed = [p for p in read_points(tmp_path / "a.mrk.json") if p.confirmed]
    assert [p.level for p in confirmed] == [Level.L3, Level.L4]
    np.testing.assert_allclose([p.position_lps_mm for p in confirmed], POSITIONS[1:3], atol=1e-3)


def test_record_and_result_tell_of_them(body, tmp_path, capsys):
    anchors = markups(tmp_path / "anchors.mrk.json", L3)
    assert label(body, tmp_path / "a.mrk.json", "--anchors", anchors, "--json-lines") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [p["level"] for p in result["points"] if p["confirmed"]] == ["L3"]
    assert "L3" in result["anchors"]
    assert result["level_certain"] is True
    assert "confirmed: L3" in result["summary"]
    assert {key: result[key] for key in ("method", "engine", "device", "weights_sha256")} == {
        "method": "sites",
        "engine": "torch",
        "device": "cpu",
        "weights_sha256": FakeMethod.weights_sha256,
    }
    record = json.loads((tmp_path / "a.run.json").read_text())
    assert record["confirmed"] == {"count": 1, "levels": ["L3"]}
    assert record["labelling"]["points"] == result["points"]


def test_without_anchors_nothing_is_confirmed(body, tmp_path, capsys):
    assert label(body, tmp_path / "a.mrk.json", "--json-lines") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [p["confirmed"] for p in result["points"]] == [False] * 5
    assert json.loads((tmp_path / "a.run.json").read_text())["confirmed"] == {"count": 0, "levels": []}


def test_the_papers_own_system_honours_them_too(body, tmp_path):
    anchors = markups(tmp_path / "anchors.mrk.json", L3)
    out = tmp_path / "a.mrk.json"
    more = ("--method", "integral-regression", "--config", "paper", "--anchors", anchors, "--quiet")
    assert label(body, out, *more) == 0
    points = {p.level: p for p in read_points(out)}
    assert points[Level.L3] == L3
    assert points.keys() == {Level.L1, Level.L3, Level.L4, Level.L5}


def test_where_nothing_is_found_what_is_confirmed_stays(body, tmp_path, monkeypatch):
    def none():
        raise NothingFoundError("No spine is in view.")

    monkeypatch.setattr(options, "load_method", lambda *_: FakeMethod(None, none))
    out = tmp_path / "a.mrk.json"
    assert label(body, out, "--anchors", markups(tmp_path / "anchors.mrk.json", L3), "--quiet") == 0
    assert read_points(out) == (L3,)


def fails(body, tmp_path, capsys, anchors: Path) -> tuple[int, str]:
    code = label(body, tmp_path / "out" / "a.mrk.json", "--anchors", anchors)
    assert not (tmp_path / "out").exists()
    return code, capsys.readouterr().err


def test_anchors_that_cannot_be_used_are_refused(body, tmp_path, capsys):
    code, message = fails(body, tmp_path, capsys, tmp_path / "none.mrk.json")
    assert code == 3
    assert "cannot be opened" in message
    code, message = fails(body, tmp_path, capsys, markups(tmp_path / "a.mrk.json", *POINTS))
    assert code == 3
    assert "no locked point" in message
    swapped = [replace(L3, level=Level.L5), replace(POINTS[3], level=Level.L2, confirmed=True)]
    code, message = fails(body, tmp_path, capsys, markups(tmp_path / "b.mrk.json", *swapped))
    assert code == 3
    assert "L2 and L5 lie in the wrong order" in message
    far = replace(L3, position_lps_mm=(0.0, 0.0, 5000.0))
    code, message = fails(body, tmp_path, capsys, markups(tmp_path / "c.mrk.json", far))
    assert code == 3
    assert "belong to it" in message


def test_confirmed_is_locked_in_the_markups_file(tmp_path):
    points = (replace(POINTS[0], probability=0.3), L3)
    path = markups(tmp_path / "a.mrk.json", *points)
    controls = json.loads(path.read_text())["markups"][0]["controlPoints"]
    assert [control["locked"] for control in controls] == [False, True]
    assert read_points(path) == points
    assert read_anchors(path) == (L3,)


def test_a_table_without_points_holds_no_anchor(tmp_path):
    write_points(tmp_path / "a.csv", Labelling(()))
    with pytest.raises(InputError, match="holds no point"):
        read_anchors(tmp_path / "a.csv")


# --- DICOM structured report ------------------------------------------------------------------------------------------


def test_a_report_needs_dicom_input(body, tmp_path, capsys):
    assert label(body, tmp_path / "a.mrk.json", "--sr", tmp_path / "a.dcm") == 2
    assert "--sr needs DICOM input" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert label(body, tmp_path / "a.mrk.json", "--sr", tmp_path / "a.txt") == 2
    assert "must end with .dcm" in capsys.readouterr().err


def test_a_report_is_written_beside_the_markups(tmp_path, monkeypatch, capsys):
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("highdicom")
    hu = np.round(sitk.GetArrayFromImage(body_image())).astype(np.int16)
    tags = {"0020|0052": "1.2.3.4"}
    series = write_series(tmp_path / "series", hu, 4.0 * np.arange(len(hu)), tags=tags)
    places = ORIGIN + [10.0, 15.0, 30.0] - np.outer(np.arange(5), [0.0, 0.0, -35.0])[::-1]
    monkeypatch.setattr(options, "load_method", lambda *_: FakeMethod(sure_evidence(positions=places)))
    out = tmp_path / "out"
    assert label(series, out / "a.mrk.json", "--sr", out / "a.dcm", "--json-lines") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["files"]["sr"] == str(out / "a.dcm")
    report = pydicom.dcmread(out / "a.dcm")
    assert report.Modality == "SR"
    assert report.StudyInstanceUID == "1.2.3"
    assert {file.name for file in out.iterdir()} == {"a.mrk.json", "a.run.json", "a.dcm"}


def test_a_series_that_no_report_can_refer_to_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    pytest.importorskip("highdicom")
    monkeypatch.setattr("VertebraLabelingLib.core.readers.read_scan", lambda *_: pytest.fail("work began"))
    series = write_series(tmp_path / "series", np.zeros((3, 6, 5), np.int16), [0.0, 4.0, 8.0])
    assert label(series, tmp_path / "a.mrk.json", "--sr", tmp_path / "a.dcm") == 3
    assert "FrameOfReferenceUID" in capsys.readouterr().err
