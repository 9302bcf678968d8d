"""Names of files and folders with spaces, other scripts, signs and great length."""

from __future__ import annotations

import json

import pytest
from dicom_folder import write_series
from small_ct import trunk_hu
from trust_support import OUTPUTS, image_of, label, written

NAMES = {
    "spaces": "my scan  of today",
    "umlauts": "Größe ünd Höhe",
    "other scripts": "脊椎 позвоночник σπόνδυλος",
    "emoji": "scan 🦴",
    "signs": "a'b\"c $x_1$ %s {} & ; # [1] (2)",
    "formula": "$\\frac{1$",
    "long": "x" * 230,
    "dots": "..scan.v1.2..final",
    "dash": "-rf --help",
    "new line": "first\nsecond",
}


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", NAMES)
def test_scans_and_folders_of_any_name_are_labelled(name, tmp_path):
    folder = tmp_path / NAMES[name] / "in"
    folder.mkdir(parents=True)
    path = written(folder / "plain.nrrd", image_of(trunk_hu())).rename(folder / f"{NAMES[name]}.nrrd")
    out = tmp_path / NAMES[name] / "out"
    assert label(path, out, "--quiet", "--preview", out / "a.png") == 0
    assert {p.name for p in out.iterdir()} == {*OUTPUTS, "a.png"}
    assert json.loads((out / "a.run.json").read_text(encoding="utf-8"))["input"]["name"] == path.name


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["spaces", "other scripts", "signs", "long"])
def test_dicom_folders_of_any_name_are_labelled(name, tmp_path):
    write_series(tmp_path / NAMES[name])
    assert label(tmp_path / NAMES[name], tmp_path / "out", "--quiet") == 0


@pytest.mark.usefixtures("no_network")
def test_a_path_of_three_hundred_letters_is_labelled(tmp_path):
    folder = tmp_path.joinpath(*["d" * 100] * 3)
    folder.mkdir(parents=True)
    path = written(folder / "a.nii.gz", image_of(trunk_hu()))
    assert len(str(path)) > 300
    assert label(path, folder / "out", "--quiet") == 0


def test_a_refusal_of_any_name_is_one_line(tmp_path, capsys):
    for name in NAMES.values():
        assert label(tmp_path / f"{name}.nii", tmp_path / "out") == 3
        assert capsys.readouterr().err.count("\n") == 1
