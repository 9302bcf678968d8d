"""What the NIfTI library repairs in silence, and a CT must not have: missing voxels, no spacing, NaN as 0."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

_CHUNK_BYTES = 1 << 24
_HEADER_SIZE = 348
_LONGEST_HEADER_BYTES = 1 << 26
_GZIP_MARK = b"\x1f\x8b"
_FLOAT_TYPES = {16: "f4", 64: "f8"}


@dataclass(frozen=True)
class _Header:
    """spacing_mm: pixdim[1..3].  float_type: numpy type of the voxels, "" for whole numbers.  offset_bytes: theirs."""

    spacing_mm: tuple[float, ...]
    float_type: str
    offset_bytes: int


def is_nifti_2(path: Path) -> bool:
    """Whether it is NIfTI-2 (a header of 540 bytes, in either byte order), which the library does not know."""
    try:
        with _opened(path) as file:
            return file.read(4) in (struct.pack("<i", 540), struct.pack(">i", 540))
    except (OSError, EOFError, zlib.error):
        return False


def pair_of(path: Path) -> tuple[Path, Path]:
    """The file with the header and the one with the voxels: twice `path`, but for a pair of .hdr and .img."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    if not name.lower().endswith((".hdr", ".img")):
        return path, path
    return _beside(path, name[:-4], ".hdr"), _beside(path, name[:-4], ".img")


def _beside(path: Path, stem: str, suffix: str) -> Path:
    """The file of that kind, in the library's order of preference; the plain name where there is none."""
    names = (suffix, suffix.upper(), f"{suffix}.gz", f"{suffix}.gz".upper())
    candidates = [path.with_name(stem + name) for name in names]
    return next((file for file in candidates if file.exists()), candidates[0])


def check_nifti(path: Path, data_bytes: int) -> None:
    """InputError when the NIfTI file lacks voxels (the library would read zeros) or has no spacing (it would read 1).

    path: header and voxels in one file, or one of a pair.  data_bytes: size of the uncompressed voxels.
    """
    try:
        header = _header(path)
        spacing_mm = header.spacing_mm
        if not all(math.isfinite(mm) and mm > 0 for mm in spacing_mm):
            raise InputError(f"The voxel spacing of {path} is {spacing_mm} mm; correct it or export the scan again.")
        whole = _holds(pair_of(path)[1], header.offset_bytes + data_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error, struct.error):
        whole = False
    if not whole:
        raise InputError(f"{path} is cut short: voxels are missing at its end; copy it again.")


def restore_not_finite(path: Path, hu: NDArray[np.float32]) -> None:
    """Writes NaN where the file has NaN or infinity; the library reads 0 there, which would be water.

    hu: (z, y, x) as read from the file that `check_nifti` passed; changed in place.
    """
    header = _header(path)
    if not header.float_type:
        return
    flat, start = hu.reshape(-1), 0
    for chunk in _chunks(pair_of(path)[1], header.offset_bytes):
        if start >= flat.size:
            break
        whole = len(chunk) // np.dtype(header.float_type).itemsize  # behind the voxels there may be anything
        values = np.frombuffer(chunk, header.float_type, min(whole, flat.size - start))
        flat[start : start + len(values)][~np.isfinite(values)] = np.nan
        start += len(values)


def _header(path: Path) -> _Header:
    """The layout of NIfTI-1 and of Analyze in either byte order; struct.error for another one."""
    header_file, voxel_file = pair_of(path)
    with _opened(header_file) as file:
        data = file.read(_HEADER_SIZE)
    for order in "<>":
        if struct.unpack_from(f"{order}i", data)[0] == _HEADER_SIZE:
            kind, offset = struct.unpack_from(f"{order}h", data, 70)[0], struct.unpack_from(f"{order}f", data, 108)[0]
            start = _start(offset, _HEADER_SIZE if header_file == voxel_file else 0)
            return _Header(struct.unpack_from(f"{order}3f", data, 80), _float_type(kind, order), start)
    raise struct.error("not NIfTI-1")


def _start(offset: float, header_bytes: int) -> int:
    """First byte of the voxels, by the library's rule: never inside the header; struct.error for no sensible one."""
    if not offset <= _LONGEST_HEADER_BYTES:
        raise struct.error("voxels too far from the header")
    return max(int(max(offset, 0)), header_bytes)


def _float_type(datatype: int, order: str) -> str:
    return order + _FLOAT_TYPES[datatype] if datatype in _FLOAT_TYPES else ""


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if _is_gzip(path) else path.open("rb")


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MARK


def _chunks(path: Path, offset_bytes: int = 0) -> Iterator[bytes]:
    """The uncompressed content from `offset_bytes` on, in pieces of whole voxels."""
    with _opened(path) as file:
        file.read(offset_bytes)
        yield from iter(lambda: file.read(_CHUNK_BYTES), b"")


def _holds(path: Path, expected_bytes: int) -> bool:
    """Whether the uncompressed content is at least as long as it has to be."""
    if not _is_gzip(path):
        return path.stat().st_size >= expected_bytes
    with path.open("rb") as file:
        file.seek(-4, 2)
        (length,) = struct.unpack("<I", file.read(4))
    # the last four bytes are the length modulo 2^32 (RFC 1952); where they are not, as with several members, count
    return bool(length == expected_bytes % 2**32) or _counts_to(path, expected_bytes)


def _counts_to(path: Path, expected_bytes: int) -> bool:
    """Whether so many bytes come out; no more are unpacked, as there may be millions of times as many."""
    counted = 0
    return any((counted := counted + len(chunk)) >= expected_bytes for chunk in _chunks(path))
