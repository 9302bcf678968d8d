"""``vertebra-labeling batch`` and Scripts/label_batch.py as a user starts them, with the weights that ship."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import small_phantom
from VertebraLabelingLib import predict
from VertebraLabelingLib.batch.state import settings_id
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.sequence import SequenceSettings
from VertebraLabelingLib.engines.weights import find_model
from VertebraLabelingLib.options import Labeller
from VertebraLabelingLib.record import RESULTS_VERSION

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "VertebraLabeling" / "Scripts" / "label_batch.py"


@pytest.fixture(scope="session")
def phantom_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "phantom.nii.gz"
    sitk.WriteImage(small_phantom().scan.to_sitk(), str(path))
    return path


def rows(output: Path) -> list[dict[str, str]]:
    with (output / "summary.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_help_names_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        predict.main(["batch", "--help"])
    assert "7 some scans failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "word"),
    [(["--limit", "0"], "1 or more"), (["--device", "gpu"], "'gpu' is unknown"), (["x"], "Unrecognized")],
)
def test_usage(tmp_path, capsys, more, word):
    assert predict.main(["batch", "--input", str(tmp_path), "--output", str(tmp_path / "out"), *more]) == 2
    assert word in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("more", [[], ["--refine"], ["--method", "integral-regression", "--config", "paper"]])
def test_what_a_run_is_planned_by_is_what_its_networks_turn_out_to_be(tmp_path, more, own):
    """Else every run would do all scans again."""
    words = ["batch", "--input", "x", "--output", "y", "--engine", "onnx", *more]
    if own:
        shipped = find_model("integral-regression" if "--method" in more else "sites").weights.path
        words += ["--model", str(shipped)]
    args = predict.parser().parse_args(words)
    assert settings_id(Labeller.recipe(args)) == settings_id(Labeller.load(args).settings())


@pytest.mark.parametrize(
    ("place", "value", "changed"),
    [
        ("methods.ensemble.measured.TRUSTS", (), {"ensemble"}),
        ("core.sequence.SequenceSettings", partial(SequenceSettings, temperature=9.0), {"ensemble", "sites"}),
        ("core.spine_priors.PRIORS", (), {"ensemble", "sites"}),
        ("record.RESULTS_VERSION", RESULTS_VERSION + 1, {"ensemble", "sites", "integral-regression"}),
        ("record.__version__", "99", set()),
    ],
)
def test_results_are_made_anew_when_what_changes_them_has_changed(monkeypatch, place, value, changed):
    """integral-regression as in its paper is named without the decoder."""
    choices = [["sites"], ["ensemble"], ["integral-regression", "--config", "paper"]]

    def ids() -> dict[str, str]:
        words = {choice[0]: ["batch", "--input", "x", "--output", "y", "--method", *choice] for choice in choices}
        return {name: settings_id(Labeller.recipe(predict.parser().parse_args(of_it))) for name, of_it in words.items()}

    before = ids()
    monkeypatch.setattr(f"VertebraLabelingLib.{place}", value)
    assert {name for name, of_it in ids().items() if of_it != before[name]} == changed


def test_a_phantom_and_a_broken_file(phantom_file, tmp_path, capsys):
    """The real labeller from the command to the files; nothing is faked."""
    source, output = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    os.link(phantom_file, source / "sub" / "phantom.nii.gz")
    (source / "broken.nrrd").write_bytes(b"NRRD0004\nnot really")
    words = ["batch", "--input", str(source), "--output", str(output), "--csv", "--device", "cpu"]
    assert predict.main(words) == 7
    assert "1 of 2 scans failed" in capsys.readouterr().err
    names = {p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file() and not p.name.startswith(".")}
    results = {f"sub/phantom{end}" for end in (".mrk.json", ".csv", ".png", ".run.json")}
    assert names == results | {"summary.csv", "index.html", "manifest.sqlite"}
    found = np.array([p.position_lps_mm for p in read_points(output / "sub" / "phantom.mrk.json")])
    distances = np.linalg.norm(found[:, None] - np.array(list(small_phantom().centroids.values())), axis=-1)
    assert np.mean(distances.min(axis=0) < 10) >= 0.5, "fewer than half of the vertebrae were found"
    assert [row["exit_code"] for row in rows(output)] == ["3", "0"]
    before = (output / "sub" / "phantom.mrk.json").stat().st_mtime_ns
    assert predict.main(words) == 7
    assert (output / "sub" / "phantom.mrk.json").stat().st_mtime_ns == before


def batch_process(source: Path, output: Path, *more: str) -> subprocess.Popen:
    words = ["-m", "VertebraLabelingLib.predict", "batch", "--input", source, "--output", output, "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "VertebraLabeling")}
    command = [sys.executable, *map(str, words), "--no-preview", "--json-lines", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def events_until(process: subprocess.Popen, kind: str, count: int) -> list[dict]:
    """Events up to the `count`-th of a kind."""
    events: list[dict] = []
    while sum(e["event"] == kind for e in events) < count:
        line = process.stdout.readline()
        assert line, events
        events.append(json.loads(line))
    return events


def killed_after(process: subprocess.Popen, kind: str) -> tuple[list[str], list[str]]:
    """Kill a batch at the first event of a kind; the scans that it began, and those that it ended."""
    events = events_until(process, kind, 1)
    process.kill()
    events += [json.loads(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    assert process.wait() == -signal.SIGKILL
    return named_by(events, "scan-started"), named_by(events, "scan-done", "scan-failed")


def named_by(events: list[dict], *kinds: str) -> list[str]:
    return [event["scan"] for event in events if event["event"] in kinds]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_a_run_over_seven_scans_that_is_killed_twice_resumes(phantom_file, tmp_path):
    """A real process on phantoms, killed while a scan is read and in the network; three of the scans are broken."""
    source, output = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b/c", "b/d", "e"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(phantom_file, source / f"{name}.nii.gz")
    (source / "cut.nii.gz").write_bytes(phantom_file.read_bytes()[:5000])
    (source / "empty.nii.gz").write_bytes(b"")
    (source / "text.nrrd").write_text("no picture")
    scans = sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
    begun, ended = killed_after(batch_process(source, output), "scan-done")
    assert ended and len(begun) > len(ended), "the next scan was read meanwhile"
    second = killed_after(batch_process(source, output), "scan-failed")
    assert second[0][0] not in begun, "scans that were begun come last"
    begun, ended = {*begun, *second[0]}, {*ended, *second[1]}
    third = batch_process(source, output)
    events = [json.loads(line) for line in third.communicate(timeout=500)[0].splitlines()]
    assert third.returncode == 7
    started = named_by(events, "scan-started")
    assert sorted(started) == sorted({*scans} - ended), "what ended is not done again, and nothing else is left out"
    assert started == sorted(started, key=lambda scan: scan in begun), "scans that were begun come last"
    assert {row["scan"]: row["exit_code"] for row in rows(output)} == {
        "a.nii.gz": "0", "b/c.nii.gz": "0", "b/d.nii.gz": "0", "cut.nii.gz": "3", "e.nii.gz": "0",
        "empty.nii.gz": "3", "text.nrrd": "3",
    }  # fmt: skip
    assert not list(output.rglob(".vertebra-labeling-*"))
    fourth = batch_process(source, output)
    again = [json.loads(line) for line in fourth.communicate(timeout=500)[0].splitlines()]
    assert (fourth.returncode, again[-2]["labelled"]) == (7, 0)


# --- Scripts/label_batch.py -------------------------------------------------------------------------------------------


def script(*words: object, **more) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


@pytest.mark.parametrize("separator", [[], ["--"]])
def test_the_script_passes_options_and_exit_code_on(tmp_path, separator):
    """From a folder of the user's that holds a module of the same name as one of ours needs."""
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the working folder')")
    (tmp_path / "in").mkdir()
    done = script(*separator, "--input", "in", "--output", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert f"No CT was found below {tmp_path / 'in'}" in done.stderr


FAKE_PYTHON = """#!/bin/sh
echo "line of the child"
while [ ! -e "$(eval echo \\"\\${$#}\\")" ]; do sleep 0.1; done
echo "cancelled"
exit 130
"""


@pytest.fixture
def python_slicer(tmp_path) -> dict[str, str]:
    """Environment with a PythonSlicer that waits for the cancel file, the last of its arguments."""
    program = tmp_path / "bin" / "PythonSlicer"
    program.parent.mkdir()
    program.write_text(FAKE_PYTHON)
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals and a shell script")
@pytest.mark.parametrize("in_slicer", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_script_cancels_the_child(python_slicer, tmp_path, number, in_slicer):
    """In Slicer, the script is executed as here, and `slicer` is imported already."""
    code = f"import runpy, sys; sys.argv = [{str(SCRIPT)!r}, '--input', 'x']; "
    code += "sys.modules['slicer'] = sys; " if in_slicer else ""
    command = [sys.executable, "-c", code + f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=python_slicer, cwd=tmp_path)
    assert process.stdout.readline() == "line of the child\n"
    time.sleep(0.3)
    process.send_signal(number)
    assert process.communicate(timeout=30)[0] == "cancelled\n"
    assert process.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals and a shell script")
def test_a_cancel_file_that_cannot_be_made_ends_the_child_at_once(python_slicer, tmp_path):
    command = [sys.executable, str(SCRIPT), "--cancel-file", str(tmp_path / "none" / "flag")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=python_slicer)
    assert process.stdout.readline() == "line of the child\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == ""
    assert process.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals and a shell script")
def test_a_second_signal_kills_the_child(python_slicer, tmp_path):
    program = tmp_path / "bin" / "PythonSlicer"
    program.write_text("#!/bin/sh\ntrap '' INT TERM\necho $$\nsleep 60\n")
    process = subprocess.Popen([sys.executable, str(SCRIPT)], stdout=subprocess.PIPE, text=True, env=python_slicer)
    child = int(process.stdout.readline())
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_the_cancel_file_of_the_user_is_respected(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.nii").write_bytes(b"")
    (tmp_path / "flag").touch()
    done = script("--input", tmp_path / "in", "--output", tmp_path / "out", "--cancel-file", tmp_path / "flag")
    assert done.returncode == 130
    assert (tmp_path / "flag").exists()


def test_the_script_is_ascii():
    """Slicer reads scripts in the system's encoding."""
    assert SCRIPT.read_bytes().isascii()
