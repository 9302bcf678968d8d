"""Where the windows of a method go on its grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.geometry import Geometry, Points
from ..core.windows import dense_windows, windows_along


def window_starts(
    geometry: Geometry, window_zyx: tuple[int, int, int], stride_z: int, curve_lps_mm: Points | None
) -> NDArray[np.int64]:
    """Starts (n, 3) of the windows, voxels z y x of the grid.

    curve_lps_mm: (m, 3) along the spine, with at most `stride_z` voxels from window to window; None: all over the
    volume with half overlap, as the papers do.
    """
    if curve_lps_mm is None:
        return dense_windows(geometry.shape_zyx, window_zyx, overlap=0.5)
    return windows_along(geometry.index_zyx_from_lps(curve_lps_mm), window_zyx, stride_z)
