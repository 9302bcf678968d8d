"""Reading a scan from disk: NIfTI, NRRD, MetaImage, DICOM file or folder -> `Scan`, geometry kept exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .claims import check_amount, check_grid, check_header, leaning, stored_bytes
from .dicom import read_dicom_file, read_dicom_folder
from .dicom_series import is_dicom_file
from .errors import InputError, MemoryExhaustedError, is_out_of_memory
from .files import library_name
from .nifti import check_nifti, is_nifti_2, restore_not_finite
from .prepare import AIR_HU
from .scan import Scan, geometry_of

MAX_NOT_FINITE_SHARE = 0.5
MAX_ABSOLUTE_HU = 1e6
"""Beyond it, as for the largest 32-bit number that some programs pad with, a voxel is as good as no number."""


def read_scan(path: Path, subfolders: bool = True) -> Scan:
    """The CT in a file (.nii, .nii.gz, .nrrd, .mha, .mhd, .dcm ...) or in a folder of DICOM slices.

    subfolders: whether slices in the sub-folders of a folder count as well.

    Values are as the file scales them (HU where the file is right; `checks.check_ct` judges that), voxels that are not
    numbers become air.  `Scan.name` is the file or folder name, `Scan.notes` say what was chosen or repaired.
    InputError, in one sentence for the user, for whatever cannot be read as one 3-D scalar CT volume.
    """
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    path = Path(path)
    try:
        return _read(path, subfolders)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror or error}); check path and permissions.") from error
    except MemoryError as error:
        raise MemoryExhaustedError(f"{path} does not fit into memory; crop it to the spine.") from error


def _read(path: Path, subfolders: bool) -> Scan:
    image, notes = _read_image(path, subfolders)
    # the view spares one copy of the volume
    voxels = sitk.GetArrayViewFromImage(image)
    if voxels.dtype == np.int16:
        return Scan(voxels.copy(), geometry_of(image), path.name, notes)
    hu = voxels.astype(np.float32)
    if image.HasMetaDataKey("vox_offset"):
        restore_not_finite(path, hu)
    notes += _replace_not_finite(hu, path)
    return Scan(hu, geometry_of(image), path.name, notes)


def _read_image(path: Path, subfolders: bool) -> tuple[sitk.Image, tuple[str, ...]]:
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    if path.is_dir():
        return read_dicom_folder(path, subfolders)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy or download it again.")
    return read_dicom_file(path) if is_dicom_file(path) else (_read_volume_file(path), ())


def _read_volume_file(path: Path) -> sitk.Image:
    """3-D scalar image of one file that is not DICOM; the header is judged before any voxel is allocated."""
    check_header(path)
    held_bytes = stored_bytes(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(library_name(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(_why_unreadable(path, error)) from error
    _check_header(reader, path)
    _check_voxels(reader, path, held_bytes)
    if reader.GetDimension() > 3:
        reader.SetExtractSize([*reader.GetSize()[:3], *[0] * (reader.GetDimension() - 3)])
    if reader.GetPixelID() == sitk.sitkFloat64:
        reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        return reader.Execute()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        raise InputError(f"{path} is damaged or cut short: its voxels cannot be read; copy it again.") from error


def _why_unreadable(path: Path, error: RuntimeError) -> str:
    """Sentence for what ITK says when it does not even read the header."""
    if is_nifti_2(path):
        return f"{path} is NIfTI-2, which cannot be read here; save it as NIfTI-1, NRRD or MetaImage."
    reason = str(error).lower()
    if "orthonormal" in reason:
        return leaning(path)
    if "spacing" in reason:
        return f"The voxel spacing in the header of {path} is zero or no number; correct it or export the scan again."
    return f"{path} is damaged or not an image; give a NIfTI, NRRD or MetaImage file, or a folder of DICOM slices."


def _check_header(reader: sitk.ImageFileReader, path: Path) -> None:
    """InputError when the header of the file promises no 3-D scalar CT volume."""
    size, spacing = reader.GetSize(), reader.GetSpacing()
    shape = " x ".join(str(n) for n in size)
    if len(size) < 3:
        raise InputError(f"{path} is a {len(size)}-D picture ({shape}); a 3-D CT volume is needed.")
    if any(n > 1 for n in size[3:]):
        raise InputError(f"{path} has {len(size)} dimensions ({shape}); give one 3-D volume, e.g. one time point.")
    if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise InputError(f"{path} has complex values (raw MR data?); a CT in Hounsfield units is needed.")
    if reader.GetNumberOfComponents() > 1:
        count = reader.GetNumberOfComponents()
        raise InputError(f"{path} has {count} values per voxel (colour or vectors); a CT has one.")
    # ITK refuses leaning axes in NIfTI, but takes them over from NRRD and MetaImage
    axes = np.reshape(reader.GetDirection(), (len(size), len(size)))[:3, :3]
    check_grid(spacing[:3], reader.GetOrigin()[:3], axes.ravel().tolist(), path)
    _check_modality(reader, path)


def _check_modality(reader: sitk.ImageFileReader, path: Path) -> None:
    """Some NRRD and MetaImage headers name the modality."""
    for key in reader.GetMetaDataKeys():
        if key.lower() in ("modality", "dicom_0008_0060", "0008|0060"):
            modality = reader.GetMetaData(key).strip().upper().removeprefix("MET_MOD_")
            if modality not in ("", "CT", "OTHER", "UNKNOWN"):
                raise InputError(f"{path} says that it is {modality}, not CT; only CT can be labelled.")


def _check_voxels(reader: sitk.ImageFileReader, path: Path, held_bytes: float) -> None:
    """Whether the file can hold what its header claims, and this machine too."""
    is_nifti = reader.HasMetaDataKey("vox_offset")
    # the type in NIfTI is the one after rescaling; the other text is "16-bit signed integer" and the like
    kind = reader.GetMetaData("bitpix") if is_nifti else sitk.GetPixelIDValueAsString(reader.GetPixelID())
    voxel_bytes = max(1, int(kind.partition("-")[0]) // 8)
    check_amount(reader.GetSize(), voxel_bytes, held_bytes, path)
    if is_nifti:
        check_nifti(path, int(np.prod(reader.GetSize(), dtype=np.int64)) * voxel_bytes)


def _replace_not_finite(hu: NDArray[np.float32], path: Path) -> tuple[str, ...]:
    """Writes air into voxels of `hu` that are no usable numbers; the note that says so.  InputError for too many."""
    # without a mask of the volume's size: the smallest of anything with a NaN is NaN
    if hu.min() >= -MAX_ABSOLUTE_HU and hu.max() <= MAX_ABSOLUTE_HU:
        return ()
    wrong = ~(np.abs(hu) <= MAX_ABSOLUTE_HU)
    share = float(wrong.mean())
    if share > MAX_NOT_FINITE_SHARE:
        raise InputError(f"{share:.0%} of the voxels of {path} are NaN, infinite or absurd; export the scan again.")
    hu[wrong] = AIR_HU
    return (f"{int(wrong.sum())} voxels ({share:.2%}) were not numbers (NaN, infinite or absurd) and were set to air.",)
