"""A small CT series in DICOM files, for damage."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from dicom_slice import write_slice
from numpy.typing import NDArray
from small_ct import trunk_hu

PATIENT = "Mustermann^Erika"
THICKNESS_MM = 6.0
_LONG_FORM = (b"OB", b"OW", b"SQ", b"UN", b"UT")


def write_series(
    folder: Path, hu: NDArray[np.int16] | None = None, prefix: str = "s", tags: dict[str, str] | None = None
) -> list[Path]:
    """One file per slice of a trunk with voxels of 6 mm; `tags` replace those of a usual CT."""
    folder.mkdir(parents=True, exist_ok=True)
    hu = trunk_hu() if hu is None else hu
    return [_write_slice(folder / f"{prefix}{k:03d}.dcm", hu[k], k, tags or {}) for k in range(len(hu))]


def _write_slice(path: Path, hu: NDArray[np.int16], number: int, tags: dict[str, str]) -> Path:
    picture = sitk.GetImageFromArray(hu[None])
    picture.SetSpacing((THICKNESS_MM,) * 3)
    uid = tags.get("0020|000e", "1.2.3.1")
    usual = {
        "0008|0060": "CT", "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL", "0010|0010": PATIENT, "0010|0020": "PID-778899",
        "0010|0030": "19501231", "0020|000e": uid, "0020|000d": "1.2.3", "0008|0018": f"{uid}.{number + 1}",
        "0020|0013": str(number + 1), "0020|0032": f"-70\\-60\\{-90 + THICKNESS_MM * number}",
        "0020|0052": "1.2.3.0", "0020|0037": "1\\0\\0\\0\\1\\0", "0028|1052": "-1024", "0028|1053": "1",
    }  # fmt: skip
    return write_slice(path, picture, usual | tags)


# --- elements as they stand in the file -------------------------------------------------------------------------------


def element_changed(
    data: bytes, tag: tuple[int, int], value: bytes, length: int | None, place: float = 0.0, fits: bool = False
) -> bytes:
    """Another value in one element of little endian, or another length that is not true.

    place: which of the elements with this tag, as a share of them.  fits: the value is cut or filled up with spaces to
    the length of the old one, so that the lengths of the sequences around it stay true.
    """
    starts = _occurrences(data, struct.pack("<HH", *tag))
    if not starts:
        return data
    start = starts[int(place * len(starts))]
    at, layout = _length_field(data, start)
    (old,) = struct.unpack_from(layout, data, at)
    body = at + struct.calcsize(layout)
    value = value[:old].ljust(min(old, 10_000)) if fits else value
    stated = (len(value) if length is None else length) % 2 ** (8 * struct.calcsize(layout))
    rest = data[body + old :] if length is None else data[body + len(value) :]
    return data[:at] + struct.pack(layout, stated) + value + rest


def _occurrences(data: bytes, mark: bytes) -> list[int]:
    found, start = [], data.find(mark, 132)
    while start >= 0:
        found.append(start)
        start = data.find(mark, start + 1)
    return found


def _length_field(data: bytes, start: int) -> tuple[int, str]:
    """Where the length of an element stands, and its layout: after the two letters of an explicit VR, or at once."""
    letters = data[start + 4 : start + 6]
    if not (letters.isalpha() and letters.isupper()):
        return start + 4, "<I"
    return (start + 8, "<I") if letters in _LONG_FORM else (start + 6, "<H")
