"""A Python child that talks in JSON lines, read in the background and ended for certain; needs neither Qt nor a scene.

The caller's thread never waits for the child: it polls.  See design.md section 5 for why there is a child at all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from ..core.errors import VertebraLabelingError
from .process_tree import kill_tree

Event = dict[str, Any]
"""One JSON line; ``event["event"]`` says which kind it is."""
Launch = Callable[[Sequence[str]], "subprocess.Popen[Any]"]
"""Starts a Python interpreter with these arguments, stdout and stderr in one pipe."""

LIBRARY_ROOT = Path(__file__).resolve().parents[2]
LONGEST_LINE = 2**24
"""Bytes; a longer line is no event and is read in pieces."""
LOG_LINES, LOG_WIDTH = 500, 2000
"""What is kept of the lines that are no events, the last ones: a child can print without end."""
PIPE_GRACE_S = 2.0
"""A grandchild may hold the pipe open after its parent has ended; longer than this nobody waits for its words."""
READER_GRACE_S = 0.3
"""For the last words of a child that has ended."""


class LaunchError(VertebraLabelingError):
    """The child cannot even be started."""


class ChildProcess:
    """A running child; see `launch_python` for the arguments."""

    def __init__(self, command: Sequence[str], launch: Launch | None = None) -> None:
        self._process = (launch or launch_python)(command)
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._lock = threading.Lock()
        self._closed = False
        self._end_seen_s: float | None = None
        self._reader = threading.Thread(target=self._read, name="VertebraLabeling reader", daemon=True)
        self._reader.start()

    def poll(self) -> list[Event]:
        """What the child has said since the last call, in order; returns at once."""
        events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except Empty:
                return events

    @property
    def returncode(self) -> int | None:
        """Exit code, negative after a signal; None as long as the child runs or words of it may still come.

        Ask this first and `poll` afterwards to have everything that it said.
        """
        code = self._process.poll()
        if code is None or not self._reader.is_alive():
            return code
        self._end_seen_s = self._end_seen_s or time.monotonic()
        return code if time.monotonic() - self._end_seen_s > PIPE_GRACE_S else None

    @property
    def log(self) -> str:
        """The last lines that were no events: warnings, tracebacks, whatever libraries print."""
        with self._lock:
            return "\n".join(self._log)

    def request_cancel(self, cancel_file: Path) -> None:
        """Ask the child to stop at its next step; it watches for this file (``--cancel-file``)."""
        cancel_file.touch()

    def kill_tree(self) -> None:
        """End the child and all that it started, at once; nothing happens when it has ended."""
        if self._process.poll() is None:
            kill_tree(self._process)

    def close(self, timeout_s: float = 3.0) -> None:
        """End the child as `kill_tree` does and wait until it is gone, so that its files can be removed."""
        self._closed = True
        self.kill_tree()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:  # the system has not let go of it; it was told to end
            return
        self._reader.join(READER_GRACE_S)

    def _read(self) -> None:
        stream = _binary(self._process)
        with stream:
            while line := stream.readline(LONGEST_LINE):
                event = parse_event(line)
                if event is not None:
                    self._events.put(event)
                else:
                    self._remember(line)
                if self._closed:  # whoever still writes is told so by the closed pipe
                    return

    def _remember(self, line: bytes) -> None:
        text = line[:LOG_WIDTH].decode("utf-8", "replace").rstrip()
        printable = "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
        with self._lock:
            self._log.append(printable)


def _binary(process: subprocess.Popen[Any]) -> IO[bytes]:
    """The output as bytes: Slicer opens it as text in the system's encoding, in which a wrong byte is an error."""
    stream: Any = process.stdout
    return getattr(stream, "buffer", stream)


def parse_event(line: bytes) -> Event | None:
    """The event in a line of output; None for any other text."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def launch_python(arguments: Sequence[str]) -> subprocess.Popen[Any]:
    """Start Python with these arguments, `VertebraLabelingLib` being importable; LaunchError when that fails.

    In Slicer this is PythonSlicer, which has Slicer's packages; elsewhere the running interpreter.
    """
    python_slicer = shutil.which("PythonSlicer")
    try:
        if python_slicer is None:
            return _popen([_own_interpreter(), *arguments])
        import slicer.util

        return slicer.util.launchConsoleProcess(
            [python_slicer, *arguments], useStartupEnvironment=False, updateEnvironment=_variables(), cwd=_folder()
        )
    except OSError as error:
        raise LaunchError(f"Python cannot be started ({error.strerror or error}); install Slicer again.") from error


def _own_interpreter() -> str:
    """Inside Slicer, `sys.executable` may be Slicer itself: starting that would open a second one."""
    if not Path(sys.executable or "").stem.lower().startswith("python"):
        raise LaunchError("PythonSlicer was not found beside Slicer; install Slicer again.")
    return sys.executable


def _popen(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **_variables()},
        cwd=_folder(),
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows: no console window
    )


def _variables() -> dict[str, str]:
    """Changes to the environment; a crash in native code leaves its Python traceback in the log."""
    paths = [str(LIBRARY_ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONIOENCODING": "utf-8",
        "PYTHONFAULTHANDLER": "1",
    }


def _folder() -> str:
    """Working folder: ``python -m`` imports from there first, so it must not be one of the user's."""
    return str(LIBRARY_ROOT)
