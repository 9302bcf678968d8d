"""How a case is run in a child process, what counts as right, and which cases hypothesis makes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from trust_support import OUTPUTS

WORKER = Path(__file__).with_name("fuzz_worker.py")
EXPECTED_CODES = (0, 2, 3, 4, 5, 6)
"""A result, or a refusal in a sentence (see predict.py)."""
SEED_VARIABLE = "VERTEBRA_FUZZ_SEED"
SEED = int(os.environ.get(SEED_VARIABLE, "0"))
"""With another one, other cases: ``VERTEBRA_FUZZ_SEED=7 make test-slow``."""


def settled(cases: int) -> Callable[[Any], Any]:
    """So many cases, the same in every run with the same seed, however long each takes.

    A failing case is not made simpler: each attempt could take a minute, and the table would count it.
    """
    chosen = settings(
        max_examples=cases, phases=[Phase.generate], deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    return lambda test: seed(SEED)(chosen(test))


@dataclass
class Worker:
    """A child process for many cases, started again when one has ended it; `counts` are for the table at the end.

    folder: where each case may write; emptied before each.
    """

    folder: Path
    seconds: int = 60
    memory_mb: int = 1500
    counts: Counter[str] = field(default_factory=Counter)
    _child: subprocess.Popen[str] | None = None

    def run(self, ct: Path, anchors: Path | None = None) -> dict[str, Any]:
        """What the child says of labelling a scan; AssertionError, after counting, unless a result or a refusal."""
        answer = self.ask("label", ct, anchors=str(anchors or ""))
        self._count_result(answer, "labelled", list(OUTPUTS))
        return answer

    def read(self, task: str, path: Path, **more: str) -> dict[str, Any]:
        """The same of a task that only reads (see fuzz_tasks.py); "told" of the answer is what it has read."""
        answer = self.ask(task, path, **more)
        self._count_result(answer, "read", [])
        return answer

    def ask(self, task: str, path: Path, **more: str) -> dict[str, Any]:
        """What the child says of a task; AssertionError for a crash, a hang or an error that is no sentence."""
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        self.counts["cases"] += 1
        answer = self._asked({"task": task, "path": str(path), "out": str(out), **more})
        if answer is None:
            code = self._child_code()
            self.counts["hangs" if code == -signal.SIGALRM else "crashes"] += 1
            raise AssertionError(f"the process ended: exit code {code}")
        return answer

    def _asked(self, case: dict[str, str]) -> dict[str, Any] | None:
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, str(WORKER), "--seconds", str(self.seconds), "--memory-mb", str(self.memory_mb)]
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env=child_environment(),
            )  # fmt: skip
        assert self._child.stdin and self._child.stdout
        self._child.stdin.write(json.dumps(case) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        return json.loads(line) if line else None

    def _child_code(self) -> int:
        assert self._child
        return self._child.wait(timeout=60)

    def _count_result(self, answer: dict[str, Any], word: str, wanted: list[str]) -> None:
        code, message, files = answer["code"], answer["message"], answer["files"]
        self.counts[word if code == 0 else "refused"] += code in EXPECTED_CODES
        if files != (sorted(wanted) if code == 0 else []):
            self.counts["half_written"] += 1
            raise AssertionError(f"exit code {code}, but the files are {files}")
        if code not in EXPECTED_CODES:
            self.counts["crashes"] += 1
            raise AssertionError(f"exit code {code}: {message}")
        if code and (message.count("\n") != 1 or not message.rstrip().endswith((".", ".)"))):
            raise AssertionError(f"not one sentence: {message!r}")

    def close(self) -> None:
        if self._child is not None:
            self._child.stdin.close()  # type: ignore[union-attr]
            self._child.wait(timeout=60)


def child_environment() -> dict[str, str]:
    """The modules of this process are those of the child."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
