"""Runs of the command line that meet with harm at one stage, each in a fork of a process that has loaded everything.

As a script it reads cases, one JSON object per line, and answers each with {"code", "message"}; with ``--once CASE
ARGUMENTS`` it is one such run itself, for those who start their own children.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fuzzing import child_environment
from trust_support import FixedMethod, leave_out_networks
from VertebraLabelingLib import outputs, pipeline, predict
from VertebraLabelingLib.batch import page, summary, task
from VertebraLabelingLib.batch.manifest import Manifest
from VertebraLabelingLib.core import readers

SCRIPT = Path(__file__).resolve()
SECONDS = 120
QUOTA_BYTES = 200
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
BEFORE_WRITING = ("reading", "preparing", "network")


@dataclass(frozen=True)
class Case:
    """stage: of BEFORE_WRITING, "writing FILE" or "moving FILE" by the name of the file; of a batch also "begun",
    "done", "summary" and "page".  harm: a key of HARMS.  folder: of the results.  nth: which time the stage comes.
    """

    stage: str
    harm: str
    folder: str
    nth: int = 1


@dataclass
class Worker:
    """Asks the script; `run` gives exit code (negative: the signal) and what was printed to stderr."""

    _process: subprocess.Popen[str] | None = None

    def begin(self, words: Sequence[object], case: Case | None = None) -> None:
        """Start a run; `end` waits for it."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=child_environment() | {"OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"words": [*map(str, words)], "case": case and asdict(case)}) + "\n")
        self._process.stdin.flush()

    def end(self) -> tuple[int, str]:
        assert self._process and self._process.stdout
        answer = json.loads(self._process.stdout.readline())
        return answer["code"], answer["message"]

    def run(self, words: Sequence[object], case: Case | None = None) -> tuple[int, str]:
        self.begin(words, case)
        return self.end()

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate(timeout=60)


# --- the script -------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--once", metavar="CASE")
    args, words = parser.parse_known_args()
    leave_out_networks()
    if args.once:
        return run(words, json.loads(args.once))
    preload()
    for line in sys.stdin:
        given = json.loads(line)
        print(json.dumps(answered(given["words"], given["case"])), flush=True)
    return 0


def preload() -> None:
    """What every run imports; nothing may start threads, which a fork would lose."""
    import scipy.interpolate  # noqa: F401
    import SimpleITK  # noqa: F401
    from VertebraLabelingLib import preview, record  # noqa: F401
    from VertebraLabelingLib.batch import alone, run  # noqa: F401
    from VertebraLabelingLib.commands import label  # noqa: F401

    preview.draw_preview = draw_small  # the real one takes most of the time


def draw_small(path: Path, *_: object) -> None:
    """A picture without content."""
    from PIL import Image

    Image.new("L", (64, 64)).save(path, "PNG")


def answered(words: Sequence[str], case: dict[str, Any] | None) -> dict[str, Any]:
    """The answer to one case."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(theirs, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.close(ours)
        signal.alarm(SECONDS)
        code = run(words, case)
        sys.stderr.flush()
        os._exit(code)
    os.close(theirs)
    with os.fdopen(ours, errors="replace") as pipe:
        message = pipe.read()
    return {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "message": message}


def run(words: Sequence[str], case: dict[str, Any] | None) -> int:
    if case:
        without_privileges()
        set_trap(Case(**case))
    return predict.main([*words])


def without_privileges() -> None:
    """Permissions of files count for root as well (Linux)."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL("libc.so.6", use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    for which in (0, 1):  # effective, permitted
        sets[which] &= ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


# --- harm -------------------------------------------------------------------------------------------------------------


def kill(case: Case) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def cancel(case: Case) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def cancel_twice(case: Case) -> None:
    cancel(case)
    cancel(case)


def full(case: Case) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", f"{case.folder}/x")


def quota(case: Case) -> None:
    """No file may grow any more, which the system says."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (QUOTA_BYTES, QUOTA_BYTES))


def read_only(case: Case) -> None:
    Path(case.folder).chmod(0o555)


def hold(case: Case) -> None:
    """Wait until somebody takes the mark away."""
    mark = held_mark(case.folder)
    mark.touch()
    while mark.exists():
        time.sleep(0.02)


def held_mark(folder: str | Path) -> Path:
    return Path(folder).with_name("held")


HARMS: dict[str, Callable[[Case], None]] = {
    "kill": kill, "cancel": cancel, "cancel twice": cancel_twice, "full": full, "quota": quota, "read-only": read_only,
    "hold": hold,
}  # fmt: skip


def set_trap(case: Case) -> None:
    """The harm is done when the stage comes for the n-th time."""
    seen = 0

    def spring() -> None:
        nonlocal seen
        seen += 1
        if seen == case.nth:
            HARMS[case.harm](case)

    kind, _, name = case.stage.partition(" ")
    if kind == "writing":
        trap_writers(name, spring)
    elif kind == "moving":
        wrap(Path, "replace", spring, lambda path, target: target.name == name)
    elif kind in ("begun", "done"):
        state = {"begun": "running"}.get(kind, kind)
        wrap(Manifest, "put", spring, lambda manifest, stem, row: row.state == state)
    else:
        places = {
            "reading": (readers, "read_scan"), "preparing": (pipeline, "prepare"), "network": (FixedMethod, "find"),
            "summary": (summary, "row"), "page": (page, "page"),
        }  # fmt: skip
        wrap(*places[kind], spring)


def wrap(owner: Any, name: str, spring: Callable[[], None], when: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Spring before every call of a function that `when` is true for."""
    original = getattr(owner, name)

    def wrapped(*args: Any, **keywords: Any) -> Any:
        if when(*args, **keywords):
            spring()
        return original(*args, **keywords)

    setattr(owner, name, wrapped)


def trap_writers(name: str, spring: Callable[[], None]) -> None:
    """Spring when half of the file is written."""
    original = outputs.writers

    def half_first(writer: outputs.Writer) -> outputs.Writer:
        def write(path: Path) -> object:
            writer(path)
            os.truncate(path, path.stat().st_size // 2)
            spring()
            return writer(path)

        return write

    def writers(*args: Any, **keywords: Any) -> dict[Path, outputs.Writer]:
        found = original(*args, **keywords)
        return {path: half_first(writer) if path.name == name else writer for path, writer in found.items()}

    outputs.writers = task.writers = writers


if __name__ == "__main__":
    sys.exit(main())
