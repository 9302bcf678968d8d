"""Exports: what is written is what is shown, in the CT's own coordinates, whole or not at all."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from dicom_slice import write_slice
from scenes import OBLIQUE, add_linear_transform, add_volume, ijk_to_ras
from session_support import LUMBAR, add_points, desk
from VertebraLabelingLib.app import volume
from VertebraLabelingLib.app.exporting import SUFFIXES
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.formats import read_points

__all__ = ["desk"]


@pytest.fixture
def node(desk):
    """Points of an oblique CT, one of them confirmed, under a transform."""
    desk.session.set_input_volume(add_volume(desk.scene, matrix=ijk_to_ras(OBLIQUE), name="Oblique"))
    add_linear_transform(desk.scene, desk.session.input_volume)
    node = desk.label()
    desk.session.confirm((2,))
    return node


@pytest.mark.parametrize("suffix", [".mrk.json", ".csv", "_ctd.json"])
def test_an_export_reads_back_as_the_points_on_show(desk, node, tmp_path, suffix):
    path = tmp_path / f"spine{suffix}"
    assert desk.session.export(path), desk.failures
    points = read_points(path, volume.geometry_of(desk.session.input_volume))
    assert [point.level.name for point in points] == list(LUMBAR)
    shown = [point.position_lps_mm for point in desk.session.column]
    assert np.allclose([point.position_lps_mm for point in points], shown, atol=2e-3)
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_the_grid_of_a_volume_is_that_of_its_exported_file(desk, node, tmp_path):
    volume.export_volume(desk.session.input_volume, tmp_path / "ct.nrrd")
    image = sitk.ReadImage(str(tmp_path / "ct.nrrd"))
    geometry = volume.geometry_of(desk.session.input_volume)
    assert geometry.shape_zyx == image.GetSize()[::-1]
    assert geometry.spacing_xyz_mm == pytest.approx(image.GetSpacing())
    assert geometry.origin_lps_mm == pytest.approx(image.GetOrigin())
    assert geometry.direction == pytest.approx(image.GetDirection())


def test_confirmed_points_are_locked_in_the_file(desk, node, tmp_path):
    assert desk.session.export(tmp_path / "spine.mrk.json")
    controls = json.loads((tmp_path / "spine.mrk.json").read_text())["markups"][0]["controlPoints"]
    assert [control["label"] for control in controls if control["locked"]] == ["L2"]


def test_a_file_that_slicer_loads_again_is_the_same_list(desk, node, tmp_path):
    desk.session.export(tmp_path / "spine.mrk.json")
    before = desk.session.column
    loaded = slicer.modules.markups.logic().LoadMarkups(str(tmp_path / "spine.mrk.json"), "again")
    desk.session.set_points_node(desk.scene.GetNodeByID(loaded))
    assert [(p.label, p.position_lps_mm, p.locked) for p in desk.session.column] == [
        (p.label, p.position_lps_mm, p.locked) for p in before
    ]


@pytest.mark.parametrize("suffix", [suffix for suffix, _text in SUFFIXES])
@pytest.mark.parametrize("case", ["doubled", "unknown", "empty"])
def test_points_that_cannot_be_written_leave_an_earlier_file(desk, node, tmp_path, suffix, case):
    path = tmp_path / f"spine{suffix}"
    path.write_text("earlier")
    if case == "empty":
        node.RemoveAllControlPoints()
    else:
        node.SetNthControlPointLabel(0, "L1" if case == "doubled" else "hook")
    assert not desk.session.export(path)
    assert {"doubled": "L1 occurs twice", "unknown": "'hook' is no level", "empty": "no points"}[case] in desk.failures[
        0
    ]
    assert path.read_text() == "earlier"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_unknown_ending_is_refused(desk, node, tmp_path):
    assert not desk.session.export(tmp_path / "spine.fcsv")
    assert ".mrk.json" in desk.failures[0]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(desk, node, tmp_path):
    assert not desk.session.export(tmp_path / "gone" / "spine.csv")
    assert "cannot be written" in desk.failures[0]


@pytest.mark.parametrize("suffix", ["_ctd.json", ".dcm"])
def test_formats_that_need_the_ct_say_so_without_it(desk, tmp_path, suffix):
    desk.session.set_points_node(add_points(desk.scene, "L1"))
    desk.session.set_input_volume(None)
    assert not desk.session.export(tmp_path / f"spine{suffix}")
    assert "CT" in desk.failures[0]


@pytest.fixture
def series(tmp_path, desk, monkeypatch):
    """A DICOM series, known to the database, from which the volume of the session was loaded; its files by UID."""
    pytest.importorskip("highdicom", reason="needs highdicom")
    files = {f"1.2.3.1.{n}": ct_slice(tmp_path / f"ct{n}.dcm", n) for n in (1, 2, 3)}
    monkeypatch.setattr(
        slicer, "dicomDatabase", SimpleNamespace(fileForInstance=lambda uid: files.get(uid, "")), raising=False
    )
    desk.ct.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    desk.label()
    return files


def ct_slice(path, number):
    image = sitk.GetImageFromArray(np.zeros((1, 4, 4), np.int16))
    tags = {
        "0008|0060": "CT", "0020|000e": "1.2.3.1", "0020|000d": "1.2.3", "0008|0018": f"1.2.3.1.{number}",
        "0020|0052": "1.2.3.9", "0010|0020": "P", "0020|0013": str(number), "0020|0032": f"0\\0\\{number}",
        "0020|0037": "1\\0\\0\\0\\1\\0", "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
    }  # fmt: skip
    return str(write_slice(path, image, tags))


def test_a_dicom_report_refers_to_the_series_of_the_volume(desk, series, tmp_path):
    import highdicom as hd
    from pydicom.sr.codedict import codes

    assert desk.session.export(tmp_path / "report.dcm"), desk.failures
    report = hd.sr.srread(tmp_path / "report.dcm")
    groups = report.content.get_planar_roi_measurement_groups(
        graphic_type=hd.sr.GraphicTypeValues3D.POINT, reference_type=codes.DCM.ImageRegion
    )
    assert [group.tracking_identifier for group in groups] == list(LUMBAR)
    assert report.StudyInstanceUID == "1.2.3"
    assert Level.L1.snomed[0] in str(report)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [("other", "not loaded from DICOM"), ("gone", "no longer in Slicer's DICOM database"), ("tilted", "straighten")],
)
def test_a_dicom_report_without_its_series_is_refused(desk, series, tmp_path, case, sentence):
    if case == "other":
        desk.ct.RemoveAttribute("DICOM.instanceUIDs")
    elif case == "gone":
        series.pop("1.2.3.1.2")
    else:
        add_linear_transform(desk.scene, desk.ct).SetName("CT acquisition transform")
    assert not desk.session.export(tmp_path / "report.dcm")
    assert sentence in desk.failures[0]
    assert not (tmp_path / "report.dcm").exists()
