"""From masks of whole vertebrae to the centroids of their bodies.

The centroid of a whole vertebra lies behind its body.  The rule here, on a grid of 1 mm along L, P, S:

1. Each voxel's distance to the surface of the mask gives the largest ball inside it.  The mask is cut down to what a
   ball of `KEPT_SHARE` times that radius reaches (a morphological opening): processes, laminae and pedicles are thinner
   than the body and go.  For C2 the share is larger, so that the dens goes too.
2. Of the parts that are left, the front one is the body, if it is solid enough; otherwise the most solid one.
3. The body's centroid is the answer, unless the body is cut by the border of the volume: then there is none.

C1 has no body: there it is the middle of the ring, on the plane through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint
from VertebraLabelingLib.core.prepare import prepare
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.core.scan import Scan

from .annotated import Points

KEPT_SHARE = 0.65
KEPT_SHARE_C2 = 0.9
SOLID_SHARE = 0.7
"""The front part is the body when its inner radius is at least this share of the largest one."""
S1_HALF_WIDTH_MM = 22.0
"""Of a mask of S1 only the middle is looked at: the wings of the sacrum are as solid as its body."""
CUT_MM = 1.0
"""A body that comes closer to the border of the volume is cut by it."""
GRID_MM = 1.0
MIN_VOLUME_ML = 0.5
"""Less is a splinter of a vertebra that is hardly in view."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Piece:
    """One vertebra's mask (z, y, x) in the `box` of a volume with that geometry."""

    level: Level
    mask: Mask
    box: tuple[slice, slice, slice]
    geometry: Geometry


def points_of_labels(file: Path, levels: Mapping[int, Level]) -> Points:
    """Body centroids of a mask file whose voxels are numbers, cranio-caudal; numbers not in `levels` are ignored.

    Empty when no such number occurs.  InputError when the file cannot be read or has only pieces of vertebrae.
    """
    scan = read_scan(file)
    labels = scan.hu.astype(np.int16)
    boxes = dict(enumerate(ndimage.find_objects(np.maximum(labels, 0)), start=1))
    found = {number: box for number in levels if (box := boxes.get(number)) is not None}
    pieces = (_Piece(levels[number], labels[box] == number, box, scan.geometry) for number, box in found.items())
    return _points(pieces, file)


def points_of_masks(files: Mapping[Level, Path], folder: Path) -> Points:
    """Body centroids of files with one vertebra each, cranio-caudal; empty when all of them are.

    folder: of the files, for messages.  InputError when one cannot be read or there are only pieces of vertebrae.
    """
    return _points((piece for level, file in files.items() if (piece := _read_piece(level, file))), folder)


def _read_piece(level: Level, file: Path) -> _Piece | None:
    scan = read_scan(file)
    mask = scan.hu > 0.5
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    return _Piece(level, mask[boxes[0]], boxes[0], scan.geometry) if boxes else None


def _points(pieces: Iterable[_Piece], source: Path) -> Points:
    """The points of those whose body is whole."""
    points = [_point(piece) for piece in pieces]
    whole = [point for point in points if point is not None]
    if points and not whole:
        raise InputError(f"{source} has only pieces of vertebrae, no whole body; the scan is of no use here.")
    return tuple(sorted(whole, key=lambda point: point.level))


def _point(piece: _Piece) -> LabelledPoint | None:
    """None for a splinter, for a mask without a body, and for a body that the border of the volume cuts."""
    level, geometry = piece.level, piece.geometry
    if piece.mask.sum() * float(np.prod(geometry.spacing_xyz_mm)) < 1000 * MIN_VOLUME_ML:
        return None
    fine = _on_fine_grid(piece.mask, piece.box, geometry)
    mask = fine.hu > 0.5
    part = mask if level is Level.C1 or not mask.any() else body_mask(mask, level)
    if not part.any():
        return None
    voxels_lps_mm = fine.geometry.lps_from_index_zyx(np.argwhere(part))
    if geometry.border_distance_mm(voxels_lps_mm).min() < CUT_MM:
        return None
    x, y, z = _ring_centre(voxels_lps_mm) if level is Level.C1 else voxels_lps_mm.mean(axis=0)
    return LabelledPoint(level, (float(x), float(y), float(z)))


def _on_fine_grid(mask: Mask, box: tuple[slice, slice, slice], geometry: Geometry) -> Scan:
    """The mask as a fraction 0..1 on the fine grid along L, P, S, with a rim of nothing."""
    padded = np.pad(mask, 1).astype(np.float32)
    corner = geometry.lps_from_index_zyx(np.array([part.start - 1 for part in box], float))
    x, y, z = (float(value) for value in corner)
    grid = Geometry((*padded.shape,), geometry.spacing_xyz_mm, (x, y, z), geometry.direction)
    return prepare(Scan(padded, grid), GRID_MM)


def body_mask(mask: Mask, level: Level) -> Mask:
    """The body within the mask of a vertebra (not C1); both (z, y, x) at 1 mm along L, P, S."""
    if level in (Level.S1, Level.S2):
        mask = mask & _near_middle(mask, S1_HALF_WIDTH_MM)
    depth_mm = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1] * GRID_MM
    radius_mm = (KEPT_SHARE_C2 if level is Level.C2 else KEPT_SHARE) * depth_mm.max()
    cores, count = ndimage.label(depth_mm >= radius_mm)
    solid = ndimage.maximum(depth_mm, cores, np.arange(1, count + 1)) >= SOLID_SHARE * depth_mm.max()
    front = ndimage.mean(np.indices(mask.shape)[1], cores, np.arange(1, count + 1))
    core = cores == 1 + int(np.argmin(np.where(solid, front, np.inf)))
    return mask & (ndimage.distance_transform_edt(~core) * GRID_MM < radius_mm)


def _near_middle(mask: Mask, half_width_mm: float) -> Mask:
    """Slab around the middle of the mask in x; (1, 1, x)."""
    across = np.flatnonzero(mask.any(axis=(0, 1)))
    middle = (across[0] + across[-1]) / 2
    return (np.abs(np.arange(mask.shape[2]) - middle) * GRID_MM <= half_width_mm)[None, None]


def _ring_centre(voxels_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle of the extent in x and y, at the height that the least-squares plane through the ring has there."""
    middle = (voxels_lps_mm[:, :2].min(axis=0) + voxels_lps_mm[:, :2].max(axis=0)) / 2
    terms = np.column_stack([np.ones(len(voxels_lps_mm)), voxels_lps_mm[:, :2] - middle])
    height, *_ = np.linalg.lstsq(terms, voxels_lps_mm[:, 2], rcond=None)
    return np.array([*middle, height[0]])
