"""MICCAI CSI-2014 (SpineWeb data set 3): ``patient0001/4503861/4503861.nii.gz`` or ``.mhd``, and ``4503861.lml``.

An ``.lml`` file has a header line and one line per vertebra, separated by tabs or spaces: number, name
(``T12_center``), x, y, z.  Positions are millimetres along the axes i, j, k of the image as stored, from the centre of
its first voxel: users of the data set divide by the voxel size to get indices, whatever origin and direction the header
claims.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.formats.common import in_order, load_text, parse_levels, position
from VertebraLabelingLib.core.labelling import LabelledPoint

from .annotated import Annotated, Points, safe_id, scan_geometry

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".mhd", ".mha")


def recognises(folder: Path) -> bool:
    """Whether .lml files lie in the folder or below."""
    return next(folder.rglob("*.lml"), None) is not None


def items(folder: Path) -> Iterator[Annotated]:
    """One item for each .lml file.  Patient: the folder ``patient...`` above it, else the scan itself."""
    for file in sorted(folder.rglob("*.lml")):
        candidates = [file.with_name(file.stem + suffix) for suffix in IMAGE_SUFFIXES]
        scan = next((path for path in candidates if path.exists()), candidates[0])
        folders = file.relative_to(folder).parts[:-1]
        patient = next((part for part in folders if part.lower().startswith("patient")), file.stem)
        item_id = safe_id(file.stem if patient == file.stem else f"{patient}-{file.stem}")
        yield Annotated(item_id, patient, _split(folders), scan, file, partial(read_lml, file, scan))


def read_lml(file: Path, scan_file: Path) -> Points:
    """Points in LPS mm, cranio-caudal; InputError naming what is wrong."""
    rows = [line.split() for line in load_text(file).splitlines() if line.strip() and not line.startswith("#")]
    if any(len(row) < 5 for row in rows) or not rows:
        raise InputError(f"{file} is not a list of landmarks: lines with number, name, x, y, z are needed.")
    levels = parse_levels((row[1].split("_")[0] for row in rows), file)
    geometry = scan_geometry(scan_file)
    direction, origin = np.reshape(geometry.direction, (3, 3)), np.array(geometry.origin_lps_mm)
    points = []
    for level, row in zip(levels, rows, strict=True):
        x, y, z = (float(v) for v in origin + direction @ np.array(position(row[2:5], file, level.name)))
        points.append(LabelledPoint(level, (x, y, z)))
    return in_order(points, file)


def _split(folders: tuple[str, ...]) -> str | None:
    """ "test" below a folder that says so."""
    return "test" if any("test" in part.lower() for part in folders) else None
