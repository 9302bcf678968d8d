"""Which DICOM files make up a CT: headers of slices, and the series with most of them in a folder."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .claims import DEFLATED_SYNTAX, check_deflated, check_grid, check_pixel_spacing
from .errors import InputError
from .files import library_name

_SAME_AXES = 0.01
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_PIXEL_DATA_TAG = 0x7FE00010
_UNSTATED = 0xFFFFFFFF
_MODALITY = 0x00080060
_CT_IMAGES = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
"""Classes of DICOM objects (PS3.4, B.5): CT slices, enhanced CT, and series turned into that."""
_DICOM_SUFFIXES = ("", ".dcm", ".ima")


@dataclass(frozen=True)
class Slice:
    """Header of one image file.  origin_lps_mm: (3,) ImagePositionPatient; axes: (2, 3) unit vectors of row, column."""

    path: Path
    series: str
    modality: str
    size: tuple[int, ...]
    origin_lps_mm: NDArray[np.float64]
    axes: NDArray[np.float64]
    order: tuple[int, int]

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) unit vector across the slice."""
        return np.cross(self.axes[0], self.axes[1])

    def is_stackable_on(self, other: Slice) -> bool:
        """Whether both belong to one volume: same series, size in plane and orientation."""
        same = self.series == other.series and self.size[:2] == other.size[:2]
        return same and bool(np.abs(self.axes - other.axes).max() < _SAME_AXES)

    @property
    def frames(self) -> int:
        """Number of slices in the file."""
        return self.size[2] if len(self.size) > 2 else 1


def is_dicom_file(path: Path) -> bool:
    """Whether the file begins as DICOM part 10 does (128 bytes, then ``DICM``)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def ct_series(folder: Path, subfolders: bool = True) -> tuple[list[Slice], tuple[str, ...]]:
    """The slices, in any order, of the CT series with most of them in a folder, and a note when there was a choice.

    subfolders: False leaves the sub-folders out.  InputError when there is no CT series.
    """
    headers = [h for h in map(slice_header, image_files(folder, subfolders)) if h is not None]
    if not headers:
        raise InputError(f"The folder {folder} holds no DICOM image slices; give a folder with one CT series.")
    require_ct({h.modality for h in headers}, folder)
    return _largest_stack([h for h in headers if h.modality == "CT"])


def image_files(folder: Path, subfolders: bool = True) -> list[Path]:
    """The files of a folder that may be DICOM images, sorted.  subfolders: False leaves the sub-folders out."""
    return [path for path in sorted(folder.rglob("*") if subfolders else folder.iterdir()) if _may_be_dicom(path)]


def _largest_stack(slices: list[Slice]) -> tuple[list[Slice], tuple[str, ...]]:
    """The volume with most slices (the first by UID among equals), and a note when there was a choice."""
    stacks: list[list[Slice]] = []
    for one in slices:
        home = next((stack for stack in stacks if one.is_stackable_on(stack[0])), None)
        if home is None:
            stacks.append([one])
        else:
            home.append(one)
    stacks.sort(key=lambda stack: (-sum(s.frames for s in stack), stack[0].series))
    if len(stacks) == 1:
        return stacks[0], ()
    most, *rest = (str(sum(s.frames for s in stack)) for stack in stacks)
    note = f"Of {len(stacks)} CT series the one with most slices was taken ({most}; others {', '.join(rest)})."
    return stacks[0], (note,)


def _may_be_dicom(path: Path) -> bool:
    """Cheap look before GDCM; files of old systems lack the DICM mark, hence the suffixes."""
    return path.is_file() and (path.suffix.lower() in _DICOM_SUFFIXES or is_dicom_file(path))


def is_cut_short(path: Path) -> bool:
    """Whether an image file ends within its header or before its uncompressed pixel data do; GDCM fills up the rest.

    The element (7FE0,0010) is mostly found in the first 64 KiB: explicit VR has OB or OW and the length at byte 8,
    implicit VR the length at byte 4 (DICOM PS3.5, 7.1); 0xFFFFFFFF marks compressed data, whose length is not stated.
    """
    with path.open("rb") as file:
        head = file.read(1 << 16)
    start = head.find(_PIXEL_DATA)
    if start < 0 or start + 12 > len(head):
        return _is_cut_short_behind_a_long_header(path)
    explicit = head[start + 4 : start + 6] in (b"OB", b"OW")
    (length,) = struct.unpack_from("<I", head, start + (8 if explicit else 4))
    return bool(length != _UNSTATED and path.stat().st_size < start + (12 if explicit else 8) + length)


def _is_cut_short_behind_a_long_header(path: Path) -> bool:
    """As `is_cut_short`, element by element; a header that cannot be read ends nowhere."""
    found: list[tuple[str | None, int]] = []

    def is_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag == _PIXEL_DATA_TAG:
            found.append((vr, length))
        return tag == _PIXEL_DATA_TAG

    try:
        data, place = _elements(path, is_pixels)
    except Exception:  # of whatever kind, it is the damage of the header
        return True
    if data.file_meta.get("TransferSyntaxUID") == DEFLATED_SYNTAX:  # whose reader notices
        return False
    if not found:
        return True
    vr, length = found[0]
    return length != _UNSTATED and path.stat().st_size < place + (12 if vr else 8) + length


def _was_ct_slice(path: Path) -> bool:
    """Whether a file that cannot be read is a slice of a CT, as far as its first elements still tell."""
    try:
        data, _ = _elements(path, lambda tag, *_: tag > _MODALITY)
        kind = data.file_meta.get("MediaStorageSOPClassUID") or data.get("SOPClassUID")
        is_ct = kind in _CT_IMAGES if kind else data.get("Modality") == "CT"
        return is_ct and "LOCALIZER" not in str(data.get("ImageType", "")).upper()
    except Exception:
        return False


def _elements(path: Path, stop_when: Callable[..., bool]) -> tuple[Any, int]:
    """What a file holds before the element at which `stop_when(tag, vr, length)` is true, and where that begins.

    All sorts of errors.
    """
    from pydicom.filereader import read_partial

    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_partial(file, stop_when, force=True), file.tell()


def slice_header(path: Path) -> Slice | None:
    """What sorting needs to know of an image file; None for localisers, reports and pictures without a position."""
    check_deflated(path)
    reader = file_reader(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if is_cut_short(path) and _was_ct_slice(path):
            raise InputError(f"The DICOM file {path} is cut short; export the series again.") from error
        return None
    if reader.GetDimension() != 3 or reader.GetNumberOfComponents() > 1:
        return None
    tags = {key: reader.GetMetaData(key).strip() for key in reader.GetMetaDataKeys()}
    modality = tags.get("0008|0060", "")
    if "LOCALIZER" in tags.get("0008|0008", "").upper():
        return None
    if modality == "CT" and _number(tags.get("0028|0008")) <= 1 and not {"0020|0032", "0020|0037"} <= tags.keys():
        return None
    if modality == "CT" and _number(tags.get("0028|0008")) <= 1:  # other objects of the folder may claim what they like
        check_pixel_spacing(tags.get("0028|0030", ""), reader.GetSpacing()[:2], path)
        check_grid(reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection(), path)
    axes = np.reshape(reader.GetDirection(), (3, 3))[:, :2].T
    order = (_number(tags.get("0020|0012")), _number(tags.get("0020|0013")))
    size = tuple(int(n) for n in reader.GetSize())
    return Slice(path, _volume_uid(tags, size, path), modality, size, np.array(reader.GetOrigin()), axes, order)


def frame_slices(volume: Slice) -> tuple[list[Slice], tuple[float, float]]:
    """Each frame of an enhanced multi-frame file as a slice, and the spacing (x, y) in mm; for other files nothing.

    ITK takes the frames for equally spaced and sorted, which they need not be (DICOM PS3.3, C.7.6.16.2).
    `Slice.order` ends with the place of the frame in the file.  InputError where it does not tell where they lie.
    """
    from pydicom import dcmread

    try:
        data = dcmread(volume.path, stop_before_pixels=True)
        if "PerFrameFunctionalGroupsSequence" not in data:
            return [], (0.0, 0.0)
        shared = data.get("SharedFunctionalGroupsSequence") or [{}]
        groups = [(group, shared[0]) for group in data.PerFrameFunctionalGroupsSequence]
        slices = [_frame(volume, number, group) for number, group in enumerate(groups)]
        y, x = (float(mm) for mm in _macro(groups[0], "PixelMeasuresSequence").PixelSpacing)
        if not min(x, y) > 0:
            raise ValueError("no spacing")
    except Exception as error:  # of whatever kind, it is the damage of the header
        raise InputError(f"{volume.path} does not tell where its slices lie; export the series again.") from error
    if len(slices) != volume.frames or not all(one.is_stackable_on(slices[0]) for one in slices):
        raise InputError(
            f"{volume.path} holds slices of several directions, or not all it tells of; export one volume."
        )
    return slices, (x, y)


def _frame(volume: Slice, number: int, groups: tuple[Any, Any]) -> Slice:
    origin = np.array(_macro(groups, "PlanePositionSequence").ImagePositionPatient, float).reshape(3)
    axes = np.array(_macro(groups, "PlaneOrientationSequence").ImageOrientationPatient, float).reshape(2, 3)
    if not np.isfinite([*origin, *axes.ravel()]).all():
        raise ValueError("not finite")
    return replace(volume, size=volume.size[:2], origin_lps_mm=origin, axes=axes, order=(0, number))


def _macro(groups: tuple[Any, Any], name: str) -> Any:
    """The first item of a sequence of a frame's own group, or of the group that all frames share."""
    return next(group[name][0] for group in groups if name in group)


def _volume_uid(tags: dict[str, str], size: tuple[int, ...], path: Path) -> str:
    """Series UID; a multi-frame file is a volume of its own."""
    return f"{tags.get('0020|000e', '')} {path if len(size) > 2 and size[2] > 1 else ''}"


def _number(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0


def require_ct(modalities: set[str], path: Path) -> None:
    """InputError unless CT is among the modalities found at `path`."""
    if "CT" not in modalities:
        names = ", ".join(sorted(m or "unknown" for m in modalities))
        raise InputError(f"{path} holds {names}, not CT; only CT can be labelled.")


def file_reader(path: Path) -> sitk.ImageFileReader:
    """Reads one DICOM file, whatever it is called; InputError for a name that no library takes."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(library_name(path))
    return reader
