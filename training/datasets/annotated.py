"""What every reader of a data set yields: one CT and its named vertebrae, both read when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint, positions_of
from VertebraLabelingLib.core.readers import read_scan

Points = tuple[LabelledPoint, ...]

_DEVICE = re.compile(r"|(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""No name at all, and names under which Windows has no file."""
MIN_SPACING_MM, MAX_SPACING_MM = 8.0, 60.0
"""Neighbouring vertebrae lie 12 to 45 mm apart in life; the median of a scan well outside of that is no column."""
OUTSIDE_MM = 20.0
"""A point may lie a little outside the scan, where a vertebra is cut; it is left out.  Further off is another scan."""


@dataclass(frozen=True)
class Annotated:
    """One scan of a data set.

    id: unique in the cache, also the file name there.  patient: scans of one patient never come into different splits.
    split: "train", "val", "test" ... as the data set says, None where it says nothing.
    scan_file: the CT, or its folder of DICOM slices.  annotation: the file or folder that the points come from; when it
    is newer than the cached case, the points are read again.  read: reads them; InputError for a broken annotation.
    weight: how often the scan is drawn for training.  remark: for the report.
    """

    id: str
    patient: str
    split: str | None
    scan_file: Path
    annotation: Path
    read: Callable[[], Points]
    weight: float = 1.0
    remark: str = ""

    @cached_property
    def points(self) -> Points:
        """Body centroids in LPS mm, cranio-caudal; empty for a scan that shows no vertebra."""
        return self.read()


def check_points(points: Points) -> None:
    """InputError when the points cannot be a column in LPS mm: upside down, or far too close or too far apart.

    A wrong frame or voxels taken for millimetres shows in one of the two.
    """
    if len(points) < 2:
        return
    places = positions_of(points)
    steps = np.diff([point.level for point in points])
    gaps_mm = np.linalg.norm(np.diff(places, axis=0), axis=1) / steps
    if not MIN_SPACING_MM <= np.median(gaps_mm) <= MAX_SPACING_MM:
        raise InputError(f"The vertebrae are {np.median(gaps_mm):.0f} mm apart; are the positions in LPS mm?")
    if places[0, 2] < places[-1, 2]:
        first, last = points[0].level.name, points[-1].level.name
        raise InputError(f"{first} lies below {last}; are the names in the right order and the positions in LPS mm?")


def points_inside(points: Points, corner_zyx_mm: NDArray[np.float64], extent_zyx_mm: NDArray[np.float64]) -> Points:
    """The points inside the volume (lower corner and size in mm); InputError when one lies well outside it."""
    if not points:
        return ()
    places = np.array([point.position_lps_mm[::-1] for point in points])
    outside_mm = np.maximum(corner_zyx_mm - places, places - corner_zyx_mm - extent_zyx_mm).max(axis=1)
    if outside_mm.max() > OUTSIDE_MM:
        name = points[int(outside_mm.argmax())].level.name
        raise InputError(f"{name} lies {outside_mm.max():.0f} mm outside the scan; do scan and points belong together?")
    return tuple(point for point, distance in zip(points, outside_mm, strict=True) if distance < 0)


def safe_id(name: str) -> str:
    """The name as an id: letters, digits, ``_ . -`` and nothing that means something in a path, on Windows neither."""
    plain = re.sub(r"[^\w.]+", "-", name).strip("-.")
    return f"scan-{plain}" if _DEVICE.fullmatch(plain) else plain


def scan_geometry(scan_file: Path) -> Geometry:
    """The grid of a scan, from its header alone where one file holds the volume; InputError as of `read_scan`."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(scan_file))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        # a folder of slices, or a file whose fault `read_scan` can name
        return read_scan(scan_file).geometry
    if reader.GetDimension() != 3:
        return read_scan(scan_file).geometry
    i, j, k = reader.GetSize()
    return Geometry((k, j, i), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())
