"""Centroids as the VerSe data sets store them (``*_ctd.json``, subject-based form).

The file is a list.  Its first element names the axes, ``{"direction": ["L", "A", "S"]}``; each further element is one
vertebra, ``{"label": 20, "X": 101.5, "Y": 88.0, "Z": 40.2}``.

X, Y and Z are **voxel** coordinates (not mm), 0 at the centre of the first voxel, along the three axes of the image
when it is oriented as `direction` says.  A code names the side **towards** which the index grows, as
``nibabel.aff2axcodes`` does: ``L`` = index grows to the patient's left, ``A`` to anterior, ``S`` to superior.  A file
whose direction equals the axis codes of its own image counts along that image's axes i, j, k as stored; this is how
VerSe's subject-based files are, and how this module writes.  Where the codes differ, the axes are permuted, and a
flipped axis of n voxels counts n - 1 - index.  An oblique image takes the code of the nearest patient axis.

(The MICCAI challenge form of 2019/2020, 1 mm "voxels" in ASL order, must not be mixed up with this one.)
Labels are `Level.verse_id`.  The format has no place for probabilities and remarks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy import Level
from ..errors import InputError
from ..files import atomic_write
from ..geometry import Geometry
from ..labelling import LabelledPoint
from .common import in_order, load_json, position, quoted

_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}


def axis_codes(geometry: Geometry) -> tuple[str, str, str]:
    """Side towards which i, j and k grow, e.g. ("L", "P", "S") for an identity direction."""
    import SimpleITK as sitk

    i, j, k = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(geometry.direction)
    return (i, j, k)


def write(path: Path, points: Sequence[LabelledPoint], geometry: Geometry) -> None:
    """Centroids in voxels of the grid `geometry`, in its own axis order, to 0.001 voxel."""
    content: list[dict[str, Any]] = [{"direction": list(axis_codes(geometry))}]
    for point in points:
        k, j, i = geometry.index_zyx_from_lps(np.array(point.position_lps_mm))
        place = {axis: round(float(value), 3) for axis, value in zip("XYZ", (i, j, k), strict=True)}
        content.append({"label": point.level.verse_id, **place})
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def read(path: Path, geometry: Geometry) -> tuple[LabelledPoint, ...]:
    """Points in LPS mm, cranio-caudal, of a file that belongs to the scan with the grid `geometry`; InputError."""
    content = load_json(path)
    try:
        codes = [str(code).upper() for code in content[0]["direction"]]
        entries = [(entry["label"], entry["X"], entry["Y"], entry["Z"]) for entry in content[1:]]
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(
            f"{path} is not a VerSe centroid file: it needs a list of a 'direction' and of points with label, X, Y, Z."
        ) from error
    axes = _axes(codes, geometry, path)
    return in_order((_point(label, place, axes, geometry, path) for label, *place in entries), path)


def _axes(codes: list[str], geometry: Geometry, path: Path) -> list[tuple[int, bool]]:
    """For X, Y, Z: image axis (0 = i) and whether it is flipped."""
    own = axis_codes(geometry)
    axes = [(n, code != own[n]) for code in codes for n in range(3) if code in (own[n], _OPPOSITE[own[n]])]
    if len(codes) != 3 or sorted(n for n, _ in axes) != [0, 1, 2]:
        raise InputError(f"{path} has the direction {quoted(codes)}; three codes such as L, A, S are needed.")
    return axes


def _point(label: Any, place: list[Any], axes: list[tuple[int, bool]], geometry: Geometry, path: Path) -> LabelledPoint:
    try:
        level = Level.from_verse_id(int(label))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: label {quoted(label)} is no vertebra of VerSe (1 to 26, 28, 29); correct it."
        ) from error
    ijk = [0.0, 0.0, 0.0]
    for value, (axis, flipped) in zip(position(place, path, level.name), axes, strict=True):
        ijk[axis] = geometry.shape_zyx[2 - axis] - 1 - value if flipped else value
    x, y, z = (float(value) for value in geometry.lps_from_index_zyx(np.array(ijk[::-1])))
    return LabelledPoint(level, (x, y, z))
