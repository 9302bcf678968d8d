"""What a header claims of a volume, judged before anything of the claimed size is allocated."""

from __future__ import annotations

import math
import os
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .data_files import METAIMAGE_SUFFIXES, data_file_name, is_several
from .errors import InputError, MemoryExhaustedError
from .nifti import pair_of

MAX_VOXELS = 2**31
MAX_ORIGIN_MM = 1e6
"""NIfTI stores 32-bit numbers; beyond a kilometre they no longer tell millimetres apart."""
_MAX_COMPRESSION = 1100
"""Deflate cannot shrink data more than 1032 times (zlib's technical notes); above that the header is not true."""
_FLOAT32_BYTES = 4
_HEADER_BYTES = 1 << 16
_LONGEST_FIELD_BYTES = 900
_MOST_DIMENSIONS = 10
DEFLATED_SYNTAX = "1.2.840.10008.1.2.1.99"
"""Transfer syntax of a DICOM file that is compressed as a whole (PS3.5, A.5)."""
_MOST_INFLATED_BYTES = 1 << 29
_PIECE_BYTES = 1 << 24
_DIMENSIONS = re.compile(rb"^[ \t]*NDims[ \t]*[=:][ \t]*([+-]?\d{1,4000})", re.MULTILINE)


def check_grid(spacing_mm: Sequence[float], origin_mm: Sequence[float], axes: Sequence[float], path: Path) -> None:
    """InputError unless spacing (3,), origin (3,) and direction (9,) make a rectangular grid in reach of a patient."""
    if not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        raise InputError(f"The voxel spacing of {path} is {tuple(spacing_mm)} mm; correct it or export the scan again.")
    if not all(abs(o) <= MAX_ORIGIN_MM for o in origin_mm):
        raise InputError(
            f"The origin of {path} is {tuple(origin_mm)} mm, no place in a scanner; export the scan again."
        )
    matrix = np.reshape(axes, (3, 3))
    if not np.allclose(matrix.T @ matrix, np.eye(3), atol=1e-3):
        raise InputError(leaning(path))


def check_pixel_spacing(text: str, spacing_xy_mm: Sequence[float], path: Path) -> None:
    """InputError unless PixelSpacing is the two lengths that were read, the one between rows first.

    For zero, a text or nothing at all GDCM reads 1 mm, and the patient has another size.
    """
    try:
        told = [float(word) for word in text.split("\\")]
    except ValueError:
        told = []
    if len(told) != 2 or not np.allclose(told[::-1], spacing_xy_mm, rtol=1e-3, atol=0.0) or min(told) <= 0:
        raise InputError(f"The PixelSpacing of {path} is {text[:40]!r}, not two lengths; export the series again.")


def leaning(path: Path) -> str:
    """Sentence for axes that are not at right angles."""
    return (
        f"The axes of {path} are not at right angles to each other (non-orthonormal directions, e.g. a tilted gantry); "
        "resample it to a rectangular grid first, for instance in 3D Slicer."
    )


def check_amount(size: Sequence[int], voxel_bytes: int, stored_bytes: float, path: Path) -> None:
    """InputError for more voxels than can be true, MemoryExhaustedError for more than this machine can hold.

    size: voxels per axis.  voxel_bytes: of one voxel as stored.  stored_bytes: size of the files that hold them.
    """
    voxels, shape = math.prod(int(n) for n in size), " x ".join(str(n) for n in size)
    if voxels > MAX_VOXELS:
        raise InputError(f"{path} claims {shape} voxels, too many to process; crop it, or its header is damaged.")
    if voxels * voxel_bytes > stored_bytes * _MAX_COMPRESSION:
        raise InputError(f"{path} is cut short: it holds far fewer than the claimed {shape} voxels; copy it again.")
    needed = voxels * (voxel_bytes + _FLOAT32_BYTES)
    if needed > _memory_bytes():
        raise MemoryExhaustedError(f"{path} needs {needed / 2**30:.1f} GB, more than this machine has; crop it.")


def _memory_bytes() -> float:
    """Physical memory; infinite where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return math.inf


def stored_bytes(path: Path) -> float:
    """Size of the file that holds the voxels: `path` itself, or what it names; infinite for a list of several.

    InputError when the named one is missing or no plain file: from a pipe or a device would be read without end.
    """
    name = data_file_name(path)
    if name is None:
        data = pair_of(path)[1]
    elif is_several(name):
        return math.inf
    else:
        data = path.parent / name
    if not data.is_file():
        raise InputError(
            f"{path} says that its voxels are in '{name or data.name}', which is no file; put it beside the header."
        )
    return data.stat().st_size


def check_header(path: Path) -> None:
    """InputError for a MetaImage or NRRD header at which ITK ends the whole process."""
    if path.suffix.lower() in METAIMAGE_SUFFIXES:
        _check_dimensions(path)
    _check_nrrd_fields(path)


def _check_dimensions(path: Path) -> None:
    """InputError for more dimensions than ITK has room for, or less than none."""
    with path.open("rb") as file:
        found = _DIMENSIONS.findall(file.read(_HEADER_BYTES))
    if not all(0 < int(number) <= _MOST_DIMENSIONS for number in found):
        raise InputError(f"{path} claims {found[0].decode()[:20]} dimensions; its header is damaged, export it again.")


def _check_nrrd_fields(path: Path) -> None:
    """InputError for a field of a NRRD header longer than any is.

    Comments and pairs (``key:=value``) may be of any length.
    """
    with path.open("rb") as file:
        if file.read(4) != b"NRRD":
            return
        while (line := file.readline()).strip():
            if len(line) > _LONGEST_FIELD_BYTES and not line.startswith(b"#") and b":=" not in line:
                raise InputError(f"{path} is damaged: a line of its header is too long; export the scan again.")


def check_deflated(path: Path) -> None:
    """InputError for a deflated DICOM file out of which more comes than a CT needs.

    All libraries unpack such a file whole, before they look at anything in it.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        if DEFLATED_SYNTAX.encode() not in head:
            return
        file.seek(_end_of_meta(head))
        if _inflated_bytes(file) > _MOST_INFLATED_BYTES:
            raise InputError(f"{path} is too large when it is unpacked; save it without compression, or cropped.")


def _end_of_meta(head: bytes) -> int:
    """Where the elements of group 0002 of a DICOM file end, which are never compressed (DICOM PS3.10, 7.1)."""
    place = 132
    while head[place : place + 2] == b"\x02\x00" and place + 12 <= len(head):
        is_long = head[place + 4 : place + 6] in (b"OB", b"UN")
        layout, body = ("<I", place + 12) if is_long else ("<H", place + 8)
        (length,) = struct.unpack_from(layout, head, place + (8 if is_long else 6))
        place = body + length
    return place


def _inflated_bytes(file: BinaryIO) -> int:
    """How much comes out of the rest of a file; counted to a little more than the limit."""
    unpacker, count = zlib.decompressobj(wbits=-zlib.MAX_WBITS), 0
    try:
        while count <= _MOST_INFLATED_BYTES and (packed := unpacker.unconsumed_tail or file.read(_HEADER_BYTES)):
            count += len(unpacker.decompress(packed, _PIECE_BYTES))
    except zlib.error:  # the library says that it is damaged
        pass
    return count
