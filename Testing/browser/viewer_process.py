"""The viewer as a child process, as `make view` starts it, and what it says of itself in state.json."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/")
START_S, END_S = 120, 30
ROOT = Path(__file__).resolve().parents[2]


class ViewerProcess:
    """address: of the page, with its token.  started_s: from the start of the process until it said the address."""

    def __init__(self, process: subprocess.Popen[str], address: str, started_s: float, log: Path) -> None:
        self.process, self.address, self.started_s, self.log = process, address, started_s, log
        match = ADDRESS.fullmatch(address)
        assert match is not None
        self.port, self.token = int(match[1]), match[2]
        self.origin = f"http://127.0.0.1:{self.port}"

    def state(self) -> dict[str, Any]:
        with urlopen(f"{self.address}state.json", timeout=60) as answer:
            return json.load(answer)

    @property
    def names(self) -> list[str]:
        return [point["name"] for point in self.state()["points"]]


@contextmanager
def running_viewer(log: Path, *arguments: str | Path, browser: Path | None = None) -> Iterator[ViewerProcess]:
    """A viewer that serves; it is ended as Ctrl+C ends it, and must end so.

    browser: a program that it takes for the user's browser; by default it opens none.
    """
    command = [sys.executable, "-m", "VertebraLabelingLib.predict", "view", *map(str, arguments)]
    environment = {"VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow", **os.environ}
    if browser is None:
        command.append("--no-browser")
    else:
        environment["BROWSER"] = str(browser)
    begin = time.monotonic()
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        )
    try:
        address = _address(process, begin + START_S, log)
        yield ViewerProcess(process, address, time.monotonic() - begin, log)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(END_S) in (0, 130), log.read_text(encoding="utf-8")
        assert "Traceback" not in log.read_text(encoding="utf-8")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _address(process: subprocess.Popen[str], deadline_s: float, log: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        found = ADDRESS.search(line)
        if found:
            return found[0]
        if time.monotonic() > deadline_s:
            break
    raise AssertionError(f"the viewer named no address: {log.read_text(encoding='utf-8')}")
