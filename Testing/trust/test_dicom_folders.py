"""DICOM folders as they come from archives: mixed series, duplicates, other objects, and the patient's name in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from dicom_folder import PATIENT, write_series
from trust_support import OUTPUTS, image_of, label, trunk_hu, written
from VertebraLabelingLib import predict
from VertebraLabelingLib.core.readers import read_scan

MARKERS = ("Mustermann", "Erika", "PID-778899", "19501231")


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("series") / "case"
    write_series(folder)
    return folder


@pytest.fixture
def folder(series, tmp_path) -> Path:
    return Path(shutil.copytree(series, tmp_path / "case"))


def test_other_series_and_objects_do_not_disturb(folder):
    write_series(folder / "thick", trunk_hu()[::3], "t", {"0020|000e": "1.2.3.2"})
    write_series(folder, trunk_hu()[:5], "mr", {"0020|000e": "1.2.3.3", "0008|0060": "MR"})
    write_series(folder, trunk_hu()[:1], "far", {"0020|000e": "1.2.3.5", "0008|0060": "MR", "0020|0032": "1e9\\0\\0"})
    write_series(folder, trunk_hu()[:2], "loc", {"0020|000e": "1.2.3.4", "0008|0008": "ORIGINAL\\PRIMARY\\LOCALIZER"})
    written(folder / "picture.png", image_of(np.zeros((9, 9), np.uint8), (1.0, 1.0)))
    for name, content in {"DICOMDIR": b"DICM" * 40, "README": b"read me", "a.dcm": b"", "b.dcm": bytes(200)}.items():
        (folder / name).write_bytes(content)
    (folder / "c.dcm").write_bytes(bytes(128) + b"DICM" + bytes(50))
    (folder / "broken link.dcm").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    scan = read_scan(folder)
    np.testing.assert_array_equal(scan.hu, trunk_hu())
    assert scan.notes == ("Of 2 CT series the one with most slices was taken (30; others 10).",)


def test_copies_of_slices_count_once_whatever_they_are_called(folder):
    for path in sorted(folder.iterdir())[::4]:
        shutil.copy(path, folder / f"copy of {path.name}")
    scan = read_scan(folder)
    np.testing.assert_array_equal(scan.hu, trunk_hu())
    assert scan.notes == ("8 slices lie where another one lies and were left out.",)


def test_two_series_under_one_uid_are_not_stacked_through_each_other(folder):
    """Another size in plane; the archive gave both the same UID."""
    write_series(folder, trunk_hu()[:10, :12, :12], "small")
    np.testing.assert_array_equal(read_scan(folder).hu, trunk_hu())


def texts(folder: Path) -> str:
    """All that the files of a folder say, pictures and reports as bytes, and their names."""
    return "\n".join(f"{p.name}\n{p.read_bytes().decode('latin-1')}" for p in folder.rglob("*") if p.is_file())


def require_nameless(text: str) -> None:
    assert [marker for marker in (*MARKERS, PATIENT) if marker.lower() in text.lower()] == []


def test_the_markers_are_in_the_input(series):
    assert all(marker in texts(series) for marker in MARKERS)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("how", ["--quiet", "--json-lines", "--debug"])
def test_no_name_of_the_patient_in_any_output(series, tmp_path, capfd, how):
    assert label(series, tmp_path, "--preview", tmp_path / "a.png", how) == 0
    assert {p.name for p in tmp_path.iterdir()} == {*OUTPUTS, "a.png"}
    require_nameless(texts(tmp_path))
    require_nameless("".join(capfd.readouterr()))


@pytest.mark.usefixtures("no_network")
def test_no_name_of_the_patient_in_a_batch(series, tmp_path, capfd):
    arguments = ["batch", "--input", series.parent, "--output", tmp_path, "--device", "cpu", "--scan-timeout", 0]
    assert predict.main([str(a) for a in arguments]) == 0
    assert any(tmp_path.rglob("*.mrk.json"))
    require_nameless(texts(tmp_path))
    require_nameless("".join(capfd.readouterr()))


def test_no_name_of_the_patient_in_a_refusal(folder, tmp_path, capfd):
    for harm in ("cut", "gap", "modality"):
        paths = sorted(folder.iterdir())
        if harm == "cut":
            paths[3].write_bytes(paths[3].read_bytes()[:-400])
        elif harm == "gap":
            for path in paths[3:20]:
                path.unlink()
        else:
            write_series(folder, tags={"0008|0060": "MR"})
        assert label(folder, tmp_path / "out", "--debug") == 3
        require_nameless("".join(capfd.readouterr()))


@pytest.mark.usefixtures("no_network")
def test_a_report_that_was_asked_for_belongs_to_the_patient(series, tmp_path):
    """Whoever asks for a DICOM report asks for the patient in it; nothing else gets it."""
    pytest.importorskip("highdicom")
    assert label(series, tmp_path, "--sr", tmp_path / "a.dcm", "--quiet") == 0
    assert PATIENT in texts(tmp_path)
    (tmp_path / "a.dcm").unlink()
    require_nameless(texts(tmp_path))
    assert json.loads((tmp_path / "a.run.json").read_text(encoding="utf-8"))["input"]["name"] == "case"
