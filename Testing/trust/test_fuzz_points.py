"""Damaged files of points: each is read as points that can be used, or refused in a sentence."""

from __future__ import annotations

import json
import math
import tempfile
import time
from pathlib import Path

import pytest
from fuzz_damage import changes, damaged, exchanges
from fuzz_tasks import GEOMETRY
from fuzzing import Worker, settled
from hypothesis import given
from trust_support import LEVELS
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import VertebraLabelingError
from VertebraLabelingLib.core.formats import common, read_points, write_points
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling

pytest.importorskip("resource", reason="memory is limited by means of POSIX")

POINTS = tuple(LabelledPoint(level, (0.0, 0.0, -30.0 * n), 0.9, "ok", True) for n, level in enumerate(LEVELS))
KINDS = (".mrk.json", ".csv", "_ctd.json")
QUICK_EACH, SLOW_EACH = 30, 400


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("points")
    for kind in KINDS:
        write_points(folder / f"a{kind}", Labelling(POINTS), GEOMETRY)
    return {kind: (folder / f"a{kind}").read_bytes() for kind in KINDS}


def judged(worker: Worker, content: bytes, kind: str, task: str = "points") -> list[str] | None:
    """The names of the points, all of which can be used, or None for a refusal in one sentence."""
    with tempfile.TemporaryDirectory(dir=worker.folder) as folder:
        path = Path(folder) / f"a{kind}"
        path.write_bytes(content)
        answer = worker.read(task, path)
    if answer["code"]:
        assert answer["code"] == 3
        assert answer["message"].strip().isprintable()
        assert len(answer["message"]) < 3000
        return None
    points = answer["told"]
    names = [point["level"] for point in points]
    assert names == [level.name for level in sorted({Level[name] for name in names})]
    assert all(math.isfinite(value) for point in points for value in point["lps_mm"])
    assert all(0 <= point["probability"] <= 1 for point in points)
    return names


def bytes_are_damaged(worker: Worker, originals, kind: str, count: int) -> None:
    @settled(count)
    @given(changes(is_text=True))
    def read_or_refused(damage):
        judged(worker, damaged(originals[kind], len(originals[kind]), damage), kind)

    read_or_refused()


def values_are_exchanged(worker: Worker, originals, kind: str, count: int) -> None:
    """The file stays JSON, with any value anywhere in it."""

    @settled(count)
    @given(exchanges())
    def read_or_refused(exchange):
        judged(worker, exchange.applied(originals[kind]), kind)

    read_or_refused()


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_damaged_files(worker, originals, kind):
    bytes_are_damaged(worker, originals, kind, QUICK_EACH)


@pytest.mark.parametrize("kind", [".mrk.json", "_ctd.json"])
def test_a_few_exchanged_values(worker, originals, kind):
    values_are_exchanged(worker, originals, kind, QUICK_EACH)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(worker, originals, kind):
    bytes_are_damaged(worker, originals, kind, SLOW_EACH)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".mrk.json", "_ctd.json"])
def test_many_exchanged_values(worker, originals, kind):
    values_are_exchanged(worker, originals, kind, SLOW_EACH)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["points", "anchors"])
def test_undamaged_files_are_read(worker, originals, kind, task):
    assert judged(worker, originals[kind], kind, task) == [level.name for level in LEVELS]


def test_a_description_of_many_digits_takes_no_time():
    start = time.perf_counter()
    assert common.parse_description("p=" + "1" * 200_000 + "x")[0] == 1.0
    assert time.perf_counter() - start < 1


def test_a_file_of_any_size_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "LARGEST_FILE_BYTES", 1000)
    (tmp_path / "a.csv").write_bytes(b"label,x,y,z\n" + b" " * 1000)
    with pytest.raises(VertebraLabelingError, match="too large"):
        read_points(tmp_path / "a.csv")


@pytest.mark.parametrize("place", ['"123"', '{"1": 0, "2": 0, "3": 0}', "[1, 2]", "[1e300, 0, 0]", "[NaN, 0, 0]"])
def test_what_is_no_position_is_not_taken_for_one(worker, originals, place):
    content = json.loads(originals[".mrk.json"])
    content["markups"][0]["controlPoints"][0]["position"] = "HERE"
    assert judged(worker, json.dumps(content).replace('"HERE"', place).encode(), ".mrk.json") is None
