"""Damaged DICOM slices in an otherwise sound series: read or refused, as in test_fuzz_images.py."""

from __future__ import annotations

import shutil
import struct
import tempfile
from pathlib import Path

import pytest
from dicom_folder import write_series
from fuzzing import HOSTILE_WORDS, Change, Worker, changes, damaged, settled
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("resource", reason="memory is limited by means of POSIX")

QUICK, SLOW = 16, 250
TAGS = (
    (0x0002, 0x0010), (0x0008, 0x0008), (0x0008, 0x0060), (0x0010, 0x0010), (0x0020, 0x000D), (0x0020, 0x000E),
    (0x0020, 0x0013), (0x0020, 0x0032), (0x0020, 0x0037), (0x0028, 0x0002), (0x0028, 0x0004), (0x0028, 0x0008),
    (0x0028, 0x0010), (0x0028, 0x0011), (0x0028, 0x0030), (0x0028, 0x0100), (0x0028, 0x0101), (0x0028, 0x0103),
    (0x0028, 0x1052), (0x0028, 0x1053), (0x7FE0, 0x0010),
)  # fmt: skip
WORDS = (b"nan\\nan\\nan", b"1e400\\0\\0", b"0\\0\\0\\0\\0\\0", b"1\\0\\0\\1\\0\\0", b"1.2.840.10008.1.2.4.90", b"SR")
NUMBERS = (0, 1, 2, 12, 255, 65535, 2**31, 2**32 - 1)


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    write_series(folder)
    return folder


def element_changed(data: bytes, tag: tuple[int, int], value: bytes, length: int | None) -> bytes:
    """Another value in one element of explicit little endian, or another length that is not true."""
    start = data.find(struct.pack("<HH", *tag), 132)
    if start < 0:
        return data
    long_form = data[start + 4 : start + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT")
    at, layout = (start + 8, "<I") if long_form else (start + 6, "<H")
    (old,) = struct.unpack_from(layout, data, at)
    body = at + struct.calcsize(layout)
    stated = (len(value) if length is None else length) % 2 ** (8 * struct.calcsize(layout))
    rest = data[body + old :] if length is None else data[body + len(value) :]
    return data[:at] + struct.pack(layout, stated) + value + rest


ELEMENTS = st.tuples(
    st.sampled_from(TAGS),
    st.sampled_from((*HOSTILE_WORDS, *WORDS)).map(lambda word: word + b" " * (len(word) % 2))
    | st.sampled_from(NUMBERS).map(lambda n: struct.pack("<H", n % 65536)),
    st.none() | st.sampled_from(NUMBERS),
)
DAMAGE = st.tuples(st.lists(ELEMENTS, min_size=1, max_size=3), st.just([])) | st.tuples(st.just([]), changes(False))


def harmed(path: Path, damage: tuple[list, list[Change]]) -> None:
    data = path.read_bytes()
    for tag, value, length in damage[0]:
        data = element_changed(data, tag, value, length)
    path.write_bytes(damaged(data, 1000, damage[1]))


def fuzzed(worker: Worker, series: Path, count: int) -> None:
    """One slice in the middle, the first one or all of them bear the damage."""

    @settled(count)
    @given(DAMAGE, st.sampled_from(("middle", "first", "all")))
    def read_or_refused(damage, which):
        with tempfile.TemporaryDirectory(dir=worker.folder) as folder:
            shutil.copytree(series, folder, dirs_exist_ok=True)
            files = sorted(Path(folder).iterdir())
            for path in {"middle": files[12:13], "first": files[:1], "all": files}[which]:
                harmed(path, damage)
            worker.run(Path(folder))

    read_or_refused()


def test_a_few_damaged_series(worker, series):
    fuzzed(worker, series, QUICK)


@pytest.mark.slow
def test_many_damaged_series(worker, series):
    fuzzed(worker, series, SLOW)


def test_the_undamaged_series_is_labelled(worker, series):
    assert worker.run(series)["code"] == 0


@pytest.mark.parametrize("sides", [(65535, 65535), (20000, 20000)], ids=str)
def test_slices_that_claim_too_many_rows_are_refused_before_memory_is_taken(worker, series, tmp_path, sides):
    folder = shutil.copytree(series, tmp_path / "huge")
    for path in folder.iterdir():
        data = path.read_bytes()
        for element, side in zip((0x0010, 0x0011), sides, strict=True):
            data = element_changed(data, (0x0028, element), struct.pack("<H", side), None)
        path.write_bytes(data)
    answer = worker.run(folder)
    assert answer["code"] == 3
    assert answer["mb"] < 50
