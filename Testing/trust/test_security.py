"""Nothing that comes from outside is executed, and nothing is fetched that was not asked for."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import socket
import subprocess
import zipfile
from functools import cache
from pathlib import Path

import audit
import numpy as np
import pytest
from damage import flip_one_bit
from trust_support import OUTPUTS, label, written
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
    loads = [(path, call) for path in TRAINING for call in calls(path) if dotted(call.func) == "torch.load"]
    assert {path.relative_to(ROOT).as_posix() for path, _ in loads} == {CHECKPOINTS}
    for _, call in loads:
        assert is_constant({k.arg: k.value for k in call.keywords}.get("weights_only"), True)
    assert "checkpoint" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


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
def test_a_whole_run_with_the_shipped_weights_uses_no_network(phantom, tmp_path):
    path = written(tmp_path / "phantom.nii.gz", phantom.scan.to_sitk())
    out = tmp_path / "out"
    assert label(path, out, "--preview", out / "a.png", "--quiet") == 0
    assert {p.name for p in out.iterdir()} == {*OUTPUTS, "a.png"}


# --- the audit of dependencies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said", "exit_code", "skipped"),
    [
        (0, "No known vulnerabilities found", 0, False),
        (1, "Found 2 known vulnerabilities in 1 package", 1, False),
        (1, "requests.exceptions.ConnectionError: Max retries exceeded", 0, True),
        (1, "python: No module named pip_audit", 0, True),
        (1, "Traceback: some bug", 1, False),
        (1, "Found 1 known vulnerability in 1 package\nConnectionError", 1, False),
    ],
)
def test_the_audit_fails_for_holes_and_is_skipped_without_a_network(code, said, exit_code, skipped, capsys):
    assert audit.audit(lambda command: subprocess.CompletedProcess(command, code, said, "")) == exit_code
    assert ("SKIPPED" in capsys.readouterr().out) is skipped


def test_make_and_the_workflow_run_the_audit():
    assert "Testing/audit.py" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "make audit" in (ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8")
