"""Damaged NIfTI, NRRD and MetaImage files are read, or refused in a sentence; nothing crashes, hangs or is half done.

They are read in a child process with a limit on its memory, because a library written in C++ takes Python with it.
"""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import pytest
from fuzzing import Worker, changes, damaged, settled
from hypothesis import given
from trust_support import image_of, trunk_hu, written

pytest.importorskip("resource", reason="memory is limited by means of POSIX")

KINDS = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".nhdr", ".hdr")
TEXT = (".nrrd", ".mha", ".mhd", ".nhdr")
QUICK_EACH, SLOW_EACH = 8, 110


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, tuple[bytes, int, dict[str, bytes]]]:
    """For each kind of file: its bytes, the size of its header, and the files that belong to it."""
    folder = tmp_path_factory.mktemp("originals")
    return {kind: original(folder, kind) for kind in KINDS}


def original(folder: Path, kind: str) -> tuple[bytes, int, dict[str, bytes]]:
    path = written(folder / f"a{kind}", image_of(trunk_hu()))
    data = path.read_bytes()
    beside = {p.name: p.read_bytes() for p in folder.glob("a.*") if p.name in {"a.raw", "a.zraw", "a.raw.gz", "a.img"}}
    ends = {".nrrd": data.find(b"\n\n") + 1, ".mha": data.find(b"LOCAL") + 6}
    return data, ends.get(kind, min(len(data), 352)) if kind in (*ends, ".nii", ".nii.gz") else len(data), beside


def put(folder: Path, kind: str, data: bytes, beside: dict[str, bytes]) -> Path:
    for name, content in beside.items():
        (folder / name).write_bytes(content)
    path = folder / f"a{kind}"
    path.write_bytes(data)
    return path


def fuzzed(worker: Worker, originals, kind: str, count: int) -> None:
    data, header_bytes, beside = originals[kind]

    @settled(count)
    @given(changes(kind in TEXT))
    def read_or_refused(damage):
        with tempfile.TemporaryDirectory(dir=worker.folder) as folder:
            worker.run(put(Path(folder), kind, damaged(data, header_bytes, damage), beside))

    read_or_refused()


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_damaged_files(worker, originals, kind):
    fuzzed(worker, originals, kind, QUICK_EACH)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(worker, originals, kind):
    fuzzed(worker, originals, kind, SLOW_EACH)


@pytest.mark.parametrize("kind", KINDS)
def test_undamaged_files_are_labelled(worker, originals, kind, tmp_path):
    """Else the limits of the child would refuse everything."""
    data, _, beside = originals[kind]
    assert worker.run(put(tmp_path, kind, data, beside))["code"] == 0


HUGE = {
    ".nii": lambda data: data[:42] + struct.pack("<3h", 32767, 32767, 32767) + data[48:],
    ".nrrd": lambda data: data.replace(b"sizes: 24 24 30", b"sizes: 100000 100000 100000"),
    ".nhdr": lambda data: data.replace(b"sizes: 24 24 30", b"sizes: 100000 100000 100000"),
    ".mha": lambda data: data.replace(b"DimSize = 24 24 30", b"DimSize = 100000 100000 100000"),
    ".mhd": lambda data: data.replace(b"DimSize = 24 24 30", b"DimSize = 1200 1200 1200"),
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(worker, originals, kind, tmp_path):
    data, _, beside = originals[kind]
    assert HUGE[kind](data) != data
    answer = worker.run(put(tmp_path, kind, HUGE[kind](data), beside))
    assert answer["code"] == 3
    assert "claim" in answer["message"]
    assert answer["mb"] < 50


@pytest.mark.parametrize("spacing_mm", [(300.0, 300.0, 300.0), (6.0, 6.0, 4e7), (1e-30, 1e-30, 1e-30)], ids=str)
def test_a_spacing_that_would_make_a_huge_grid_is_refused(worker, tmp_path, spacing_mm):
    answer = worker.run(written(tmp_path / "a.nrrd", image_of(trunk_hu(), spacing_mm)))
    assert answer["code"] == 3
    assert "voxel" in answer["message"]
    assert answer["mb"] < 50


@pytest.mark.parametrize("field", [b"kinds: ", b"space directions: ", b"A", b"labels: "])
def test_a_field_that_ends_the_library_is_refused(worker, originals, field, tmp_path):
    """Above about a thousand letters ITK writes its complaint beyond the end of a buffer."""
    data, _, beside = originals[".nrrd"]
    answer = worker.run(put(tmp_path, ".nrrd", data.replace(b"kinds: ", field + b"A" * 3000, 1), beside))
    assert answer["code"] == 3
    assert "too long" in answer["message"]


@pytest.mark.parametrize("kind", [".mha", ".mhd"])
@pytest.mark.parametrize("number", [b"-1", b"0", b"11", b"300", b"9" * 20, b"9" * 5000])
def test_a_number_of_dimensions_that_ends_the_library_is_refused(worker, originals, kind, number, tmp_path):
    data, _, beside = originals[kind]
    answer = worker.run(put(tmp_path, kind, data.replace(b"NDims = 3", b" NDims : " + number, 1), beside))
    assert answer["code"] == 3
    assert "dimensions" in answer["message"]


def test_a_long_comment_is_no_harm(worker, originals, tmp_path):
    data, _, beside = originals[".nrrd"]
    longer = data.replace(b"kinds: ", b"# " + b"A" * 5000 + b"\nnote:=" + b"B" * 5000 + b"\nkinds: ", 1)
    assert worker.run(put(tmp_path, ".nrrd", longer, beside))["code"] == 0
