"""Reading DICOM: the CT series of a folder sorted by position, or one multi-frame file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .errors import InputError, is_out_of_memory

MAX_FILLED_GAP_MM = 10.0
"""Widest hole between two slices that interpolation may fill; more could hide a vertebra."""
_SAME_PLACE_MM = 0.01
_UNEVEN_MM = 0.2
_TILT_MM = 1.0
_SAME_AXES = 0.01
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_UNSTATED = 0xFFFFFFFF
_DICOM_SUFFIXES = ("", ".dcm", ".ima")


@dataclass(frozen=True)
class _Slice:
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
        return np.cross(self.axes[0], self.axes[1])

    def is_stackable_on(self, other: _Slice) -> bool:
        """Whether both belong to one volume: same series, size in plane and orientation."""
        same = self.series == other.series and self.size[:2] == other.size[:2]
        return same and bool(np.abs(self.axes - other.axes).max() < _SAME_AXES)

    @property
    def frames(self) -> int:
        return self.size[2] if len(self.size) > 2 else 1


def is_dicom_file(path: Path) -> bool:
    """Whether the file begins as DICOM part 10 does (128 bytes, then ``DICM``)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_dicom_file(path: Path) -> tuple[sitk.Image, tuple[str, ...]]:
    """Volume of a multi-frame CT file, with notes; InputError for a single slice or another object."""
    header = _header(path)
    if header is None:
        raise InputError(f"{path} is DICOM but not a CT slice with a position (report, localiser?); give a CT series.")
    _require_ct({header.modality}, path)
    if header.frames == 1:
        raise InputError(f"{path} is one DICOM slice; give the folder with all slices of the series.")
    _require_whole([header], path)
    return _execute(_reader(path), path), ()


def read_dicom_folder(folder: Path, subfolders: bool = True) -> tuple[sitk.Image, tuple[str, ...]]:
    """Volume of the CT series with most slices in `folder` and its sub-folders, with notes on choices and repairs.

    subfolders: False leaves the sub-folders out.

    Slices are sorted by their position along the normal, never by name or number; origin, spacing and direction come
    from the positions.  Slices at one place (repeated exports, phases) count once.  Unequal gaps are interpolated to
    equal ones.  InputError when there is no CT series, a gap exceeds `MAX_FILLED_GAP_MM`, or the gantry was tilted.
    """
    paths = sorted(folder.rglob("*") if subfolders else folder.iterdir())
    headers = [h for h in (_header(p) for p in paths if _may_be_dicom(p)) if h is not None]
    if not headers:
        raise InputError(f"The folder {folder} holds no DICOM image slices; give a folder with one CT series.")
    _require_ct({h.modality for h in headers}, folder)
    slices, notes = _largest_stack([h for h in headers if h.modality == "CT"])
    if slices[0].frames > 1:
        image, _ = read_dicom_file(slices[0].path)
        return image, notes
    slices, repeated = _one_per_place(slices)
    if len(slices) < 3:
        raise InputError(f"The CT series in {folder} has only {len(slices)} slice(s); a 3-D volume is needed.")
    places_mm = _places_mm(slices, folder)
    _require_whole(slices, folder)
    image = _execute(_series_reader(slices), folder)
    _set_geometry(image, slices, places_mm)
    return _even(image, places_mm, folder, notes + repeated)


def _may_be_dicom(path: Path) -> bool:
    """Cheap look before GDCM; files of old systems lack the DICM mark, hence the suffixes."""
    return path.is_file() and (path.suffix.lower() in _DICOM_SUFFIXES or is_dicom_file(path))


def _is_cut_short(path: Path) -> bool:
    """Whether uncompressed pixel data end before their stated length; GDCM fills up what is missing.

    The element (7FE0,0010) is found in the first 64 KiB: explicit VR has OB or OW and the length at byte 8, implicit
    VR the length at byte 4 (DICOM PS3.5, 7.1); 0xFFFFFFFF marks compressed data, whose length is not stated.
    """
    with path.open("rb") as file:
        head = file.read(1 << 16)
    start = head.find(_PIXEL_DATA)
    if start < 0 or start + 12 > len(head):
        return False
    explicit = head[start + 4 : start + 6] in (b"OB", b"OW")
    (length,) = struct.unpack_from("<I", head, start + (8 if explicit else 4))
    return bool(length != _UNSTATED and path.stat().st_size < start + (12 if explicit else 8) + length)


def _header(path: Path) -> _Slice | None:
    """What sorting needs to know of an image file; None for localisers, reports and pictures without a position."""
    reader = _reader(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if _is_cut_short(path):
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
    axes = np.reshape(reader.GetDirection(), (3, 3))[:, :2].T
    order = (_number(tags.get("0020|0012")), _number(tags.get("0020|0013")))
    size = tuple(int(n) for n in reader.GetSize())
    return _Slice(path, _volume_uid(tags, size, path), modality, size, np.array(reader.GetOrigin()), axes, order)


def _volume_uid(tags: dict[str, str], size: tuple[int, ...], path: Path) -> str:
    """Series UID; a multi-frame file is a volume of its own."""
    return f"{tags.get('0020|000e', '')} {path if len(size) > 2 and size[2] > 1 else ''}"


def _number(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0


def _require_ct(modalities: set[str], path: Path) -> None:
    if "CT" not in modalities:
        names = ", ".join(sorted(m or "unknown" for m in modalities))
        raise InputError(f"{path} holds {names}, not CT; only CT can be labelled.")


def _require_whole(slices: list[_Slice], path: Path) -> None:
    cut = [s.path.name for s in slices if _is_cut_short(s.path)]
    if cut:
        raise InputError(
            f"{len(cut)} DICOM file(s) of {path} are cut short (first: {cut[0]}); export the series again."
        )


def _largest_stack(slices: list[_Slice]) -> tuple[list[_Slice], tuple[str, ...]]:
    """The volume with most slices (the first by UID among equals), and a note when there was a choice."""
    stacks: list[list[_Slice]] = []
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


def _one_per_place(slices: list[_Slice]) -> tuple[list[_Slice], tuple[str, ...]]:
    """Slices along the normal, the first acquisition at each place only."""
    place = {id(s): float(s.origin_lps_mm @ slices[0].normal) for s in slices}
    kept: list[_Slice] = []
    for one in sorted(slices, key=lambda s: (round(place[id(s)] / _SAME_PLACE_MM), s.order)):
        if not kept or place[id(one)] - place[id(kept[-1])] > _SAME_PLACE_MM:
            kept.append(one)
    dropped = len(slices) - len(kept)
    return kept, (f"{dropped} slices lie where another one lies and were left out.",) if dropped else ()


def _places_mm(slices: list[_Slice], folder: Path) -> NDArray[np.float64]:
    """(n,) distance of each slice from the first along the normal; InputError when the stack leans (tilted gantry)."""
    offsets = np.array([s.origin_lps_mm for s in slices]) - slices[0].origin_lps_mm
    normal = slices[0].normal / np.linalg.norm(slices[0].normal)
    places: NDArray[np.float64] = offsets @ normal
    if np.linalg.norm(offsets - places[:, None] * normal, axis=1).max() > _TILT_MM:
        raise InputError(
            f"The slices in {folder} are shifted against each other (tilted gantry); load the series in 3D Slicer, "
            "which straightens it, and save it as .nrrd."
        )
    return places


def _set_geometry(image: sitk.Image, slices: list[_Slice], places_mm: NDArray[np.float64]) -> None:
    """Geometry from all positions: ITK derives it from few of them and trusts SliceThickness in some files."""
    x, y, _ = image.GetSpacing()
    row, column = slices[0].axes
    image.SetSpacing((x, y, float(places_mm[-1]) / (len(slices) - 1)))
    image.SetOrigin(slices[0].origin_lps_mm.tolist())
    image.SetDirection(np.stack([row, column, slices[0].normal], axis=1).ravel().tolist())


def _even(
    image: sitk.Image, places_mm: NDArray[np.float64], folder: Path, notes: tuple[str, ...]
) -> tuple[sitk.Image, tuple[str, ...]]:
    """The volume on equally spaced slices: itself, or linearly interpolated between unequal ones."""
    gaps = np.diff(places_mm)
    usual = float(np.median(gaps))
    if np.abs(places_mm - np.linspace(0.0, places_mm[-1], len(places_mm))).max() <= _UNEVEN_MM:
        return image, notes
    if gaps.max() > max(MAX_FILLED_GAP_MM, 1.5 * usual):
        raise InputError(
            f"Slices are missing in {folder} (a gap of {gaps.max():.1f} mm); export the whole series again."
        )
    note = f"Gaps between slices are unequal ({gaps.min():.2f} to {gaps.max():.2f} mm, slices missing?); interpolated."
    count = round(float(places_mm[-1]) / usual) + 1
    target = np.linspace(0.0, places_mm[-1], count)
    return _interpolated(image, places_mm, target), (*notes, note)


def _interpolated(image: sitk.Image, places_mm: NDArray[np.float64], target_mm: NDArray[np.float64]) -> sitk.Image:
    """Slices at `places_mm` turned linearly into slices at the equally spaced `target_mm`, same first slice."""
    values = sitk.GetArrayViewFromImage(image)
    below = np.clip(np.searchsorted(places_mm, target_mm, side="right") - 1, 0, len(places_mm) - 2)
    part = ((target_mm - places_mm[below]) / np.diff(places_mm)[below]).astype(np.float32)
    even = np.stack([values[k] * (1 - f) + values[k + 1] * f for k, f in zip(below, part, strict=True)])
    result = sitk.GetImageFromArray(even.astype(np.float32, copy=False))
    result.SetSpacing((*image.GetSpacing()[:2], float(target_mm[1])))
    result.SetOrigin(image.GetOrigin())
    result.SetDirection(image.GetDirection())
    return result


def _reader(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    return reader


def _series_reader(slices: list[_Slice]) -> sitk.ImageSeriesReader:
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([str(s.path) for s in slices])
    # slices may have different slopes; the type of the first one must not round the others
    reader.SetOutputPixelType(sitk.sitkFloat32)
    return reader


def _execute(reader: sitk.ImageFileReader | sitk.ImageSeriesReader, path: Path) -> sitk.Image:
    try:
        return reader.Execute()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        raise InputError(f"A DICOM slice of {path} is damaged or cut short; export the series again.") from error
