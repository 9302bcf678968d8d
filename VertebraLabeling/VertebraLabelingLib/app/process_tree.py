"""Ending a process with all that it started: PythonSlicer is a launcher, killed alone it leaves Python alive."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import defaultdict
from contextlib import suppress
from typing import Any

TOOL_TIMEOUT_S = 5.0


def kill_tree(process: subprocess.Popen[Any]) -> None:
    """Kill a running process and its descendants; returns without waiting for their end.

    Found through psutil where it is installed (Slicer does not bundle it), else with what the system has.
    """
    if os.name == "nt":
        with suppress(OSError, subprocess.TimeoutExpired):
            _run(["taskkill", "/PID", str(process.pid), "/T", "/F"])
    for pid in () if os.name == "nt" else descendants(process.pid):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    with suppress(OSError):
        process.kill()


def descendants(pid: int) -> list[int]:
    """Process ids of all children, their children and so on; empty when the system cannot say."""
    try:
        import psutil
    except ImportError:
        return _descendants_by_ps(pid)
    with suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


def _descendants_by_ps(pid: int) -> list[int]:
    """The same from the process list that every POSIX system prints."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    with suppress(OSError, subprocess.TimeoutExpired, ValueError):
        for line in _run(["ps", "-A", "-o", "pid=,ppid="]).splitlines():
            child, parent = map(int, line.split())
            children[parent].append(child)
    found = [pid]
    for known in found:  # grows while it is walked
        found += children[known]
    return found[1:]


def _run(command: list[str]) -> str:
    """Output of a tool of the system, without a console window on Windows."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",  # taskkill speaks the language of the system, in a code page of its own
        timeout=TOOL_TIMEOUT_S,
        check=False,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    return done.stdout
