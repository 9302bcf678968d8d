"""`vertebra-labeling view`: what it refuses before anything is started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from VertebraLabelingLib import predict
from VertebraLabelingLib.commands import view

ROOT = Path(__file__).resolve().parents[2]


def test_without_trame_one_sentence_says_what_to_run(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(view, "find_spec", lambda name: None)
    assert predict.main(["view", "--folder", str(tmp_path)]) == 5
    assert "trame_slicer, slicer_core, greenlet" in (told := capsys.readouterr().err)
    assert "make view" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["gone.nii.gz"], "does not exist"),
        (["--folder", "gone"], "The folder gone does not exist"),
        (["--port", "70000"], "no port"),
        (["--port", "-1"], "no port"),
        (["--upload-limit", "0"], "not possible"),
        (["--host", "0.0.0.0"], "nrecognized arguments"),
    ],
)
def test_wrong_arguments_are_told_in_one_sentence(arguments, part, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert predict.main(["view", *arguments]) == 2
    assert part in capsys.readouterr().err


def test_the_folder_is_that_of_the_ct_unless_another_one_is_named(tmp_path, monkeypatch):
    ct = tmp_path / "scans" / "a.nii.gz"
    ct.parent.mkdir()
    ct.touch()
    monkeypatch.chdir(tmp_path)
    assert view._places(None, None) == (None, tmp_path)
    assert view._places(ct, None) == (ct, ct.parent)
    assert view._places(ct.parent, None) == (ct.parent, ct.parent)
    assert view._places(ct, tmp_path) == (ct, tmp_path)


def test_the_limit_of_uploads_is_written_once():
    from VertebraLabelingLib.view.uploads import DEFAULT_LIMIT_MB

    assert predict.parser().parse_args(["view"]).upload_limit == DEFAULT_LIMIT_MB


@pytest.mark.skipif(os.name == "nt" or shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        (["CT=ct.nii.gz"], ["ct.nii.gz"]),
        (["CT=ct.nii.gz", "OUT={there}"], ["ct.nii.gz", "--folder", "{there}"]),
        (["OUT={there}"], ["{there}/VertebraLabelingPhantom.nrrd", "--folder", "{there}"]),
        (["CT=ct.nii.gz", "ARGS=--port 8123"], ["ct.nii.gz", "--port", "8123"]),
    ],
)
def test_make_view_opens_the_ct_and_saves_where_it_is_told(tmp_path, given, arguments):
    there = tmp_path / "new" / "out"
    given = [part.format(there=there) for part in given]
    command = ["make", "--no-print-directory", "-o", ".venv-view/.installed", "view", "VIEW_PYTHON=echo", *given]
    clean = {name: value for name, value in os.environ.items() if name not in ("CT", "OUT", "ARGS")}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=True, timeout=60)
    ran = done.stdout.splitlines()[-1].split()
    assert ran == ["-m", "VertebraLabelingLib.predict", "view", *(part.format(there=there) for part in arguments)]
    assert there.is_dir() == any("OUT" in part for part in given)
