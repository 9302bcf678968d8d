"""Points as comma-separated values with a header line: ``label,x,y,z,probability,remark``, LPS mm."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ..anatomy import Level
from ..errors import InputError
from ..files import atomic_write
from ..labelling import LabelledPoint
from .common import in_order, load_text, parse_description, parse_levels, position, quoted

HEADER = ("label", "x", "y", "z", "probability", "remark")
_AXES = {("x", "y", "z"): (1, 1, 1), ("l", "p", "s"): (1, 1, 1), ("r", "a", "s"): (-1, -1, 1)}


def write(path: Path, points: Sequence[LabelledPoint]) -> None:
    """One line per vertebra; positions to 0.001 mm, probabilities to four digits."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for point in points:
            place = (f"{value:.3f}" for value in point.position_lps_mm)
            writer.writerow([point.level.name, *place, f"{point.probability:.4f}", point.remark])


def read(path: Path) -> tuple[LabelledPoint, ...]:
    """Points in LPS mm, cranio-caudal, of a file whose header has ``label`` and ``x,y,z`` (LPS), or of Slicer's export.

    Slicer's export has ``l,p,s`` or ``r,a,s``, ``defined`` (0: skipped) and ``description`` (as in a markups
    file).  Missing columns mean probability 1 and no remark.  InputError naming what is wrong.
    """
    reader = csv.DictReader(io.StringIO(load_text(path)), skipinitialspace=True, restval="")
    try:
        names = tuple((name or "").strip().lower() for name in reader.fieldnames or ())
        axes = next((axes for axes in _AXES if {"label", *axes} <= set(names)), None)
        if axes is None:
            raise InputError(f"{path} has no header 'label,x,y,z' (or Slicer's 'label,l,p,s'); add that first line.")
        reader.fieldnames = names
        rows = [row for row in reader if row.get("defined") != "0"]
    except csv.Error as error:
        raise InputError(f"{path} is not a table of comma-separated values ({error}); export it again.") from error
    levels = parse_levels((row["label"] for row in rows), path)
    return in_order((_point(level, row, axes, path) for level, row in zip(levels, rows, strict=True)), path)


def _point(level: Level, row: dict[str, str], axes: tuple[str, str, str], path: Path) -> LabelledPoint:
    place = position((row[axis] for axis in axes), path, level.name)
    x, y, z = (sign * value for sign, value in zip(_AXES[axes], place, strict=True))
    probability, remark = parse_description(row.get("description") or "")
    if row.get("probability"):
        probability = _probability(row["probability"], level.name, path)
    return LabelledPoint(level, (x, y, z), probability, row.get("remark") or remark)


def _probability(text: str, name: str, path: Path) -> float:
    try:
        probability = float(text)
    except ValueError as error:
        raise InputError(f"{path}: the probability {quoted(text)} of {name} is not a number; correct it.") from error
    if not 0.0 <= probability <= 1.0:
        raise InputError(f"{path}: the probability {quoted(text)} of {name} is not between 0 and 1; correct it.")
    return probability
