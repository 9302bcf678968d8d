"""All files that reading a scan may take voxels from, for whom may not read every file of this computer."""

from __future__ import annotations

import re
from pathlib import Path

import SimpleITK as sitk

from .data_files import is_several, only_data_file_name
from .dicom_series import image_files, is_dicom_file
from .errors import InputError
from .files import library_name

_PAIR_ENDINGS = (".nii", ".hdr", ".img", ".nia")


def voxel_files(path: Path) -> tuple[Path, ...]:
    """Every file that `read_scan(path)` may take voxels from, whether it is there or not, `path` itself first.

    It errs on the side of too many.  InputError for a file of which that cannot be told: one that is no NIfTI, NRRD,
    MetaImage or DICOM (other formats refer to other files as well), or names its voxels twice, or by a list or pattern.
    """
    if path.is_dir():
        return (path, *image_files(path))
    if path.stat().st_size == 0 or is_dicom_file(path):
        return (path,)
    kind = _library_for(path)
    if kind == "GDCMImageIO":
        return (path,)
    if kind == "NiftiImageIO":
        return (path, *_halves(path))
    if kind in ("MetaImageIO", "NrrdImageIO"):
        return (path, *_named(path))
    raise InputError(f"{path} is damaged or no CT; give a NIfTI, NRRD or MetaImage file, or a folder of DICOM slices.")


def _library_for(path: Path) -> str:
    """What ITK would read a file with; "" for nothing."""
    try:
        return str(sitk.ImageFileReader.GetImageIOFromFileName(library_name(path)))
    except RuntimeError:
        return ""


def _halves(path: Path) -> list[Path]:
    """All that the NIfTI library may take for the other half of a pair, in its spellings."""
    stem = re.sub(r"(?i)\.(nii|hdr|img|nia)(\.gz)?$", "", path.name)
    endings = [ending + zipped for ending in _PAIR_ENDINGS for zipped in ("", ".gz")]
    return [path.with_name(stem + spelled) for ending in endings for spelled in (ending, ending.upper())]


def _named(path: Path) -> list[Path]:
    name = only_data_file_name(path)
    if name is not None and is_several(name):
        raise InputError(f"The voxels of {path} are in several files; save it as one file: .nrrd or .nii.gz.")
    return [] if name is None else [path.parent / name]
