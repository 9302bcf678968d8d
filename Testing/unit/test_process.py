"""Children that behave in every way but the right one; Slicer is not needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import types

import pytest
from VertebraLabelingLib import __version__
from VertebraLabelingLib.app import process, process_tree
from VertebraLabelingLib.app.process import ChildProcess, LaunchError, launch_python, parse_event

PATIENCE_S = 20.0


def wait_until(condition, patience_s=PATIENCE_S):
    """Poll as a timer would; fails when it takes too long."""
    end = time.monotonic() + patience_s
    while not (result := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    return result


def finished(code, *arguments):
    """(child, its events) of a Python program that has ended."""
    child = ChildProcess(["-c", code, *arguments])
    wait_until(lambda: child.returncode is not None)
    return child, child.poll()


@pytest.fixture
def running():
    """Starts children that are gone after the test."""
    children = []

    def start(code, *arguments):
        children.append(ChildProcess(["-c", code, *arguments]))
        return children[-1]

    yield start
    for child in children:
        child.close()
        assert child._process.poll() is not None


def lives(pid):
    try:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("this system has no ps")
    return state.stdout.strip()[:1] not in ("", "Z")


def test_events_come_in_order_and_everything_else_is_log():
    child, events = finished("""
print('{"event": "progress", "fraction": 0.5}')
print("a warning")
print('{"event": "result", "name": "Ä\\u00e4"}', flush=True)
import sys; print("trouble", file=sys.stderr)
""")
    assert events == [{"event": "progress", "fraction": 0.5}, {"event": "result", "name": "Ää"}]
    assert child.log.splitlines() == ["a warning", "trouble"]
    assert child.returncode == 0
    assert child.poll() == []


def test_a_line_in_two_halves_is_one_event_and_never_half_an_event(running, tmp_path):
    gate = tmp_path / "gate"
    child = running(
        """
import pathlib, sys, time
print('{"event": "res', end="", flush=True)
while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)
print('ult"}', flush=True)
""",
        str(gate),
    )
    time.sleep(0.3)
    assert child.poll() == []
    gate.touch()
    assert wait_until(child.poll) == [{"event": "result"}]


def test_a_last_line_without_an_end_counts_only_when_it_is_whole():
    assert finished("print('{\"event\": \"result\"}', end='')")[1] == [{"event": "result"}]
    child, events = finished("print('{\"event\": \"resu', end='')")
    assert events == []
    assert child.log == '{"event": "resu'


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"NaN",
        b"17",
        b'"event"',
        b'["event"]',
        b"{}",
        b'{"event": 3}',
        b'{"event": "a"',
        b'{"event": "\xff"}',
        b'{"event":' + b"[" * 100_000,
        b'{"event": ' + b"9" * 5000 + b"}",
        b"\x00\xff\xfe{",
    ],
)
def test_what_is_no_event(line):
    assert parse_event(line) is None


def test_an_event_may_be_indented_and_hold_anything():
    assert parse_event(b'  {"event": "x", "values": [1, null]} \r\n') == {"event": "x", "values": [1, None]}


def test_binary_garbage_does_no_harm():
    code = """
import os, sys
sys.stdout.buffer.write(bytes(range(256)) * 200 + b"\\n")
sys.stdout.buffer.write(b'{"event": "result"}\\n' + os.urandom(50_000))
"""
    child, events = finished(code)
    assert events == [{"event": "result"}]
    assert all(c.isprintable() or c in "\t\n" for c in child.log)


def test_output_without_end_is_read_but_not_kept():
    code = """
line = "x" * 5000
for _ in range(2000): print(line)
print('{"event": "result"}')
print("last")
"""
    child, events = finished(code)
    lines = child.log.splitlines()
    assert events == [{"event": "result"}]
    assert (len(lines), lines[-1], max(map(len, lines))) == (process.LOG_LINES, "last", process.LOG_WIDTH)


def test_a_line_without_end_is_cut(monkeypatch):
    monkeypatch.setattr(process, "LONGEST_LINE", 1000)
    child, events = finished("""print("x" * 2500); print('{"event": "' + "y" * 2000 + '"}'); print('{"event": "b"}')""")
    assert events == [{"event": "b"}]
    assert len(child.log.splitlines()[0]) == 1000


def test_the_exit_code_is_the_child_s_own():
    assert finished("raise SystemExit(5)")[0].returncode == 5
    child, _ = finished("1 / 0")
    assert child.returncode == 1
    assert child.log.splitlines()[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_killed_child_has_a_negative_code_and_a_crash_leaves_its_python_traceback():
    assert finished("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")[0].returncode == -9
    child, _ = finished("def guilty():\n import os, signal; os.kill(os.getpid(), signal.SIGSEGV)\nguilty()")
    assert child.returncode == -11
    assert "in guilty" in child.log


def test_the_end_is_reported_only_when_everything_was_read():
    child = ChildProcess(["-c", """for n in range(20000): print('{"event": "n", "n": %d}' % n)"""])
    events = []
    while child.returncode is None:
        events += child.poll()
    events += child.poll()
    assert [event["n"] for event in events] == list(range(20000))


def test_a_call_returns_at_once_while_the_child_says_nothing(running):
    child = running("import time; time.sleep(60)")
    start = time.perf_counter()
    for _ in range(100):
        assert child.poll() == []
        assert child.returncode is None
    assert time.perf_counter() - start < 0.5


def test_a_cancel_is_heard_through_the_file(running, tmp_path):
    file = tmp_path / "stop"
    child = running(
        """
import pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)
raise SystemExit(130)
""",
        str(file),
    )
    assert child.returncode is None
    child.request_cancel(file)
    assert wait_until(lambda: child.returncode is not None) is True
    assert child.returncode == 130


LAUNCHER = """
import subprocess, sys
sys.exit(subprocess.run([sys.executable, "-c", '''
import json, os, signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(json.dumps({"event": "pids", "pids": [os.getpid(), inner.pid]}), flush=True)
time.sleep(600)
''']).returncode)
"""


@pytest.mark.skipif(os.name == "nt", reason="asks ps whether a process lives")
@pytest.mark.parametrize("with_psutil", [True, False], ids=["psutil", "ps"])
def test_behind_a_launcher_the_whole_tree_is_ended(running, monkeypatch, with_psutil):
    if with_psutil:
        pytest.importorskip("psutil")
    else:
        monkeypatch.setitem(sys.modules, "psutil", None)
    child = running(LAUNCHER)
    pids = [child._process.pid, *wait_until(child.poll)[0]["pids"]]
    assert all(lives(pid) for pid in pids)
    assert set(process_tree.descendants(pids[0])) == set(pids[1:])
    child.kill_tree()
    wait_until(lambda: not any(lives(pid) for pid in pids))
    assert wait_until(lambda: child.returncode is not None)


def test_closing_ends_the_child_and_a_second_time_does_nothing(running):
    child = running("""print('{"event": "up"}', flush=True); import time; time.sleep(600)""")
    wait_until(child.poll)
    start = time.perf_counter()
    child.close()
    child.close()
    assert child.returncode not in (None, 0)
    assert time.perf_counter() - start < 3.0
    assert not child._reader.is_alive()


@pytest.mark.skipif(os.name == "nt", reason="POSIX only")
def test_a_pipe_that_a_grandchild_holds_open_delays_the_end_but_does_not_prevent_it(monkeypatch, running):
    monkeypatch.setattr(process, "PIPE_GRACE_S", 0.3)
    child = running("""
import os, subprocess, sys
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.5)"])
print('{"event": "result"}', flush=True)
os._exit(0)
""")
    wait_until(lambda: child._process.poll() is not None)
    assert child.returncode is None
    assert wait_until(lambda: child.returncode is not None, 1.0)
    assert child.poll() == [{"event": "result"}]


def test_the_child_imports_the_library_whatever_the_working_folder_holds(tmp_path, monkeypatch):
    (tmp_path / "VertebraLabelingLib.py").write_text("raise SystemExit(99)")
    (tmp_path / "json.py").write_text("raise SystemExit(98)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    child, _ = finished("import VertebraLabelingLib, json; print(VertebraLabelingLib.__version__)")
    assert (child.returncode, child.log) == (0, __version__)


def test_the_users_python_path_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    _, events = finished("import json, sys; print(json.dumps({'event': 'path', 'path': sys.path}))")
    assert events[0]["path"].index(str(tmp_path)) > events[0]["path"].index(str(process.LIBRARY_ROOT))


class Utilities:
    """Slicer's `launchConsoleProcess`, as it opens the pipe: in text mode, in the system's encoding."""

    def __init__(self):
        self.calls = []

    def launchConsoleProcess(self, args, useStartupEnvironment=True, updateEnvironment=None, cwd=None, blocking=True):
        self.calls.append((list(args), useStartupEnvironment, cwd, blocking))
        environment = {**os.environ, **updateEnvironment}
        return subprocess.Popen(
            args, env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="ascii"
        )


@pytest.mark.skipif(os.name == "nt", reason="links the interpreter under another name")
def test_in_slicer_its_own_python_is_launched_the_way_slicer_does(tmp_path, monkeypatch):
    python_slicer = tmp_path / "PythonSlicer"
    python_slicer.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python_slicer.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    utilities = Utilities()
    package = types.ModuleType("slicer")
    package.util = utilities
    monkeypatch.setitem(sys.modules, "slicer", package)
    monkeypatch.setitem(sys.modules, "slicer.util", utilities)
    child, events = finished("""
import sys
sys.stdout.buffer.write("µ\\xff\\n".encode("latin-1"))
print('{"event": "result"}')
""")
    assert events == [{"event": "result"}]
    assert child.log == "\N{REPLACEMENT CHARACTER}" * 2
    ((arguments, startup, cwd, blocking),) = utilities.calls
    assert arguments[:2] == [str(python_slicer), "-c"]
    assert (startup, cwd, blocking) == (False, str(process.LIBRARY_ROOT), True)


def test_slicer_itself_is_never_started_as_python(monkeypatch):
    monkeypatch.setattr(process.shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "executable", "/opt/Slicer/bin/SlicerApp-real")
    with pytest.raises(LaunchError, match="PythonSlicer was not found"):
        launch_python(["-c", ""])


def test_a_python_that_cannot_be_started_is_a_sentence(monkeypatch):
    monkeypatch.setattr(process.shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    with pytest.raises(LaunchError, match=r"cannot be started \(No such file"):
        launch_python(["-c", ""])


def test_json_of_the_real_command_is_understood(tmp_path):
    child = ChildProcess(
        ["-m", "VertebraLabelingLib.predict", "label", "absent.nii", "--output", "o.mrk.json", "--json-lines"]
    )
    wait_until(lambda: child.returncode is not None)
    (*_, error) = child.poll()
    assert (error["event"], error["code"]) == ("error", child.returncode)
    assert json.dumps(error)


def test_a_tool_of_the_system_may_speak_another_code_page():
    code = "import sys; sys.stdout.buffer.write('Op\\u00e9ration r\\u00e9ussie'.encode('cp850'))"
    assert process_tree._run([sys.executable, "-c", code]).startswith("Op")
