"""What the NIfTI library repairs in silence, and a CT must not have: missing voxels and zero spacing."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from .errors import InputError

_CHUNK_BYTES = 1 << 24
_GZIP_MARK = b"\x1f\x8b"


def check_nifti(path: Path, data_bytes: int, offset_bytes: int) -> None:
    """InputError when the NIfTI file lacks voxels (the library would read zeros) or has spacing 0 (it would read 1).

    path: .nii or .nii.gz, header and voxels in one file.  data_bytes: size of the uncompressed voxels.
    offset_bytes: where they begin (`vox_offset`).
    """
    try:
        with _opened(path) as file:
            spacing = _spacing_mm(file.read(352))
        if 0.0 in spacing:
            raise InputError(f"The voxel spacing in the header of {path} is zero; correct it or export the scan again.")
        whole = _holds(path, offset_bytes + data_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        whole = False
    if not whole:
        raise InputError(f"{path} is cut short: voxels are missing at its end; copy it again.")


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if _is_gzip(path) else path.open("rb")


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MARK


def _spacing_mm(header: bytes) -> tuple[float, ...]:
    """pixdim[1..3]; layout of NIfTI-1 (348 bytes, float32 at 80) and NIfTI-2 (540 bytes, float64 at 112)."""
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", header)
        if size == 348:
            return struct.unpack_from(f"{order}3f", header, 80)
        if size == 540:
            return struct.unpack_from(f"{order}3d", header, 112)
    return ()


def _holds(path: Path, expected_bytes: int) -> bool:
    """Whether the uncompressed content is at least as long as it has to be."""
    if not _is_gzip(path):
        return path.stat().st_size >= expected_bytes
    with path.open("rb") as file:
        file.seek(-4, 2)
        (length,) = struct.unpack("<I", file.read(4))
    # the last four bytes are the length modulo 2^32 (RFC 1952); anything else is counted, e.g. files of several members
    return bool(length == expected_bytes % 2**32) or _counted_bytes(path) >= expected_bytes


def _counted_bytes(path: Path) -> int:
    with gzip.open(path) as file:
        return sum(len(chunk) for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""))
