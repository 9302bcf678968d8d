"""Cases for the readers: how files are damaged, how a case is run in a child process, and what counts as right."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from trust_support import OUTPUTS

WORKER = Path(__file__).with_name("fuzz_worker.py")
EXPECTED_CODES = (0, 2, 3, 4, 6)
HOSTILE_NUMBERS = (0, 1, -1, 2, 127, 255, 32767, -32768, 65535, 2**31 - 1, -(2**31), 100000)
HOSTILE_WORDS = (
    b"", b"0", b"-1", b"1e308", b"-1e308", b"nan", b"inf", b"100000 100000 100000", b"100000", b"2147483648",
    b"99999999999999999999", b"3", b"%s%n%d", b"../../../../etc/passwd", b"LIST", b"LOCAL", b"True", b"gzip", b"raw",
    b"(1,0,0) (0,1,0) (0,0,0)", b"1 0 0 1 0 0 0 0 1", b"none", b"A" * 3000, b"\x00", b"\xff\xfe", "Größe".encode(),
    b"MET_DOUBLE", b"MET_CHAR_ARRAY", b"double", b"block", b"/dev/zero", b".",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One damage.  kind: what is done.  place: where, as a share of the header or of the file.  value: with what."""

    kind: str
    place: float
    value: Any = None

    def applied(self, data: bytes, header_bytes: int) -> bytes:
        within = (
            len(data) if self.kind in ("cut", "flip anywhere", "repeat", "remove") else min(header_bytes, len(data))
        )
        at = min(int(self.place * within), max(len(data) - 1, 0))
        return getattr(self, "_" + self.kind.replace(" ", "_"))(data, at, header_bytes)

    def _cut(self, data: bytes, at: int, _: int) -> bytes:
        return data[:at]

    def _flip_anywhere(self, data: bytes, at: int, _: int) -> bytes:
        return data[:at] + self.value + data[at + len(self.value) :]

    _bytes = _number = _flip_anywhere

    def _repeat(self, data: bytes, at: int, _: int) -> bytes:
        return data[:at] + data[at : at + 200] * 3 + data[at:]

    def _remove(self, data: bytes, at: int, _: int) -> bytes:
        return data[:at] + data[at + 1 + len(self.value) * 20 :]

    def _line(self, data: bytes, at: int, header_bytes: int) -> bytes:
        """Another value on one line of a header of text, after its ``:`` or ``=``."""
        lines = data[:header_bytes].split(b"\n")
        number = int(self.place * (len(lines) - 1))
        for mark in (b":=", b": ", b" = ", b"="):
            key, found, _ = lines[number].partition(mark)
            if found:
                lines[number] = key + found + self.value
                break
        return b"\n".join(lines) + data[header_bytes:]

    def _lose_line(self, data: bytes, at: int, header_bytes: int) -> bytes:
        lines = data[:header_bytes].split(b"\n")
        del lines[int(self.place * (len(lines) - 1))]
        return b"\n".join(lines) + data[header_bytes:]


def changes(is_text: bool) -> st.SearchStrategy[list[Change]]:
    """One to three damages, most of them in the header."""
    place = st.floats(0, 1, exclude_max=True)
    number = st.builds(lambda n, size: (n % 2 ** (8 * size)).to_bytes(size, "little"),
                       st.sampled_from(HOSTILE_NUMBERS), st.sampled_from((1, 2, 4, 8)))  # fmt: skip
    real = st.floats(width=32).map(lambda x: struct.pack("<f", x))
    raw = st.binary(min_size=1, max_size=8)
    kinds = [
        st.builds(Change, st.just("number"), place, number | real),
        st.builds(Change, st.just("bytes"), place, raw),
        st.builds(Change, st.sampled_from(("cut", "repeat")), place),
        st.builds(Change, st.sampled_from(("remove", "flip anywhere")), place, raw),
    ]
    if is_text:
        kinds += [st.builds(Change, st.just("line"), place, st.sampled_from(HOSTILE_WORDS))] * 3
        kinds += [st.builds(Change, st.just("lose line"), place)]
    return st.lists(st.one_of(kinds), min_size=1, max_size=3)


def settled(cases: int) -> settings:
    """The same so many cases in every run, however long each takes."""
    health = list(HealthCheck)
    return settings(max_examples=cases, deadline=None, derandomize=True, database=None, suppress_health_check=health)


def damaged(data: bytes, header_bytes: int, damage: list[Change]) -> bytes:
    for change in damage:
        data = change.applied(data, header_bytes)
    return data


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
        """What the child says of the case; AssertionError, after counting, for anything but a result or a refusal."""
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        self.counts["cases"] += 1
        answer = self._asked({"ct": str(ct), "out": str(out), "anchors": str(anchors or "")})
        if answer is None:
            code = self._child_code()
            self.counts["hangs" if code == -signal.SIGALRM else "crashes"] += 1
            raise AssertionError(f"the process ended: exit code {code}")
        self._judge(answer)
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

    def _judge(self, answer: dict[str, Any]) -> None:
        code, message, files = answer["code"], answer["message"], answer["files"]
        self.counts["labelled" if code == 0 else "refused"] += code in EXPECTED_CODES
        if files != (sorted(OUTPUTS) if code == 0 else []):
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
