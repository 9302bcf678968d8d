"""Where voxels lie in the patient: array index (z, y, x) to and from LPS millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Geometry:
    """Grid of an image in LPS space.

    shape_zyx: voxels per array axis.  spacing_xyz_mm: voxel size along i, j, k.
    origin_lps_mm: centre of voxel (0, 0, 0).
    direction: (3, 3), column n is the LPS unit vector of image axis i, j, k, as in SimpleITK.
    """

    shape_zyx: tuple[int, int, int]
    spacing_xyz_mm: tuple[float, float, float]
    origin_lps_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        """Voxel size in the order of the array axes."""
        x, y, z = self.spacing_xyz_mm
        return (z, y, x)

    @property
    def extent_zyx_mm(self) -> tuple[float, float, float]:
        """Outer size of the grid, voxel borders included, along the array axes."""
        z, y, x = (n * s for n, s in zip(self.shape_zyx, self.spacing_zyx_mm, strict=True))
        return (z, y, x)

    @property
    def corners_lps_mm(self) -> Points:
        """(8, 3): the corners of the grid, voxel borders included."""
        corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in self.shape_zyx]))
        return self.lps_from_index_zyx(corners.reshape(3, -1).T)

    def _matrix(self) -> Points:
        """(3, 3): LPS displacement of one step along i, j, k (columns)."""
        return np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing_xyz_mm)

    def lps_from_index_zyx(self, index_zyx: Points) -> Points:
        """LPS mm, shape (..., 3), of array indices (..., 3); fractions allowed."""
        ijk = np.asarray(index_zyx, float)[..., ::-1]
        return ijk @ self._matrix().T + np.asarray(self.origin_lps_mm)

    def index_zyx_from_lps(self, points_lps_mm: Points) -> Points:
        """Array indices (..., 3) of LPS points (..., 3); fractional, and outside the grid where the points are."""
        offset = np.asarray(points_lps_mm, float) - np.asarray(self.origin_lps_mm)
        ijk = offset @ np.linalg.inv(self._matrix()).T
        return ijk[..., ::-1]

    def contains_lps(self, points_lps_mm: Points) -> NDArray[np.bool_]:
        """Whether each point (..., 3) lies inside the outer voxel borders."""
        return self.border_distance_mm(points_lps_mm) >= 0

    def border_distance_mm(self, points_lps_mm: Points) -> NDArray[np.float64]:
        """Distance (...) in mm of each point (..., 3) to the nearest outer voxel border, negative outside the grid."""
        from_low = self.index_zyx_from_lps(points_lps_mm) + 0.5
        from_either = np.minimum(from_low, np.asarray(self.shape_zyx) - from_low)
        distance: NDArray[np.float64] = np.min(from_either * np.asarray(self.spacing_zyx_mm), axis=-1)
        return distance
