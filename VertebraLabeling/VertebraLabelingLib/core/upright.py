"""Linear interpolation onto a grid along L, P, S from one whose axes run along them as well, as those of most CTs do.

One axis after the other, plane by plane: a third of the time of SimpleITK's filter, which serves any direction, and
without its copies of the volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .geometry import Geometry
from .scan import Scan, Voxels

_TIE = 1e-6
_MOST_LEAN = 1e-5
"""Share of a step along an axis that goes elsewhere: 5 micrometres over 500 mm."""


def is_upright(geometry: Geometry) -> bool:
    """Whether every axis of the array runs along L, P or S, up or down, in any order."""
    along = np.sort(np.abs(np.reshape(geometry.direction, (3, 3))), axis=0)
    return bool((along[:2] <= _MOST_LEAN).all())


def resampled_upright(scan: Scan, grid: Geometry, fill: float) -> NDArray[np.float32]:
    """The scan, which `is_upright`, on the points of an LPS grid; `fill` beyond its outer voxel borders."""
    order = 2 - np.abs(np.reshape(scan.geometry.direction, (3, 3))).argmax(axis=1)[::-1]
    source = scan.hu.transpose(order)
    ends = scan.geometry.index_zyx_from_lps(grid.lps_from_index_zyx(np.array([[0, 0, 0], grid.shape_zyx])))
    sides = zip(ends[:, order].T, grid.shape_zyx, source.shape, strict=True)
    along_z, along_y, along_x = (_Line.between(low, high, n, count) for (low, high), n, count in sides)
    hu = np.full(grid.shape_zyx, fill, np.float32)
    for z in np.flatnonzero(along_z.inside):
        hu[z] = along_x.mixed(along_y.mixed(along_z.plane(source, int(z)), 0), 1)
    hu[:, ~along_y.inside] = fill
    hu[:, :, ~along_x.inside] = fill
    return hu


@dataclass(frozen=True)
class _Line:
    """Where the points of the new grid lie along one axis of the old one.

    lower, upper: the neighbours of each point.  share: of the upper one, float32.  inside: not beyond the voxel border.
    """

    lower: NDArray[np.intp]
    upper: NDArray[np.intp]
    share: NDArray[np.float32]
    inside: NDArray[np.bool_]

    @classmethod
    def between(cls, first: float, end: float, points: int, voxels: int) -> _Line:
        """first, end: old indices of the first new point and of the one behind the last."""
        index = first + (end - first) / points * np.arange(points)
        held = np.clip(index, 0, voxels - 1)
        lower = np.floor(held).astype(np.intp)
        inside = (index > -0.5 - _TIE) & (index < voxels - 0.5 - _TIE)  # a last point on the border is outside
        return cls(lower, np.minimum(lower + 1, voxels - 1), (held - lower).astype(np.float32), inside)

    def plane(self, volume: Voxels, n: int) -> NDArray[np.float32]:
        """Between two planes of a volume."""
        share = self.share[n]
        return volume[self.lower[n]] * (1 - share) + volume[self.upper[n]] * share

    def mixed(self, plane: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        """A plane with its rows (axis 0) or columns (1) at the points."""
        share = self.share[:, None] if axis == 0 else self.share
        lower, upper = plane.take(self.lower, axis), plane.take(self.upper, axis)
        upper -= lower
        upper *= share
        upper += lower
        return upper
