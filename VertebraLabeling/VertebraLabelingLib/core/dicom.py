"""Reading DICOM: the CT series of a folder sorted by position, or one multi-frame file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .claims import check_amount, check_grid
from .dicom_series import Slice, ct_series, file_reader, frame_slices, is_cut_short, require_ct, slice_header
from .errors import InputError, is_out_of_memory

MAX_FILLED_GAP_MM = 10.0
"""Widest hole between two slices that interpolation may fill; more could hide a vertebra."""
MOST_INTERPOLATED = 3
"""Times as many slices as there were that interpolation may make."""
_VOXEL_BYTES = 2
_SAME_PLACE_MM = 0.01
_UNEVEN_MM = 0.2
_TILT_MM = 1.0


def read_dicom_file(path: Path) -> tuple[sitk.Image, tuple[str, ...]]:
    """Volume of a multi-frame CT file, with notes; InputError for a single slice or another object.

    The frames are sorted and judged as the slices of `read_dicom_folder` are.
    """
    header = slice_header(path)
    if header is None:
        raise InputError(f"{path} is DICOM but not a CT slice with a position (report, localiser?); give a CT series.")
    require_ct({header.modality}, path)
    if header.frames == 1:
        raise InputError(f"{path} is one DICOM slice; give the folder with all slices of the series.")
    _require_true([header], path)
    frames, spacing_mm = frame_slices(header)
    if frames:
        return _of_frames(frames, spacing_mm, path)
    image = _execute(file_reader(path), path)
    check_grid(image.GetSpacing(), image.GetOrigin(), image.GetDirection(), path)
    return image, ()


def _of_frames(
    frames: list[Slice], spacing_xy_mm: tuple[float, float], path: Path
) -> tuple[sitk.Image, tuple[str, ...]]:
    """The volume of a multi-frame file, its frames in the order of their places."""
    slices, notes = _one_per_place(frames)
    if len(slices) < 3:
        raise InputError(f"{path} has only {len(slices)} slice(s); a 3-D volume is needed.")
    places_mm = _places_mm(slices, path)
    image = _execute(file_reader(path), path)
    sorted_image = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(image)[[s.order[1] for s in slices]])
    sorted_image.SetSpacing((*spacing_xy_mm, 1.0))
    _set_geometry(sorted_image, slices, places_mm, path)
    return _even(sorted_image, places_mm, path, notes)


def read_dicom_folder(folder: Path, subfolders: bool = True) -> tuple[sitk.Image, tuple[str, ...]]:
    """Volume of the CT series with most slices in `folder` and its sub-folders, with notes on choices and repairs.

    subfolders: False leaves the sub-folders out.

    Slices are sorted by their position along the normal, never by name or number; origin, spacing and direction come
    from the positions.  Slices at one place (repeated exports, phases) count once.  Unequal gaps are interpolated to
    equal ones.  InputError when there is no CT series, a gap exceeds `MAX_FILLED_GAP_MM`, or the gantry was tilted.
    """
    slices, notes = ct_series(folder, subfolders)
    if slices[0].frames > 1:
        image, own_notes = read_dicom_file(slices[0].path)
        return image, notes + own_notes
    slices, repeated = _one_per_place(slices)
    if len(slices) < 3:
        raise InputError(f"The CT series in {folder} has only {len(slices)} slice(s); a 3-D volume is needed.")
    places_mm = _places_mm(slices, folder)
    _require_true(slices, folder)
    image = _execute(_series_reader(slices), folder)
    _set_geometry(image, slices, places_mm, folder)
    return _even(image, places_mm, folder, notes + repeated)


def _require_true(slices: list[Slice], path: Path) -> None:
    """InputError unless the files can hold as many voxels as they claim, and do."""
    rows_and_columns, frames = slices[0].size[:2], sum(one.frames for one in slices)
    check_amount((*rows_and_columns, frames), _VOXEL_BYTES, sum(s.path.stat().st_size for s in slices), path)
    cut = [s.path.name for s in slices if is_cut_short(s.path)]
    if cut:
        raise InputError(
            f"{len(cut)} DICOM file(s) of {path} are cut short (first: {cut[0]}); export the series again."
        )


def _one_per_place(slices: list[Slice]) -> tuple[list[Slice], tuple[str, ...]]:
    """Slices along the normal, the first acquisition at each place only."""
    place = {id(s): float(s.origin_lps_mm @ slices[0].normal) for s in slices}
    kept: list[Slice] = []
    for one in sorted(slices, key=lambda s: (round(place[id(s)] / _SAME_PLACE_MM), s.order)):
        if not kept or place[id(one)] - place[id(kept[-1])] > _SAME_PLACE_MM:
            kept.append(one)
    dropped = len(slices) - len(kept)
    return kept, (f"{dropped} slices lie where another one lies and were left out.",) if dropped else ()


def _places_mm(slices: list[Slice], folder: Path) -> NDArray[np.float64]:
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


def _set_geometry(image: sitk.Image, slices: list[Slice], places_mm: NDArray[np.float64], folder: Path) -> None:
    """Geometry from all positions: ITK derives it from few of them and trusts SliceThickness in some files."""
    x, y, _ = image.GetSpacing()
    spacing, origin = (x, y, float(places_mm[-1]) / (len(slices) - 1)), slices[0].origin_lps_mm.tolist()
    direction = np.stack([*slices[0].axes, slices[0].normal], axis=1).ravel().tolist()
    check_grid(spacing, origin, direction, folder)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)


def _even(
    image: sitk.Image, places_mm: NDArray[np.float64], folder: Path, notes: tuple[str, ...]
) -> tuple[sitk.Image, tuple[str, ...]]:
    """The volume on equally spaced slices: itself, or linearly interpolated between unequal ones."""
    gaps = np.diff(places_mm)
    usual = float(np.median(gaps))
    if np.abs(places_mm - np.linspace(0.0, places_mm[-1], len(places_mm))).max() <= _UNEVEN_MM:
        return image, notes
    count = round(float(places_mm[-1]) / usual) + 1
    if gaps.max() > max(MAX_FILLED_GAP_MM, 1.5 * usual) or count > MOST_INTERPOLATED * len(places_mm):
        raise InputError(
            f"Slices are missing in {folder} (a gap of {gaps.max():.1f} mm); export the whole series again."
        )
    note = f"Gaps between slices are unequal ({gaps.min():.2f} to {gaps.max():.2f} mm, slices missing?); interpolated."
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


def _series_reader(slices: list[Slice]) -> sitk.ImageSeriesReader:
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
