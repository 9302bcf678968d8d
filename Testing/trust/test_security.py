"""Nothing that comes from outside is executed, and nothing is fetched that was not asked for."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import audit
import numpy as np
import pytest
from damage import flip_one_bit
from fuzzing import child_environment
from phantoms import small_phantom
from trust_support import OUTPUTS, label, written
from VertebraLabelingLib import predict
from VertebraLabelingLib.core.errors import ModelError
from VertebraLabelingLib.engines.weights import MANIFEST_NAME, MODELS_FOLDER, find_model, load_model, load_weights
from VertebraLabelingLib.view.access import HOST

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "VertebraLabeling").rglob("*.py"))
TRAINING = sorted((ROOT / "training").rglob("*.py"))
BAD_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "codeop", "pty"}
BAD_NAMES = {"eval", "exec", "compile", "__import__"}
BAD_CALLS = {
    "os.system", "os.popen", "os.execv", "os.execvp", "os.spawnl", "torch.load", "torch.hub.load", "yaml.load",
    "subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp", "socket.socket", "urllib.request.urlopen",
}  # fmt: skip
FETCHING = "VertebraLabelingLib/engines/fetch.py"
SERVING = "VertebraLabelingLib/view/server.py"
"""Shows a scan in a browser on the same machine."""
MANY_MACHINES = "VertebraLabelingLib/batch/cluster.py"
CHECKPOINTS = "training/loop.py"


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def calls(path: Path) -> list[ast.Call]:
    return [node for node in nodes(path) if isinstance(node, ast.Call)]


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def wrong_calls(path: Path) -> list[str]:
    """Calls that run text as code, unpickle, or hand a string to a shell, as ``line: call``."""
    wrong = []
    for call in calls(path):
        name = dotted(call.func)
        keywords = {k.arg: k.value for k in call.keywords}
        shell = keywords.get("shell")
        if name in BAD_NAMES | BAD_CALLS or (shell is not None and not is_constant(shell, False)):
            wrong.append(f"{call.lineno}: {name}")
        elif name in ("np.load", "numpy.load") and not is_constant(keywords.get("allow_pickle"), False):
            wrong.append(f"{call.lineno}: {name} without allow_pickle=False")
    return wrong


def unpickling_calls(path: Path) -> list[str]:
    """Calls that read a checkpoint, whatever they are called, without `weights_only=True`, as ``line: call``."""
    wrong = []
    for call in calls(path):
        keywords = {k.arg: k.value for k in call.keywords}
        loads = dotted(call.func) == "torch.load" or is_fit(call) or "weights_only" in keywords
        if loads and not is_constant(keywords.get("weights_only"), True):
            wrong.append(f"{call.lineno}: {dotted(call.func)}")
    return wrong


def is_fit(call: ast.Call) -> bool:
    """Whether Lightning may go on from a checkpoint there."""
    return isinstance(call.func, ast.Attribute) and "ckpt_path" in {k.arg for k in call.keywords}


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_there_is_code_to_look_at():
    assert len(SHIPPED) > 80
    assert len(TRAINING) > 50


def test_what_ships_runs_no_text_and_unpickles_nothing():
    found = {path.as_posix(): wrong for path in SHIPPED if (wrong := wrong_calls(path))}
    serving = [path for path in found if path.endswith(SERVING)]
    assert [call.partition(": ")[2] for path in serving for call in found.pop(path)] == ["socket.socket"]
    assert found == {}


def test_what_ships_imports_nothing_that_unpickles():
    found = {str(path): bad for path in SHIPPED if (bad := {m.partition(".")[0] for m in imported(path)} & BAD_MODULES)}
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "eval(x)", "import os\nos.system(x)", "subprocess.run(x, shell=True)", "subprocess.run(x, shell=flag)",
        "np.load(x)", "np.load(x, allow_pickle=True)", "torch.load(x)", "__import__(x)",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(tmp_path, text):
    (tmp_path / "a.py").write_text(text)
    assert len(wrong_calls(tmp_path / "a.py")) == 1


def test_only_training_reads_checkpoints_and_without_unpickling_objects():
    loading = {path for path in TRAINING for call in calls(path) if dotted(call.func) == "torch.load"}
    assert {path.relative_to(ROOT).as_posix() for path in loading} == {CHECKPOINTS}
    found = {path.as_posix(): wrong for path in SHIPPED + TRAINING if (wrong := unpickling_calls(path))}
    assert found == {}
    assert "checkpoint" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("torch.load(x)", 1), ("torch.load(x, weights_only=False)", 1), ("torch.load(x, weights_only=flag)", 1),
        ("trainer.fit(x, ckpt_path=y)", 1), ("trainer.fit(x, weights_only=False)", 1), ("load(x, weights_only=0)", 1),
        ("torch.load(x, weights_only=True)", 0), ("trainer.fit(x, ckpt_path=y, weights_only=True)", 0),
    ],
)  # fmt: skip
def test_the_search_for_unpickling_finds_what_it_looks_for(tmp_path, text, number):
    (tmp_path / "a.py").write_text(text)
    assert len(unpickling_calls(tmp_path / "a.py")) == number


def test_only_one_file_of_what_ships_opens_addresses_and_one_listens_on_this_machine():
    opening = [p for p in SHIPPED if {"urllib.request", "http.client", "socket", "requests", "ftplib"} & imported(p)]
    assert sorted(path.relative_to(ROOT / "VertebraLabeling").as_posix() for path in opening) == [FETCHING, SERVING]
    assert HOST == "127.0.0.1"
    assert not [call.lineno for path in opening if path.match(SERVING) for call in calls(path)
                if dotted(call.func).endswith((".connect", ".connect_ex", ".create_connection"))]  # fmt: skip


def test_only_the_batch_on_many_machines_uses_dask():
    using = [p for p in SHIPPED if {name.partition(".")[0] for name in imported(p)} & {"dask", "distributed"}]
    assert [path.as_posix().endswith(MANY_MACHINES) for path in using] == [True]


# --- weights ----------------------------------------------------------------------------------------------------------


def test_every_shipped_file_is_pinned_by_its_hash():
    entries = json.loads((MODELS_FOLDER / MANIFEST_NAME).read_text(encoding="utf-8"))["models"]
    for entry in (part for model in entries for part in (model, model.get("graph")) if part):
        content = (MODELS_FOLDER / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]


@pytest.mark.parametrize("model", ["sites", "corridor"])
def test_one_altered_bit_is_refused_before_anything_is_read(model, tmp_path, monkeypatch):
    for path in MODELS_FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = find_model(model, tmp_path).weights.path
    flip_one_bit(path)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("the altered file was opened"))
    with pytest.raises(ModelError, match="altered"):
        load_model(model, tmp_path)


class Trap:
    """Unpickling it would write a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickled_object_among_the_weights_is_never_unpickled(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap(tmp_path / "sprung")], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as bundle:
        bundle.writestr("header.npy", buffer.getvalue())
    with pytest.raises(ModelError, match="not a weight file"):
        load_weights(tmp_path / "w.npz")
    assert not (tmp_path / "sprung").exists()


# --- network ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch):
    """Whoever asks for an address or a connection fails the test."""

    def refuse(*_, **__):
        pytest.fail("something wants to use the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("offline")
def test_whole_runs_with_the_shipped_weights_use_no_network(phantom, tmp_path):
    """`label`, `refine` of what it found, and `batch` in this process."""
    (tmp_path / "in").mkdir()
    ct = written(tmp_path / "in" / "a.nii.gz", phantom.scan.to_sitk())
    out = tmp_path / "out"
    assert label(ct, out, "--preview", out / "a.png", "--quiet") == 0
    assert {p.name for p in out.iterdir()} == {*OUTPUTS, "a.png"}
    words = ["refine", ct, "--points", out / "a.mrk.json", "--output", out / "b.mrk.json", "--device", "cpu"]
    assert predict.main([*map(str, words), "--quiet"]) == 0
    words = ["batch", "--input", ct.parent, "--output", tmp_path / "batch", "--device", "cpu", "--scan-timeout", 0]
    assert predict.main([*map(str, words), "--quiet"]) == 0
    assert (tmp_path / "batch" / "a.mrk.json").is_file()


NO_NETWORK = """
import socket
from pathlib import Path


def refuse(name):
    def called(self, address=None, *rest, **keywords):
        if getattr(self, "family", None) != getattr(socket, "AF_UNIX", None):
            Path({mark!r}).write_text(f"{{name}} {{address}}")
            raise OSError("no network in this test")
        return originals[name](self, address, *rest, **keywords)

    return called


originals = {{name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "bind")}}
for name in originals:
    setattr(socket.socket, name, refuse(name))
socket.getaddrinfo = refuse("getaddrinfo")
"""


@pytest.mark.parametrize(("words", "reaches"), [((), False), (("--scheduler", "tcp://127.0.0.1:9"), True)])
def test_the_processes_of_a_batch_use_no_network_unless_a_scheduler_is_named(tmp_path, monkeypatch, words, reaches):
    """Two workers with the shipped weights; every process of them imports the refusal before anything else."""
    if reaches:
        pytest.importorskip("distributed")
    mark = tmp_path / "asked"
    for name in ("site", "in"):
        (tmp_path / name).mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_NETWORK.format(mark=str(mark)))
    for name in ("a", "b"):
        written(tmp_path / "in" / f"{name}.nii.gz", small_phantom().scan.to_sitk())
    command = [sys.executable, "-m", "VertebraLabelingLib.predict", "batch", "--input", tmp_path / "in", "--output",
               tmp_path / "out", "--quiet", "--device", "cpu", *(words or ("--workers", 2))]  # fmt: skip
    environment = child_environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "site"), environment.get("PYTHONPATH", "")])
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, check=False)
    assert mark.exists() is reaches, mark.read_text() if mark.exists() else done.stderr
    assert (done.returncode == 0) is not reaches, done.stderr


# --- the audit of dependencies ----------------------------------------------------------------------------------------


def told(*packages: dict) -> str:
    return json.dumps({"dependencies": [{"name": "a", "version": "1"} | p for p in packages], "fixes": []})


CLEAN, HOLED, UNKNOWN = {"vulns": []}, {"vulns": [{"id": "PYSEC-1"}]}, {"skip_reason": "not found on PyPI"}


@pytest.mark.parametrize(
    ("code", "said", "exit_code", "skipped"),
    [
        (0, told(CLEAN, UNKNOWN), 0, False),
        (1, told(CLEAN, HOLED), 1, False),
        (0, told(UNKNOWN, UNKNOWN), 0, True),
        (1, "requests.exceptions.ConnectionError: Max retries exceeded", 0, True),
        (1, "python: No module named pip_audit", 0, True),
        (1, "Traceback: some bug", 1, False),
        (0, "", 1, False),
    ],
)
def test_the_audit_fails_for_holes_and_is_skipped_without_a_network(
    code, said, exit_code, skipped, capsys, monkeypatch
):
    """In a GitHub workflow, where there is a network and nobody would see it, the skip fails too."""
    for in_workflow, expected in (("", exit_code), ("true", 1 if skipped else exit_code)):
        monkeypatch.setenv("GITHUB_ACTIONS", in_workflow)
        assert audit.audit_all(lambda command: subprocess.CompletedProcess(command, code, said, "")) == expected
        printed = capsys.readouterr().out
        assert ("SKIPPED" in printed) is skipped
        assert ("PYSEC-1" in printed) is ("PYSEC-1" in said)


def test_the_audit_asks_about_the_environment_the_module_and_the_viewer():
    asked = []

    def run(command):
        files = [Path(word).read_text(encoding="utf-8") for word in command if word.endswith(".txt")]
        asked.append(" ".join(files))
        is_module = "onnxruntime" in asked[-1] and "trame" not in asked[-1]
        return subprocess.CompletedProcess(command, int(is_module), told(HOLED if is_module else CLEAN), "")

    assert audit.audit_all(run) == 1, "one hole of one list is enough"
    installed, module, viewer = asked
    assert installed == "" and "onnxruntime" in module
    assert "trame-slicer" in viewer and "onnxruntime" in viewer and "torch" not in viewer


def test_make_and_the_workflow_run_the_audit():
    assert "Testing/audit.py" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "make audit" in (ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8")
