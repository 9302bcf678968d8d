"""What the NIfTI library repairs in silence, and a CT must not have: missing voxels, zero spacing, NaN as 0."""

from __future__ import annotations

import gzip
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
_LONGEST_HEADER_BYTES = 1 << 26
_GZIP_MARK = b"\x1f\x8b"
_FLOAT_TYPES = {16: "f4", 64: "f8"}


@dataclass(frozen=True)
class _Header:
    """spacing_mm: pixdim[1..3].  float_type: numpy type of the voxels, "" for whole numbers.  offset_bytes: theirs."""

    spacing_mm: tuple[float, ...]
    float_type: str
    offset_bytes: int


def check_nifti(path: Path, data_bytes: int) -> None:
    """InputError when the NIfTI file lacks voxels (the library would read zeros) or has spacing 0 (it would read 1).

    path: .nii or .nii.gz, header and voxels in one file.  data_bytes: size of the uncompressed voxels.
    """
    try:
        header = _header(path)
        if 0.0 in header.spacing_mm:
            raise InputError(f"The voxel spacing in the header of {path} is zero; correct it or export the scan again.")
        whole = _holds(path, header.offset_bytes + data_bytes)
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
    for chunk in _chunks(path, header.offset_bytes):
        if start >= flat.size:
            break
        whole = len(chunk) // np.dtype(header.float_type).itemsize  # behind the voxels there may be anything
        values = np.frombuffer(chunk, header.float_type, min(whole, flat.size - start))
        flat[start : start + len(values)][~np.isfinite(values)] = np.nan
        start += len(values)


def _header(path: Path) -> _Header:
    """Layouts of NIfTI-1 (348 bytes) and NIfTI-2 (540 bytes) in either byte order."""
    with _opened(path) as file:
        data = file.read(540)
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", data)
        if size == 348:
            kind, offset = struct.unpack_from(f"{order}h", data, 70)[0], struct.unpack_from(f"{order}f", data, 108)[0]
            return _Header(struct.unpack_from(f"{order}3f", data, 80), _float_type(kind, order), _start(offset, size))
        if size == 540:
            kind, offset = struct.unpack_from(f"{order}h", data, 12)[0], struct.unpack_from(f"{order}q", data, 168)[0]
            return _Header(struct.unpack_from(f"{order}3d", data, 112), _float_type(kind, order), _start(offset, size))
    raise struct.error("not NIfTI")


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
