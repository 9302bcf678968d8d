"""Whatever a scan tells of the patient, no result, record, picture, page, log or message says it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from batch_fakes import ProcessFakes, batch_args, states
from dicom_folder import PATIENT, write_series
from matplotlib.text import Text
from small_ct import trunk_hu
from test_dicom_frames import PLACES_MM, stacked, write_frames
from trust_support import OUTPUTS, image_of, label, written
from VertebraLabelingLib import predict
from VertebraLabelingLib.batch import run

PATIENT_ID, BIRTH = "PID-778899", "19501231"
MARKERS = ("Mustermann", "Erika", PATIENT_ID, BIRTH)


def write_enhanced(folder: Path) -> Path:
    path = write_frames(folder / "case.dcm", trunk_hu(), stacked(PLACES_MM))
    data = pydicom.dcmread(path)
    data.PatientName, data.PatientID, data.PatientBirthDate = PATIENT, PATIENT_ID, BIRTH
    data.SeriesDescription = data.ImageComments = f"spine of {PATIENT}"
    data.save_as(path)
    return path


def write_nifti(folder: Path) -> Path:
    """Names in `descrip`, `aux_file`, `db_name` and `intent_name` of the header."""
    path = written(folder / "case.nii", image_of(trunk_hu()))
    content = bytearray(path.read_bytes())
    for place, text in {148: PATIENT, 228: PATIENT_ID, 14: BIRTH, 328: "Erika"}.items():
        content[place : place + len(text)] = text.encode()
    path.write_bytes(content)
    return path


def write_named(folder: Path, suffix: str) -> Path:
    """Names as further keys of the header."""
    image = image_of(trunk_hu())
    for key, text in {"0010|0010": PATIENT, "PatientID": PATIENT_ID, "birth": BIRTH, "descrip": PATIENT}.items():
        image.SetMetaData(key, text)
    return written(folder / f"case{suffix}", image)


def write_folder(folder: Path) -> Path:
    write_series(folder / "case")
    return folder / "case"


WRITERS: dict[str, Callable[[Path], Path]] = {
    "DICOM": write_folder, "enhanced DICOM": write_enhanced, "NIfTI": write_nifti,
    "NRRD": lambda folder: write_named(folder, ".nrrd"), "MetaImage": lambda folder: write_named(folder, ".mha"),
}  # fmt: skip


@pytest.fixture(params=WRITERS)
def named(request, tmp_path) -> Path:
    """A scan that tells of the patient, alone in its folder."""
    (tmp_path / "in").mkdir()
    return WRITERS[request.param](tmp_path / "in")


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def drawn(monkeypatch) -> Iterator[list[str]]:
    """What is written into pictures: a file of pixels tells no search what can be read in it."""
    found: list[str] = []
    set_text = Text.set_text

    def kept(self, text):
        found.append(str(text))
        set_text(self, text)

    monkeypatch.setattr(Text, "set_text", kept)
    return found


def texts(folder: Path) -> str:
    """All that the files of a folder say, pictures and tables as bytes, and their names."""
    return "\n".join(f"{p.name}\n{p.read_bytes().decode('latin-1')}" for p in folder.rglob("*") if p.is_file())


def require_nameless(text: str) -> None:
    assert [marker for marker in (*MARKERS, PATIENT) if marker.lower() in text.lower()] == []


def test_the_markers_are_in_the_input(named):
    assert all(marker in texts(named.parent) for marker in MARKERS)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("how", ["--quiet", "--json-lines", "--debug"])
def test_no_name_of_the_patient_in_any_output(named, out, capfd, drawn, how):
    assert label(named, out, "--preview", out / "a.png", how) == 0
    assert {p.name for p in out.iterdir()} == {*OUTPUTS, "a.png"}
    shown = "\n".join(drawn)
    assert all(text in shown for text in ("case", "C4", "R")), "the search sees what is drawn"
    require_nameless(shown)
    require_nameless(texts(out))
    require_nameless("".join(capfd.readouterr()))


@pytest.mark.usefixtures("no_network")
def test_no_name_of_the_patient_in_a_batch(named, out, capfd, drawn):
    words = ["batch", "--input", named.parent, "--output", out, "--device", "cpu", "--scan-timeout", 0, "--csv"]
    assert predict.main([str(word) for word in words]) == 0
    ((stem, state),) = states(out)
    assert state == "done" and any(stem in text for text in drawn)
    require_nameless("\n".join([*drawn, texts(out), *capfd.readouterr()]))


def test_no_name_of_the_patient_in_a_batch_of_two_processes(tmp_path, out, capfd):
    """Manifest, pages, records and what all processes print, also of scans that fail."""
    source, notes = tmp_path / "in", tmp_path / "notes"
    for folder in (source, notes):
        folder.mkdir()
    for number, write in enumerate(WRITERS.values()):
        (source / str(number)).mkdir()
        write(source / str(number))
    write_series(source / "gap")
    for path in sorted((source / "gap").iterdir())[3:20]:
        path.unlink()
    with pytest.raises(run.SomeFailedError):
        run.run_batch(batch_args(source, out, "--workers", 2, "--preview", "--debug"), ProcessFakes(notes))
    found = dict(states(out))
    assert found.pop("gap") == "failed"
    assert len(found) == len(WRITERS) and set(found.values()) == {"done"}
    require_nameless(texts(out))
    require_nameless("".join(capfd.readouterr()))


def test_no_name_of_the_patient_in_a_refusal(tmp_path, capfd):
    for harm in ("cut", "gap", "modality"):
        folder = tmp_path / harm
        paths = write_series(folder)
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
def test_a_report_that_was_asked_for_belongs_to_the_patient(tmp_path, out):
    """Whoever asks for a DICOM report asks for the patient in it; nothing else gets it."""
    pytest.importorskip("highdicom")
    assert label(write_folder(tmp_path), out, "--sr", out / "a.dcm", "--quiet") == 0
    assert PATIENT in texts(out)
    (out / "a.dcm").unlink()
    require_nameless(texts(out))
    assert json.loads((out / "a.run.json").read_text(encoding="utf-8"))["input"]["name"] == "case"
