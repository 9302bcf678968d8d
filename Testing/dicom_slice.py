"""One DICOM file."""

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
