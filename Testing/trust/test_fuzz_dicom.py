"""Damaged DICOM files, slices and enhanced multi-frame ones: read or refused, as in test_fuzz_images.py."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bombs import deflated
from dicom_folder import element_changed, write_series
from fuzz_damage import HOSTILE_WORDS, Change, changes, damaged
from fuzzing import Worker, settled
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from small_ct import trunk_hu
from test_dicom_frames import PLACES_MM, stacked, write_frames

pytest.importorskip("resource", reason="memory is limited by means of POSIX")

TAGS = (
    (0x0002, 0x0010), (0x0008, 0x0008), (0x0008, 0x0060), (0x0010, 0x0010), (0x0020, 0x000D), (0x0020, 0x000E),
    (0x0020, 0x0013), (0x0020, 0x0032), (0x0020, 0x0037), (0x0028, 0x0002), (0x0028, 0x0004), (0x0028, 0x0008),
    (0x0028, 0x0010), (0x0028, 0x0011), (0x0028, 0x0030), (0x0028, 0x0100), (0x0028, 0x0101), (0x0028, 0x0103),
    (0x0028, 0x1052), (0x0028, 0x1053), (0x7FE0, 0x0010),
)  # fmt: skip
FRAME_TAGS = (
    (0x0008, 0x0016), (0x0020, 0x9113), (0x0020, 0x9116), (0x0028, 0x9110), (0x0028, 0x9145), (0x0018, 0x0050),
    (0x5200, 0x9229), (0x5200, 0x9230), (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD),
)  # fmt: skip
"""Of the functional groups, the items in them and the fragments of compressed pixels."""
WORDS = (
    b"nan\\nan\\nan", b"1e400\\0\\0", b"0\\0\\0\\0\\0\\0", b"1\\0\\0\\1\\0\\0", b"1.2.840.10008.1.2.4.90", b"SR",
    b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2", b"31", b"2147483647",
)  # fmt: skip
NUMBERS = (0, 1, 2, 12, 255, 65535, 2**31, 2**32 - 1)


def explicit_series(folder: Path) -> None:
    write_series(folder)


def implicit_series(folder: Path) -> None:
    for path in write_series(folder):
        dcmread(path).save_as(path, implicit_vr=True, little_endian=True)
        assert dcmread(path).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian


def packed_series(folder: Path) -> None:
    """Compressed without loss, run by run."""
    for path in write_series(folder):
        data = dcmread(path)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)


def frames(folder: Path) -> None:
    """One file with all slices."""
    folder.mkdir()
    write_frames(folder / "a.dcm", trunk_hu(), stacked(PLACES_MM))


def deflated_series(folder: Path) -> None:
    for path in write_series(folder):
        data = dcmread(path)
        data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        data.save_as(path)


def packed_frames(folder: Path) -> None:
    frames(folder)
    data = dcmread(folder / "a.dcm")
    data.compress(RLELossless, generate_instance_uid=False)
    data.save_as(folder / "a.dcm")


KINDS: dict[str, tuple[Callable[[Path], None], int, int]] = {
    "explicit": (explicit_series, 16, 250),
    "implicit": (implicit_series, 4, 60),
    "rle": (packed_series, 4, 60),
    "deflated": (deflated_series, 3, 40),
    "frames": (frames, 10, 120),
    "rle frames": (packed_frames, 4, 60),
}
"""What makes the folder, and the number of quick and of slow cases."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, Path]:
    """A folder of each kind."""
    folders = {kind: tmp_path_factory.mktemp("dicom") / "in" for kind in KINDS}
    for kind, folder in folders.items():
        KINDS[kind][0](folder)
    return folders


@pytest.fixture
def series(originals) -> Path:
    return originals["explicit"]


def elements(tags: tuple[tuple[int, int], ...]) -> st.SearchStrategy[tuple]:
    """The arguments of `element_changed` behind the data."""
    word = st.sampled_from((*HOSTILE_WORDS, *WORDS)).map(lambda word: word + b" " * (len(word) % 2))
    number = st.sampled_from(NUMBERS).map(lambda n: struct.pack("<H", n % 65536))
    place = st.just(0.0) | st.floats(0, 1, exclude_max=True)
    return st.tuples(st.sampled_from(tags), word | number, st.none() | st.sampled_from(NUMBERS), place, st.booleans())


def damages(tags: tuple[tuple[int, int], ...]) -> st.SearchStrategy[tuple[list[tuple], list[Change]]]:
    """Elements with other values, or bytes anywhere in the header."""
    some = st.lists(elements(tags), min_size=1, max_size=3)
    return st.tuples(some, st.just([])) | st.tuples(st.just([]), changes(False))


def harmed(path: Path, damage: tuple[list[tuple], list[Change]]) -> None:
    data = path.read_bytes()
    for change in damage[0]:
        data = element_changed(data, *change)
    header_bytes = max(data.rfind(b"\xe0\x7f\x10\x00"), 1000)
    path.write_bytes(damaged(data, header_bytes, damage[1]))


def fuzzed(worker: Worker, folder: Path, count: int) -> None:
    """One slice in the middle, the first one or all of them bear the damage."""
    tags = TAGS if len(list(folder.iterdir())) > 1 else (*TAGS, *FRAME_TAGS)

    @settled(count)
    @given(damages(tags), st.sampled_from(("middle", "first", "all")))
    def read_or_refused(damage, which):
        with tempfile.TemporaryDirectory(dir=worker.folder) as copy:
            shutil.copytree(folder, copy, dirs_exist_ok=True)
            files = sorted(Path(copy).iterdir())
            middle = len(files) // 2
            for path in {"middle": files[middle : middle + 1], "first": files[:1], "all": files}[which]:
                harmed(path, damage)
            worker.run(Path(copy))

    read_or_refused()


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_damaged_folders(worker, originals, kind):
    fuzzed(worker, originals[kind], KINDS[kind][1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_folders(worker, originals, kind):
    fuzzed(worker, originals[kind], KINDS[kind][2])


@pytest.mark.parametrize("kind", KINDS)
def test_undamaged_folders_are_labelled(worker, originals, kind):
    assert worker.run(originals[kind])["code"] == 0


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


@pytest.mark.parametrize("count", [10**5, 2**31 - 1])
def test_frames_that_are_more_than_the_file_can_hold_are_refused(worker, originals, tmp_path, count):
    path = tmp_path / "a.dcm"
    data = dcmread(originals["frames"] / "a.dcm")
    data.NumberOfFrames = count
    data.save_as(path)
    answer = worker.run(path)
    assert answer["code"] == 3
    assert answer["mb"] < 50


def test_a_gigabyte_of_zeros_in_a_deflated_file_is_refused(worker, originals, tmp_path):
    """Both libraries would unpack all that follows the first group of elements before they look at it."""
    plain = (originals["frames"] / "a.dcm").read_bytes()
    (length,) = struct.unpack_from("<I", plain, 140)
    ends = 144 + length
    meta = element_changed(plain[:ends], (2, 0x10), DeflatedExplicitVRLittleEndian.encode(), None)
    bomb = plain[ends:] + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 2**30)
    path = tmp_path / "a.dcm"
    path.write_bytes(meta + deflated(bomb))
    answer = worker.run(path)
    assert answer["code"] == 3
    assert "unpacked" in answer["message"]
    assert answer["mb"] < 50
