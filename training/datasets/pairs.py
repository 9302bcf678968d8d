"""A folder of CTs with points of the same name next to them: ``a.nii.gz`` and ``a.mrk.json``, in subfolders or not.

This is what 3D Slicer and ``vertebra-labeling label`` leave behind, so corrected fiducials become training data.  The
points are .mrk.json, .csv or VerSe's _ctd.json (first of these).  A CT may also be a folder ``a`` of DICOM slices.  A
point file without any point says that the scan shows no vertebra.  CTs without a point file are not annotated, and left
out.
Patient: the subfolder, else the scan; ``patients.csv`` (id, patient) in the folder says otherwise.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.formats.common import load_text

from .annotated import Annotated, Points, safe_id, scan_geometry

POINT_SUFFIXES = (".mrk.json", ".csv", "_ctd.json")
IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".dcm", "")
PATIENTS = "patients.csv"


def recognises(folder: Path) -> bool:
    """Whether a CT with a point file lies in the folder or below."""
    return next(_pairs(folder), None) is not None


def items(folder: Path) -> Iterator[Annotated]:
    """One item for each CT with points."""
    patients = _patients(folder / PATIENTS)
    for scan, points in _pairs(folder):
        parents = scan.parent.relative_to(folder).parts
        name = safe_id("-".join((*parents, _stem(points))))
        patient = patients.get(name) or patients.get(_stem(points)) or ("-".join(parents) or name)
        yield Annotated(name, patient, None, scan, points, partial(_read, points, scan))


def _read(points: Path, scan: Path) -> Points:
    return read_points(points, scan_geometry(scan) if points.name.endswith("_ctd.json") else None)


def _pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    """(CT, its points), by name."""
    seen: set[Path] = set()
    for suffix in POINT_SUFFIXES:
        for points in sorted(folder.rglob(f"*{suffix}")):
            scan = _scan_of(points)
            if scan is not None and scan not in seen:
                seen.add(scan)
                yield scan, points


def _scan_of(points: Path) -> Path | None:
    candidates = (points.with_name(_stem(points) + suffix) for suffix in IMAGE_SUFFIXES)
    return next((path for path in candidates if path.exists()), None)


def _stem(points: Path) -> str:
    return next(points.name.removesuffix(suffix) for suffix in POINT_SUFFIXES if points.name.endswith(suffix))


def _patients(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    rows = csv.DictReader(load_text(file).splitlines())
    return {row["id"]: row["patient"] for row in rows if row.get("id") and row.get("patient")}
