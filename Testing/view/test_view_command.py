"""`vertebra-labeling view`: what it refuses before anything is started."""

from __future__ import annotations

import pytest
from VertebraLabelingLib import predict
from VertebraLabelingLib.commands import view


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
