"""A small CT series in DICOM files, for damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from trust_support import trunk_hu

PATIENT = "Mustermann^Erika"
THICKNESS_MM = 6.0


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
    for key, value in (usual | tags).items():
        picture.SetMetaData(key, value)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(picture)
    return path
