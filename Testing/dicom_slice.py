"""One DICOM file, and a CT as a series of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import SimpleITK as sitk


def write_slice(path: Path, picture: sitk.Image, tags: Mapping[str, str]) -> Path:
    """Write an image of one slice with these tags ("0008|0060") and UIDs; returns the path."""
    for key, value in tags.items():
        picture.SetMetaData(key, value)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(picture)
    return path


def write_ct_series(folder: Path, ct: sitk.Image, number: int = 1) -> list[Path]:
    """A volume along the axes of the patient as one file per slice, IM0000.dcm and so on; number: of the series."""
    folder.mkdir(parents=True)
    return [_write_ct_slice(folder, ct, index, f"1.2.3.{number}") for index in range(ct.GetSize()[2])]


def _write_ct_slice(folder: Path, ct: sitk.Image, index: int, series: str) -> Path:
    x, y, z = ct.TransformIndexToPhysicalPoint((0, 0, index))
    tags = {
        "0008|0060": "CT", "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL", "0020|000d": "1.2.3", "0020|000e": series,
        "0008|0018": f"{series}.{index + 1}", "0020|0013": str(index + 1), "0020|0052": "1.2.3.0",
        "0020|0032": f"{x}\\{y}\\{z}", "0020|0037": "1\\0\\0\\0\\1\\0",
    }  # fmt: skip
    return write_slice(folder / f"IM{index:04d}.dcm", sitk.Cast(ct[:, :, index : index + 1], sitk.sitkInt16), tags)
