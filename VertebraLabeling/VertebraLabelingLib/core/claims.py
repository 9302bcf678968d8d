"""What a header claims of a volume, judged before anything of the claimed size is allocated."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import InputError, MemoryExhaustedError

MAX_VOXELS = 2**31
MAX_ORIGIN_MM = 1e6
"""NIfTI stores 32-bit numbers; beyond a kilometre they no longer tell millimetres apart."""
DETACHED_HEADERS = (".nhdr", ".mhd", ".hdr")
_MAX_COMPRESSION = 1100
"""Deflate cannot shrink data more than 1032 times (zlib's technical notes); above that the header is not true."""
_FLOAT32_BYTES = 4
_HEADER_BYTES = 1 << 16
_LONGEST_FIELD_BYTES = 900
_METAIMAGE = (".mha", ".mhd")
_MOST_DIMENSIONS = 10
_DIMENSIONS = re.compile(rb"^[ \t]*NDims[ \t]*[=:][ \t]*([+-]?\d{1,4000})", re.MULTILINE)
_DATA_FILE = re.compile(
    rb"^[ \t]*(?:ElementDataFile[ \t]*[=:]|(?i:data ?file:))[ \t]*([^\r\n]+?)[ \t]*\r?$", re.MULTILINE
)
"""In all spellings that the libraries of MetaImage and NRRD take."""


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
    if path.suffix.lower() == ".hdr":
        return math.inf
    name = _data_file(path)
    if name is None:
        return path.stat().st_size
    if "%" in name or name.upper().split()[:1] == ["LIST"]:
        return math.inf
    data = path.parent / name
    if not data.is_file():
        raise InputError(f"{path} says that its voxels are in '{name}', which is no file; put it beside the header.")
    return data.stat().st_size


def _data_file(path: Path) -> str | None:
    """The other file, pattern or list of files that a MetaImage or NRRD header names; None for none."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if head.startswith(b"NRRD"):
        head = re.split(rb"\n\r?\n", head, maxsplit=1)[0]
    elif path.suffix.lower() not in _METAIMAGE:
        return None
    match = _DATA_FILE.search(head)
    name = match[1].decode("utf-8", "surrogateescape") if match else "LOCAL"
    return None if name.upper() == "LOCAL" else name


def check_header(path: Path) -> None:
    """InputError for a MetaImage or NRRD header at which ITK ends the whole process."""
    if path.suffix.lower() in _METAIMAGE:
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
