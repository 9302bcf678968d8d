"""Damaged files of points: each is read as points that can be used, or refused in a sentence."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from fuzzing import HOSTILE_WORDS, changes, damaged, settled
from hypothesis import given
from hypothesis import strategies as st
from trust_support import LEVELS
from VertebraLabelingLib.core.errors import VertebraLabelingError
from VertebraLabelingLib.core.formats import common, read_anchors, read_points, write_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling

GEOMETRY = Geometry((30, 24, 24), (6.0, 6.0, 6.0), (-70.0, -60.0, -90.0))
POINTS = tuple(LabelledPoint(level, (0.0, 0.0, -30.0 * n), 0.9, "ok", True) for n, level in enumerate(LEVELS))
KINDS = (".mrk.json", ".csv", "_ctd.json")
QUICK_EACH, SLOW_EACH = 30, 400
COUNTS: Counter[str] = Counter()

words = st.sampled_from([word.decode("latin-1") for word in HOSTILE_WORDS]) | st.text(max_size=8)
scalars = words | st.none() | st.booleans() | st.integers() | st.floats()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))


@pytest.fixture(autouse=True)
def counted(counts):
    """What the test adds to COUNTS goes into the table at the end."""
    before = COUNTS.copy()
    yield
    counts.update(COUNTS - before)


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("points")
    for kind in KINDS:
        write_points(folder / f"a{kind}", Labelling(POINTS), GEOMETRY)
    return {kind: (folder / f"a{kind}").read_bytes() for kind in KINDS}


def judged(content: bytes, kind: str, reader=read_points) -> tuple[LabelledPoint, ...] | None:
    """The points, which can be used, or None for a refusal in one sentence."""
    COUNTS["cases"] += 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{kind}"
        path.write_bytes(content)
        try:
            points = reader(path, GEOMETRY)
        except VertebraLabelingError as error:
            COUNTS["refused"] += 1
            assert error.exit_code == 3
            assert str(error).isprintable()
            assert len(str(error)) < 3000
            return None
    COUNTS["read"] += 1
    levels = [point.level for point in points]
    assert levels == sorted(set(levels))
    assert all(math.isfinite(value) for point in points for value in point.position_lps_mm)
    assert all(0 <= point.probability <= 1 for point in points)
    return points


def bytes_are_damaged(originals, kind: str, count: int) -> None:
    @settled(count)
    @given(changes(is_text=True))
    def read_or_refused(damage):
        judged(damaged(originals[kind], len(originals[kind]), damage), kind)

    read_or_refused()


def values_are_exchanged(originals, kind: str, count: int) -> None:
    """Valid JSON with something else in the place of one value, anywhere in it."""

    @settled(count)
    @given(values, st.data())
    def read_or_refused(value, data):
        content = json.loads(originals[kind])
        keys = data.draw(st.sampled_from(list(paths(content))))
        judged(json.dumps(exchanged(content, keys, value)).encode(), kind)

    read_or_refused()


def paths(content, before=()):
    """The way to every value in a JSON content, as keys and indices."""
    yield before
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield from paths(value, (*before, key))


def exchanged(content, keys, value):
    if not keys:
        return value
    content[keys[0]] = exchanged(content[keys[0]], keys[1:], value)
    return content


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_damaged_files(originals, kind):
    bytes_are_damaged(originals, kind, QUICK_EACH)


@pytest.mark.parametrize("kind", [".mrk.json", "_ctd.json"])
def test_a_few_exchanged_values(originals, kind):
    values_are_exchanged(originals, kind, QUICK_EACH)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(originals, kind):
    bytes_are_damaged(originals, kind, SLOW_EACH)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".mrk.json", "_ctd.json"])
def test_many_exchanged_values(originals, kind):
    values_are_exchanged(originals, kind, SLOW_EACH)


@pytest.mark.parametrize("kind", KINDS)
def test_undamaged_files_are_read(originals, kind):
    assert [point.level for point in judged(originals[kind], kind, read_anchors)] == list(LEVELS)


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
def test_what_is_no_position_is_not_taken_for_one(originals, place):
    content = json.loads(originals[".mrk.json"])
    content["markups"][0]["controlPoints"][0]["position"] = "HERE"
    assert judged(json.dumps(content).replace('"HERE"', place).encode(), ".mrk.json") is None
