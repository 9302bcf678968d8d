"""Damaged NIfTI, NRRD and MetaImage files are read, or refused in a sentence; nothing crashes, hangs or is half done.

They are read in a child process with a limit on its memory, because a library written in C++ takes Python with it.
"""

from __future__ import annotations

import gzip
import re
import struct
import tempfile
from pathlib import Path

import pytest
import SimpleITK as sitk
from bombs import gzipped, nifti_2_header, zlib_stream
from fuzz_damage import changes, damaged
from fuzzing import Worker, settled
from hypothesis import given
from small_ct import trunk_hu
from trust_support import image_of, written

pytest.importorskip("resource", reason="memory is limited by means of POSIX")

KINDS = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".nhdr", ".hdr")
NIFTI_2 = ("-2.nii", "-2.nii.gz", "-2.hdr")
TEXT = (".nrrd", ".mha", ".mhd", ".nhdr")
QUICK_EACH, SLOW_EACH = 8, 110
SIZE_IJK = trunk_hu().shape[::-1]


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, tuple[bytes, int, dict[str, bytes]]]:
    """For each kind of file: its bytes, the size of its header, and the files that belong to it."""
    folder = tmp_path_factory.mktemp("originals")
    return {kind: original(folder, kind) for kind in KINDS} | {kind: nifti_2(kind, SIZE_IJK) for kind in NIFTI_2}


def original(folder: Path, kind: str) -> tuple[bytes, int, dict[str, bytes]]:
    path = written(folder / f"a{kind}", image_of(trunk_hu()))
    data = path.read_bytes()
    beside = {p.name: p.read_bytes() for p in folder.glob("a.*") if p.name in {"a.raw", "a.zraw", "a.raw.gz", "a.img"}}
    ends = {".nrrd": data.find(b"\n\n") + 1, ".mha": data.find(b"LOCAL") + 6}
    return data, ends.get(kind, min(len(data), 352)) if kind in (*ends, ".nii", ".nii.gz") else len(data), beside


def nifti_2(kind: str, size_ijk) -> tuple[bytes, int, dict[str, bytes]]:
    """As `original`, with a header that claims this size."""
    header, voxels = nifti_2_header(size_ijk, is_pair=kind == "-2.hdr"), trunk_hu().tobytes()
    if kind == "-2.hdr":
        return header, len(header), {"a-2.img": voxels}
    data = header + voxels
    return gzip.compress(data) if kind.endswith(".gz") else data, len(header), {}


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


@pytest.mark.parametrize("kind", (*KINDS, *NIFTI_2))
def test_a_few_damaged_files(worker, originals, kind):
    fuzzed(worker, originals, kind, QUICK_EACH)


@pytest.mark.slow
@pytest.mark.parametrize("kind", (*KINDS, *NIFTI_2))
def test_many_damaged_files(worker, originals, kind):
    fuzzed(worker, originals, kind, SLOW_EACH)


@pytest.mark.parametrize("kind", KINDS)
def test_undamaged_files_are_labelled(worker, originals, kind, tmp_path):
    """Else the limits of the child would refuse everything."""
    data, _, beside = originals[kind]
    assert worker.run(put(tmp_path, kind, data, beside))["code"] == 0


def within(data: bytes) -> bytes:
    """A NIfTI-1 header with the largest volume that it can claim."""
    return data[:42] + struct.pack("<3h", 32767, 32767, 32767) + data[48:]


HUGE = {
    ".nii": within,
    ".nii.gz": lambda data: gzip.compress(within(gzip.decompress(data))),
    ".hdr": within,
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


@pytest.mark.parametrize("size_ijk", [SIZE_IJK, (100_000, 100_000, 100_000), (2**62, 2**62, 2**62)], ids=str)
@pytest.mark.parametrize("kind", NIFTI_2)
def test_nifti_2_of_any_size_is_refused_by_its_name(worker, kind, size_ijk, tmp_path):
    """Its sizes are numbers of 64 bits; the library knows NIfTI-1 only."""
    data, _, beside = nifti_2(kind, size_ijk)
    answer = worker.run(put(tmp_path, kind, data, beside))
    assert answer["code"] == 3
    assert "NIfTI-2" in answer["message"]
    assert answer["mb"] < 50


# --- a gigabyte of zeros, packed into a few megabytes -----------------------------------------------------------------


def nifti_bomb(folder: Path, size: bytes) -> Path:
    """.nii.gz; size: three numbers of 16 bits, little endian, or nothing for the true ones."""
    data = written(folder / "a.nii", image_of(trunk_hu())).read_bytes()
    path = folder / "a.nii.gz"
    path.write_bytes(gzipped(data[:42] + size + data[42 + len(size) :]))
    return path


def nrrd_bomb(folder: Path, size: bytes) -> Path:
    """size: three numbers in words, or nothing for the true ones."""
    path = folder / "a.nrrd"
    sitk.WriteImage(image_of(trunk_hu()), str(path), True)
    header = path.read_bytes().partition(b"\n\n")[0] + b"\n\n"
    path.write_bytes(header.replace(b"24 24 30", size or b"24 24 30") + gzipped(trunk_hu().tobytes()))
    return path


def metaimage_bomb(folder: Path, size: bytes) -> Path:
    """size: as of `nrrd_bomb`."""
    path = folder / "a.mha"
    sitk.WriteImage(image_of(trunk_hu()), str(path), True)
    voxels = zlib_stream(trunk_hu().tobytes())
    header = re.sub(rb"CompressedDataSize = \d+", b"CompressedDataSize = %d" % len(voxels), path.read_bytes())
    header = header.partition(b"LOCAL\n")[0] + b"LOCAL\n"
    path.write_bytes(header.replace(b"24 24 30", size or b"24 24 30") + voxels)
    return path


BOMBS = {
    ".nii.gz": (nifti_bomb, struct.pack("<3h", 1024, 1024, 512)),
    ".nrrd": (nrrd_bomb, b"1024 1024 512"),
    ".mha": (metaimage_bomb, b"1024 1024 512"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_gigabyte_of_zeros_behind_a_small_volume_is_never_unpacked(worker, kind, tmp_path):
    """The volume itself is whole, and labelled."""
    path = BOMBS[kind][0](tmp_path, b"")
    assert path.stat().st_size < 10_000_000
    answer = worker.run(path)
    assert answer["code"] == 0
    assert answer["mb"] < 50


@pytest.mark.slow
@pytest.mark.parametrize("kind", BOMBS)
def test_a_gigabyte_of_zeros_as_a_volume_ends_in_a_refusal(worker, kind, tmp_path):
    """The child may take 1.5 GB, and a voxel needs more than its 16 bits."""
    make, size = BOMBS[kind]
    assert worker.run(make(tmp_path, size))["code"] in (3, 6)


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
