"""Runs on volumes of a real scene: with children that do whatever children do, and with the real one."""

from __future__ import annotations

import ast
import gc
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import slicer
from phantoms import small_phantom
from VertebraLabelingLib.app import base_job, job_words
from VertebraLabelingLib.app.dependencies import DependencyState, state
from VertebraLabelingLib.app.job import LabelJob, LabelRequest, RefineJob
from VertebraLabelingLib.app.process import launch_python
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.correction.column import ColumnPoint
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.methods.registry import METHODS

LIBRARY = Path(base_job.__file__).parents[1]
RESULT = {"event": "result", "points": [], "summary": "none", "notes": ["of the child"], "files": {"markups": "gone"}}

CHILD = """
import json, os, pathlib, sys, time
def tell(event, **values): print(json.dumps({"event": event, **values}), flush=True)
def option(name): return sys.argv[sys.argv.index(name) + 1]
def wait(): time.sleep(0.01); return True
sys.argv = sys.argv[sys.argv.index("VertebraLabelingLib.predict"):]
"""


class Launch:
    """Starts a child that runs `code` in place of the command line, and keeps what it was asked for."""

    def __init__(self, *codes):
        self.codes, self.calls, self.processes = list(codes), [], []

    def __call__(self, arguments):
        self.calls.append(list(arguments))
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        self.processes.append(launch_python(["-c", CHILD + code, *arguments]))
        return self.processes[-1]

    def option(self, name, call=0):
        return self.calls[call][self.calls[call].index(name) + 1]


@pytest.fixture
def volume(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT of spine")
    slicer.util.updateVolumeFromArray(node, np.zeros((12, 12, 12), np.int16))
    return node


@pytest.fixture
def folder():
    """Slicer's temporary folder, in which nothing of ours may stay."""
    place = Path(slicer.app.temporaryPath)
    yield place
    assert ours_in(place) == []


def is_alive(pid):
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in ("", "Z")


def ours_in(place):
    return [path for path in place.iterdir() if path.name.startswith("VL")]


def label_job(volume, *codes, **options):
    launch = Launch(*codes)
    return LabelJob(LabelRequest(volume, **options), launch), launch


def poll_until(job, condition, patience_s=20.0):
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"{job.state}: {job.message or job.log}"
        job.poll()
        time.sleep(0.01)


def run(job):
    job.start()
    poll_until(job, lambda: not job.is_running)
    return job


def test_a_result_is_handed_over_when_the_child_has_ended(volume, folder):
    job, _ = label_job(volume, f"print({json.dumps(json.dumps(RESULT))})")
    assert job.state == "ready"
    run(job)
    assert (job.state, job.fraction, job.message, job.stage) == ("done", 1.0, "", "")
    assert job.result == {"event": "result", "points": [], "summary": "none", "notes": ["of the child"]}


def test_the_child_gets_the_volume_and_every_option(volume, folder, tmp_path):
    point = ColumnPoint("L1", (1.0, 2.0, 3.0), 0.4, "by hand", locked=True)
    code = """
import shutil
shutil.copy(option("--anchors"), option("--model"))
tell("result", points=[], size=os.path.getsize(sys.argv[2]), folder=sorted(os.listdir(os.path.dirname(sys.argv[2]))))
"""
    job, launch = label_job(
        volume,
        code,
        anchors=(point, ColumnPoint("L2", (1.0, 2.0, -30.0)), ColumnPoint("my mark", (0.0, 0.0, 0.0))),
        method="integral-regression",
        engine="torch",
        device="cuda:1",
        refine=False,
        model_file=tmp_path / "copy.mrk.json",
    )
    run(job)
    module, arguments = launch.calls[0][:2], launch.calls[0][2:]
    assert module == ["-m", "VertebraLabelingLib.predict"]
    assert arguments[0] == "label"
    assert [launch.option(n) for n in ("--method", "--engine", "--device")] == [
        "integral-regression",
        "torch",
        "cuda:1",
    ]
    assert {"--no-refine", "--json-lines", "--debug"} <= set(arguments)
    assert job.result["size"] > 12**3 * 2
    assert job.result["folder"] == ["anchors.mrk.json", "ct.nrrd"]
    (anchor,) = read_points(tmp_path / "copy.mrk.json")
    assert (anchor.level.name, anchor.position_lps_mm, anchor.confirmed) == ("L1", (1.0, 2.0, 3.0), True)


def test_what_is_not_asked_for_is_left_to_the_command_line(volume, folder):
    job, launch = label_job(volume, "tell('result', points=[])", anchors=(ColumnPoint("L1", (0.0, 0.0, 0.0)),))
    run(job)
    assert not {"--anchors", "--model", "--refine", "--no-refine"} & set(launch.calls[0])


def test_the_real_command_line_understands_the_options(volume, folder, tmp_path):
    from VertebraLabelingLib.predict import parser

    point = ColumnPoint("L1", (1.0, 2.0, 3.0), locked=True)
    label, launched = label_job(volume, "tell('result', points=[])", anchors=(point,), refine=True, model_file=tmp_path)
    run(label)
    args = parser().parse_args(launched.calls[0][2:])
    assert (args.anchors.name, args.refine, args.json_lines, args.debug) == ("anchors.mrk.json", True, True, True)
    launched = Launch("tell('result', points=[])")
    run(RefineJob(volume, (point,), [0], launch=launched))
    args = parser().parse_args(launched.calls[0][2:])
    assert (args.points.name, args.only, args.cancel_file.name) == ("in.mrk.json", [Level.L1], "cancel")


def test_progress_is_told_in_words_and_never_runs_backwards(volume, folder):
    code = """
tell("progress", stage="labelling", fraction=0.5)
tell("progress", stage="naming", fraction=0.25)
tell("progress", stage="some new stage", fraction="half")
tell("progress", stage="some new stage", fraction=float("nan"))
tell("progress")
while not pathlib.Path(option("--cancel-file")).exists(): wait()
raise SystemExit(130)
"""
    job, _ = label_job(volume, code)
    job.start()
    assert job.stage == "Starting"
    poll_until(job, lambda: job.stage == "some new stage")
    assert job.fraction == 0.5
    assert job.seconds_left is None
    job.cancel()
    assert (job.state, job.stage) == ("cancelling", "Cancelling")
    poll_until(job, lambda: not job.is_running)
    assert (job.state, job.message, job.result) == ("cancelled", "Cancelled; the scene is as it was.", None)


def test_every_stage_of_the_library_has_words_for_people():
    stages = set()
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "progress"
            if is_call and isinstance(node.args[0], ast.Constant) and LIBRARY / "batch" not in path.parents:
                stages.add(node.args[0].value)
    stages -= {"downloading"}
    assert {"starting", "labelling", "naming"} <= stages
    assert {stage for stage in stages if job_words.stage_name(stage)[0].islower()} == set()


def test_a_child_that_does_not_hear_is_ended_after_a_while(volume, folder, monkeypatch):
    monkeypatch.setattr(base_job, "CANCEL_PATIENCE_S", 0.3)
    job, launch = label_job(volume, "tell('progress', stage='labelling', fraction=0.5); time.sleep(600)")
    job.start()
    poll_until(job, lambda: job.fraction == 0.5)
    start = time.monotonic()
    job.cancel()
    job.cancel()
    assert time.monotonic() - start < 0.2
    poll_until(job, lambda: not job.is_running)
    assert 0.3 <= time.monotonic() - start < 5.0
    assert job.state == "cancelled"
    assert launch.processes[0].poll() is not None


def test_a_result_that_comes_after_the_cancel_is_not_used(volume, folder):
    code = """
while not pathlib.Path(option("--cancel-file")).exists(): wait()
tell("result", points=[])
"""
    job, _ = label_job(volume, code)
    job.start()
    job.cancel()
    poll_until(job, lambda: not job.is_running)
    assert (job.state, job.result) == ("cancelled", None)


def test_a_child_that_hangs_or_crashes_after_its_result_does_not_spoil_it(volume, folder, monkeypatch):
    monkeypatch.setattr(base_job, "END_PATIENCE_S", 0.2)
    assert run(label_job(volume, "tell('result', points=[]); time.sleep(600)")[0]).state == "done"
    assert run(label_job(volume, "tell('result', points=[]); os._exit(139)")[0]).state == "done"


def test_the_child_s_own_sentence_names_the_volume_and_not_a_temporary_file(volume, folder):
    code = """tell("error", code=3, message=f"{sys.argv[2]} is no CT; see 'ct.nrrd'."); raise SystemExit(3)"""
    job = run(label_job(volume, code)[0])
    assert (job.state, job.message) == ("failed", "CT of spine is no CT; see 'CT of spine'.")


def test_where_no_engine_is_installed_the_panel_is_named_and_not_pip(volume, folder, monkeypatch):
    code = "tell('error', code=5, message='pip install onnxruntime'); raise SystemExit(5)"
    assert run(label_job(volume, code)[0]).message == "pip install onnxruntime" or not state().can_label
    monkeypatch.setattr(base_job, "installed_state", lambda: DependencyState((), (), False))
    assert run(label_job(volume, code)[0]).message.startswith("Nothing can run the networks yet: install PyTorch or")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise SystemExit(0)", "ended without a result"),
        ("tell('result'); raise SystemExit(0)", "ended without a result"),
        ("tell('result', points='none')", "ended without a result"),
        ("raise SystemExit(137)", r"The system ended the run \(exit code 137\), perhaps because memory ran out"),
        ("os.kill(os.getpid(), 9)", r"The system ended the run \(exit code -9\)"),
        ("raise SystemExit(139)", r"The run crashed \(exit code 139\)"),
        ("import nonsense", r"exit code 1\); try again.* No module named 'nonsense'$"),
        ("tell('error', code=3); raise SystemExit(3)", r"ended unexpectedly \(exit code 3\)"),
    ],
)
def test_a_child_that_dies_without_a_word_is_explained(volume, folder, code, sentence):
    job = run(label_job(volume, code, device="cpu")[0])
    assert job.state == "failed"
    assert re.search(sentence, job.message)
    assert "\n" not in job.message


def test_exit_codes_of_windows_are_known():
    assert "crashed (exit code 0xc0000005)" in job_words.death(0xC0000005, "")
    assert "memory ran out" in job_words.death(0xC0000017, "")


def out_of_memory(device: str) -> str:
    error = f"tell('error', code=6, message='Out of memory.', device={device!r})"
    return f"tell('progress', fraction=0.7); {error}; raise SystemExit(6)"


OUT_OF_MEMORY = out_of_memory("cuda:0")


def test_out_of_memory_on_a_gpu_is_tried_once_more_on_the_cpu(volume, folder):
    job, launch = label_job(volume, OUT_OF_MEMORY, "tell('result', points=[], notes=['a'])")
    run(job)
    assert job.state == "done"
    assert [launch.option("--device", call) for call in range(len(launch.calls))] == ["auto", "cpu"]
    assert job.result["notes"] == ["a", job_words.on_the_cpu()]


def test_and_only_once(volume, folder):
    job, launch = label_job(volume, OUT_OF_MEMORY, device="cuda")
    run(job)
    assert (job.state, job.message, len(launch.calls)) == ("failed", "Out of memory.", 2)


@pytest.mark.parametrize("device", ["cpu", ""], ids=["cpu", "before any network ran"])
def test_where_no_gpu_was_in_use_it_is_not_tried_again(volume, folder, device):
    job, launch = label_job(volume, out_of_memory(device))
    run(job)
    assert (job.state, len(launch.calls)) == ("failed", 1)


def test_a_cancel_during_the_second_try_is_a_cancel(volume, folder):
    waiting = """
tell("progress", stage="labelling", fraction=0.1)
while not pathlib.Path(option("--cancel-file")).exists(): wait()
"""
    job, _ = label_job(volume, OUT_OF_MEMORY, waiting)
    job.start()
    poll_until(job, lambda: job.fraction == 0.1)
    job.cancel()
    poll_until(job, lambda: not job.is_running)
    assert job.state == "cancelled"


def test_two_jobs_in_a_row_do_not_know_of_each_other(volume, folder):
    first = run(label_job(volume, "tell('result', points=[], n=1)")[0])
    second = run(label_job(volume, "tell('result', points=[], n=2)")[0])
    assert (first.result["n"], second.result["n"]) == (1, 2)


def test_two_jobs_at_once_do_not_disturb_each_other(volume, folder):
    waiting = "tell('progress', stage='labelling', fraction=0.5); time.sleep(600)"
    first, second = label_job(volume, waiting)[0], label_job(volume, "tell('result', points=[])")[0]
    first.start()
    run(second)
    assert (first.state, second.state) == ("running", "done")
    first.close()


def test_a_volume_that_is_deleted_in_mid_run_does_no_harm(volume, folder, scene):
    job, _ = label_job(volume, "tell('progress', fraction=0.5); time.sleep(0.2); tell('result', points=[])")
    job.start()
    assert job.volume_node is volume
    poll_until(job, lambda: job.fraction == 0.5)
    scene.RemoveNode(volume)
    assert job.volume_node is None
    poll_until(job, lambda: not job.is_running)
    assert job.state == "done"


def test_closing_ends_the_child_at_once_and_leaves_no_file(volume, folder):
    job, launch = label_job(volume, "tell('progress', fraction=0.5); time.sleep(600)")
    job.start()
    poll_until(job, lambda: job.fraction == 0.5)
    assert len(ours_in(folder)) == 1
    start = time.monotonic()
    job.close()
    assert time.monotonic() - start < 3.0
    assert launch.processes[0].poll() is not None
    assert ours_in(folder) == []
    assert job.state == "cancelled"
    job.close()
    job.cancel()
    job.poll()
    assert job.state == "cancelled"


@pytest.mark.skipif(os.name == "nt", reason="a shell script plays PythonSlicer")
def test_in_slicer_the_interpreter_behind_the_launcher_is_ended_too(volume, folder, tmp_path, monkeypatch):
    """With Slicer's own launchConsoleProcess, and a launcher that stays while Python runs."""
    launcher = tmp_path / "PythonSlicer"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    job, launch = label_job(volume, "tell('progress', stage=str(os.getpid()), fraction=0.5); time.sleep(600)")
    job.start()
    poll_until(job, lambda: job.fraction == 0.5)
    interpreter, process = int(job.stage), launch.processes[0]
    assert process.args[0] == str(launcher)
    assert interpreter != process.pid
    job.close()
    assert process.poll() is not None
    deadline = time.monotonic() + 5.0
    while is_alive(interpreter):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_forgotten_job_ends_its_child_and_its_files(volume, folder):
    job, launch = label_job(volume, "time.sleep(600)")
    job.start()
    process = launch.processes[0]
    del job
    gc.collect()
    assert process.poll() is not None
    assert ours_in(folder) == []


@pytest.mark.slow
def test_the_end_of_the_program_ends_the_child_and_its_files(tmp_path):
    code = f"""
import sys
sys.path[:0] = {[str(LIBRARY.parent), str(LIBRARY.parents[1] / "Testing")]!r}
from harness import boot; boot.boot(); scene = boot.fresh_scene()
import numpy, slicer
from pathlib import Path
from phantoms import small_phantom
from VertebraLabelingLib.app import base_job
from VertebraLabelingLib.app.dependencies import DependencyState, state
from VertebraLabelingLib.app.job import LabelJob, LabelRequest
from VertebraLabelingLib.app.process import launch_python
base_job._new_folder.__globals__["slicer"] = type("S", (), {{"app": type("A", (), {{"temporaryPath": sys.argv[1]}})}})
node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
slicer.util.updateVolumeFromArray(node, numpy.zeros((12, 12, 12), "int16"))
job = LabelJob(LabelRequest(node), lambda _: launch_python(["-c", "import time; time.sleep(600)"]))
job.start()
print(job._child._process.pid, len(list(Path(sys.argv[1]).iterdir())), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    pid, count = map(int, done.stdout.split()[-2:])
    assert count == 1
    assert list(tmp_path.iterdir()) == []
    assert not is_alive(pid)


def test_a_volume_that_cannot_be_exported_is_a_failure_in_words(scene, folder):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    job, launch = label_job(empty, "tell('result', points=[])")
    job.start()
    assert (job.state, launch.calls) == ("failed", [])
    assert job.message.startswith("'Empty' holds no image")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "Memory ran out while the volume was exported"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (KeyError("x"), "Unexpected error (KeyError: 'x'); please report it"),
    ],
)
def test_whatever_stops_the_start_fails_the_job(volume, folder, monkeypatch, error, sentence):
    def refuse(*_):
        raise error

    monkeypatch.setattr(base_job, "export_volume", refuse)
    job, _ = label_job(volume, "")
    job.start()
    assert job.state == "failed"
    assert sentence in job.message


def test_a_python_that_is_not_there_fails_the_job(volume, folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    job = LabelJob(LabelRequest(volume))
    job.start()
    assert job.state == "failed"
    assert "install Slicer again" in job.message


COLUMN = (
    ColumnPoint("L1", (0.0, 0.0, 0.0), locked=True),
    ColumnPoint("L2", (0.0, 0.0, -30.0), 0.9),
    ColumnPoint("L2", (0.0, 0.0, -31.0), 0.9),
    ColumnPoint("mark", (50.0, 0.0, 0.0)),
    ColumnPoint("L3", (0.0, 0.0, -60.0), 0.9, locked=True),
)


def test_refining_gives_the_child_the_chosen_points_and_their_neighbours(volume, folder, tmp_path):
    code = (
        f"import shutil; shutil.copy(option('--points'), {str(tmp_path / 'p.mrk.json')!r}); tell('result', points=[])"
    )
    launch = Launch(code)
    run(RefineJob(volume, COLUMN, [1, 4], "onnx", "cpu", launch))
    arguments = launch.calls[0]
    assert arguments[2] == "refine"
    assert arguments[arguments.index("--only") + 1 : arguments.index("--only") + 3] == ["L2", "L3"]
    assert (launch.option("--engine"), launch.option("--device")) == ("onnx", "cpu")
    points = read_points(tmp_path / "p.mrk.json")
    assert [(p.level.name, p.position_lps_mm[2], p.confirmed) for p in points] == [
        ("L1", 0.0, True),
        ("L2", -30.0, False),
        ("L3", -60.0, False),
    ]


def test_a_point_without_a_level_cannot_be_refined(volume, folder):
    launch = Launch("")
    job = RefineJob(volume, COLUMN, [3], launch=launch)
    job.start()
    assert (job.state, launch.calls) == ("failed", [])
    assert "'mark' is no level" in job.message


@pytest.mark.slow
@pytest.mark.skipif(not state().can_label, reason="neither torch nor onnxruntime is installed")
def test_the_real_child_refuses_what_is_no_ct_in_one_sentence(scene, folder):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Ultrasound")
    rng = np.random.default_rng(0)
    slicer.util.updateVolumeFromArray(node, rng.integers(0, 255, (64, 64, 64)).astype(np.uint8))
    job = run(LabelJob(LabelRequest(node, method=next(iter(METHODS)), device="cpu")))
    assert job.state == "failed"
    assert "Ultrasound" in job.message
    assert "VL" not in job.message
    assert "ct.nrrd" not in job.message


FORBIDDEN = ("torch", "sklearn", "matplotlib", "rich", "psutil", "pandas", "nibabel", "skimage", "monai", "training")
RUN_WITHOUT = f"""
import runpy, sys
class Refusal:
    def find_spec(name, *_):
        if name.partition(".")[0] in {FORBIDDEN!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refusal)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def phantom():
    return small_phantom()


def phantom_volume(scene, phantom):
    """The phantom as Slicer holds a CT: IJK to RAS from its LPS geometry."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Phantom")
    slicer.util.updateVolumeFromArray(node, phantom.scan.hu.astype(np.int16))
    geometry = phantom.scan.geometry
    x, y, z = geometry.origin_lps_mm
    node.SetSpacing(geometry.spacing_xyz_mm)
    node.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    node.SetOrigin(-x, -y, z)
    return node


@pytest.mark.slow
def test_a_run_of_the_panel_needs_only_onnx_runtime_beyond_slicer(scene, folder, phantom):
    pytest.importorskip("onnxruntime")
    request = LabelRequest(phantom_volume(scene, phantom), engine="onnx", refine=True)
    job = LabelJob(request, lambda arguments: launch_python(["-c", RUN_WITHOUT, *arguments[1:]]))
    job.start()
    poll_until(job, lambda: not job.is_running, 300.0)
    assert (job.state, job.message) == ("done", "")
    assert job.result["engine"] == "onnx"
    truth = {level.name: place for level, place in phantom.centroids.items()}
    found = {point["level"]: point["position_lps_mm"] for point in job.result["points"]}
    assert len(found.keys() & truth.keys()) >= 5
    assert max(np.linalg.norm(np.subtract(found[n], truth[n])) for n in found.keys() & truth.keys()) < 10.0


@pytest.mark.slow
@pytest.mark.skipif(not state().can_label, reason="neither torch nor onnxruntime is installed")
def test_the_real_child_hears_a_cancel(scene, folder, phantom):
    job = LabelJob(LabelRequest(phantom_volume(scene, phantom), device="cpu"))
    job.start()
    poll_until(job, lambda: job.fraction > 0.1, 120.0)
    job.cancel()
    poll_until(job, lambda: not job.is_running, 60.0)
    assert (job.state, job.result) == ("cancelled", None)


@pytest.mark.slow
@pytest.mark.skipif(not state().can_label, reason="neither torch nor onnxruntime is installed")
def test_the_real_child_refines_a_point_and_leaves_the_others(scene, folder, phantom):
    truth = list(phantom.centroids.items())[:3]
    column = tuple(ColumnPoint(level.name, tuple(place), locked=n == 0) for n, (level, place) in enumerate(truth))
    job = RefineJob(phantom_volume(scene, phantom), column, [1], device="cpu")
    job.start()
    poll_until(job, lambda: not job.is_running, 120.0)
    assert job.state == "done"
    moved = {point["level"]: point["position_lps_mm"] for point in job.result["points"]}
    assert moved[column[0].label] == pytest.approx(column[0].position_lps_mm, abs=1e-3)
    assert np.linalg.norm(np.subtract(moved[column[1].label], column[1].position_lps_mm)) < 8.0
