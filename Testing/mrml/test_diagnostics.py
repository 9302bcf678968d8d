"""The text that a user pastes into a report: enough for a developer, nothing of a patient."""

from __future__ import annotations

import pytest
from VertebraLabelingLib import __version__
from VertebraLabelingLib.app import diagnostics
from VertebraLabelingLib.app.dependencies import DependencyState, Package
from VertebraLabelingLib.app.diagnostics import LOG_LINES, text, without_paths
from VertebraLabelingLib.core.errors import ModelError
from VertebraLabelingLib.engines import weights
from VertebraLabelingLib.engines.weights import find_model, listed_models

STATE = DependencyState((Package("torch", "2.9.1", "broken: OSError"), Package("onnxruntime")), (), True)
RESULT = {
    "event": "result",
    "method": "sites",
    "engine": "onnx",
    "device": "cpu",
    "weights_sha256": {"sites": "abc123"},
    "points": [{"level": "L1", "position_lps_mm": [12.5, 3.0, 4.0]}],
    "notes": ["Jane Doe"],
    "summary": "T12-L3",
}


def test_it_holds_what_a_developer_asks_first(scene):
    told = text(STATE, RESULT, "a warning")
    assert f"VertebraLabeling {__version__}" in told
    for part in ("Slicer ", "Python ", "numpy ", "SimpleITK ", "torch: 2.9.1, broken: OSError", "onnxruntime: not"):
        assert part in told
    assert "verified by an import: no" in told
    for model_id in listed_models():
        assert find_model(model_id).weights.sha256 in told
    assert "method: sites" in told
    assert "weights_sha256: {'sites': 'abc123'}" in told
    assert told.rstrip().endswith("## Log of the last run\na warning")


def test_it_holds_nothing_of_the_scan(scene):
    told = text(STATE, RESULT)
    assert not {part for part in ("Jane", "12.5", "T12-L3", "L1") if part in told}


def test_before_the_first_run_it_says_so(scene):
    told = text(STATE)
    assert "## Last result\nnone" in told
    assert "## Log of the last run\nempty" in told


def test_only_the_end_of_the_log_is_told(scene):
    told = text(STATE, None, "\n".join(f"line {n}" for n in range(1000)))
    assert f"line {1000 - LOG_LINES}\n" in told
    assert f"line {999 - LOG_LINES}\n" not in told


def test_weights_that_are_missing_are_told_without_the_folder(scene, monkeypatch):
    def missing(model_id):
        raise ModelError("'/home/jane/Slicer/sites.npz' is missing; install VertebraLabeling again.")

    monkeypatch.setattr(weights, "find_model", missing)
    told = text(STATE)
    assert "sites: '<path>' is missing; install VertebraLabeling again." in told
    assert "jane" not in told


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('File "/home/jane doe/Slicer 5.12/lib/site-packages/torch/x.py", line 3', 'File "x.py", line 3'),
        (r"File 'C:\Users\Jane Doe\AppData\x.py', line 3", "File 'x.py', line 3"),
        ("/home/jane/scan.nrrd is damaged", "<path> is damaged"),
        (r"C:\Users\jane\scan.nrrd is damaged", "<path> is damaged"),
        (r"\\server\share\jane.nii.gz: no such file", "<path>: no such file"),
        ("read jane/scan.dcm (12 slices)", "read <path> (12 slices)"),
        ("Warning: Doe_Jane.nii.gz and 1.2.840.113619.dcm skipped", "Warning: <file> and <file> skipped"),
        ("~/scans/jane.mha", "<path>"),
        ("a warning: 3.5 of 7 done; nothing else", "a warning: 3.5 of 7 done; nothing else"),
    ],
)
def test_paths_and_names_of_scans_are_taken_out(line, expected):
    assert without_paths(line) == expected


def test_a_spaced_path_without_quotes_leaks_no_folder():
    assert "doe" not in without_paths("cannot open /data/jane doe/1/ct.nrrd today")


def test_the_log_of_a_traceback_stays_readable():
    assert diagnostics.without_paths('  File "/a/b/core/readers.py", line 5, in _read') == (
        '  File "readers.py", line 5, in _read'
    )
