"""Point files: Slicer markups, CSV and VerSe centroids to and from `LabelledPoint`s in LPS mm."""

from __future__ import annotations

from pathlib import Path

from ..anchors import check_anchors
from ..errors import InputError, UsageError
from ..geometry import Geometry
from ..labelling import LabelledPoint, Labelling
from . import csv_points, markups, verse
from .common import load_json

_KNOWN = ".mrk.json, .csv or _ctd.json (VerSe)"


def read_points(path: Path, geometry: Geometry | None = None) -> tuple[LabelledPoint, ...]:
    """Named points of a file, cranio-caudal, LPS mm; `geometry` of the scan is needed for VerSe's voxel coordinates.

    InputError, naming the file and what is wrong in it, for anything but a point file with distinct levels.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".csv"):
        return csv_points.read(path)
    if not name.endswith(".json"):
        raise InputError(f"{path} is no point file this program knows; give {_KNOWN}.")
    if _is_markups(path):
        return markups.read(path)
    if geometry is None:
        raise InputError(f"{path} counts in voxels; give the scan that belongs to it as well.")
    return verse.read(path, geometry)


def read_anchors(path: Path, geometry: Geometry | None = None) -> tuple[LabelledPoint, ...]:
    """The points of a file that are right: the locked ones of a markups file, all of another one; as `read_points`.

    InputError also where there is none, and for points that contradict each other.
    """
    path = Path(path)
    points = read_points(path, geometry)
    if _is_markups(path):
        points = tuple(point for point in points if point.confirmed)
        if not points:
            raise InputError(f"{path} has no locked point; lock those that are right, or give them in a .csv.")
    if not points:
        raise InputError(f"{path} holds no point; give the points that are right.")
    check_anchors(points)
    return points


def _is_markups(path: Path) -> bool:
    """Whether a file that is no CSV is one of Slicer's, whatever comes before ``.json`` in its name."""
    return not path.name.lower().endswith(".csv") and isinstance(load_json(path), dict)


def write_points(path: Path, labelling: Labelling, geometry: Geometry | None = None) -> None:
    """The points of `labelling` in the format that the name of `path` says; `geometry` of the scan for VerSe only.

    UsageError for another name, a missing geometry, or a place that cannot be written.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".mrk.json"):
        markups.write(path, labelling.points)
    elif name.endswith(".csv"):
        csv_points.write(path, labelling.points)
    elif not name.endswith(".json"):
        raise UsageError(f"{path} has no known ending; use {_KNOWN}.")
    elif geometry is None:
        raise UsageError(f"{path} counts in voxels (VerSe); the geometry of the scan is needed to write it.")
    else:
        verse.write(path, labelling.points, geometry)
