"""VerSe 2019 and 2020, in both of their published arrangements.

Subject-based: ``rawdata/sub-verse500/sub-verse500_dir-ax_ct.nii.gz`` and
``derivatives/sub-verse500/sub-verse500_dir-ax_seg-vert_ctd.json`` (or ``_seg-vb_``, ``_seg-subreg_``), often below a
folder per split.  Centroids are in voxels of the image, see `core.formats.verse`.

MICCAI challenge: ``verse014.nii.gz`` and ``verse014_ctd.json`` (2019), ``verse512_CT-iso.nii.gz`` and
``verse512_CT-iso_iso-ctd.json`` (2020).  Centroids are in millimetres from a corner of the volume, and without a
"direction".  Which corner and which order of the axes differs between the years: `_CHALLENGE_AXES`; both forms were
checked against the conversion published by a winner of the challenge.  A file is read in the form in which its column
runs downwards, because later releases mixed the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.formats import verse
from VertebraLabelingLib.core.formats.common import in_order, load_json, position
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint

from .annotated import Annotated, Points, safe_id, scan_geometry

_CHALLENGE_AXES = {"2019": ("I", "P", "L"), "2020": ("P", "I", "R")}
"""Sides towards which X, Y and Z grow, in mm from the voxel in the opposite corner."""
_AXIS_OF = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
"""Code -> LPS axis and sign."""

_CENTROIDS = re.compile(r"(_seg-(vert|vb|subreg))?(_iso-ctd|_ctd|_ctd-iso)\.json$")
_SERIES = re.compile(r"(?:sub-)?(?P<patient>(?:verse|gl)\d+)(?:[_-](?:split-)?(?P<series>(?:verse|gl)\d+))?", re.I)
_SPLIT_FOLDER = re.compile(r"(train|valid|test)(ing|ation)?$", re.I)
_SPLITS = {"train": "train", "valid": "val", "test": "test"}


def recognises(folder: Path) -> bool:
    """Whether centroid files with VerSe's names and numbers lie in the folder or below."""
    return any(_SERIES.match(file.name) for file in _centroid_files(folder))


def items(folder: Path) -> Iterator[Annotated]:
    """One item for each centroid file; patients with several series keep one patient name."""
    for file in _centroid_files(folder):
        match = _SERIES.match(file.name)
        if match is None:
            continue
        name = _CENTROIDS.sub("", file.name)
        scan = _scan_of(file, name)
        patient = match["patient"].lower()
        yield Annotated(safe_id(name), patient, _split(file, folder), scan, file, partial(read_centroids, file, scan))


def read_centroids(file: Path, scan_file: Path) -> Points:
    """Points in LPS mm of a centroid file of either form; InputError, also for a file without any."""
    content = load_json(file)
    if isinstance(content, list) and content and "direction" in content[0]:
        points = verse.read(file, scan_geometry(scan_file))
    else:
        points = _read_challenge(content, file, scan_geometry(scan_file))
    if not points:
        raise InputError(f"{file} has no vertebra in it; export the points again.")
    return points


def _read_challenge(content: object, file: Path, geometry: Geometry) -> Points:
    """In the form whose column runs downwards the most steeply; that of 2020 for a single point."""
    try:
        entries = [(int(entry["label"]), (entry["X"], entry["Y"], entry["Z"])) for entry in content]  # type: ignore
        levels = [Level.from_verse_id(number) for number, _ in entries]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} is not a VerSe centroid file: label (1 to 26, 28), X, Y, Z are needed.") from error
    places = np.array([position(place, file, level.name) for level, (_, place) in zip(levels, entries, strict=True)])
    forms = [_lps_of(places.reshape(-1, 3), axes, geometry) for axes in _CHALLENGE_AXES.values()]
    order = np.argsort(levels)
    lps_mm = min(reversed(forms), key=lambda form: float(np.diff(form[order, 2]).sum()))
    points = (
        LabelledPoint(level, (float(x), float(y), float(z))) for level, (x, y, z) in zip(levels, lps_mm, strict=True)
    )
    return in_order(points, file)


def _lps_of(places_mm: np.ndarray, axes: tuple[str, ...], geometry: Geometry) -> np.ndarray:
    """(n, 3) LPS mm of distances along `axes` from the voxel centre in the corner where all three begin."""
    direction = np.reshape(geometry.direction, (3, 3))
    corner_ijk, steps = np.zeros(3), np.zeros((3, 3))
    for column, code in enumerate(axes):
        lps_axis, sign = _AXIS_OF[code]
        n = int(np.argmax(np.abs(direction[lps_axis])))
        forward = direction[lps_axis, n] * sign > 0
        corner_ijk[n] = 0 if forward else geometry.shape_zyx[2 - n] - 1
        steps[column] = direction[:, n] if forward else -direction[:, n]
    return geometry.lps_from_index_zyx(corner_ijk[::-1]) + places_mm @ steps


def _centroid_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.json") if _CENTROIDS.search(file.name))


def _scan_of(file: Path, name: str) -> Path:
    """The image of a centroid file: beside it, or below rawdata/ where that lies below derivatives/."""
    parts = ["rawdata" if part == "derivatives" else part for part in file.parent.parts]
    candidates = [
        folder / f"{name}{end}" for folder in (Path(*parts), file.parent) for end in ("_ct.nii.gz", ".nii.gz")
    ]
    return next((path for path in candidates if path.exists()), candidates[0])


def _split(file: Path, folder: Path) -> str | None:
    """From a folder on the way to the file, e.g. ``dataset-02validation``; `folder` itself counts with such a name."""
    parts = [*([folder.name] if folder.name.startswith("dataset-") else []), *file.relative_to(folder).parts[:-1]]
    found = next((match for part in parts if (match := _SPLIT_FOLDER.search(part))), None)
    return _SPLITS[found[1].lower()] if found else None
