"""Where the windows of a method go on its grid, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.fuse import Fused, Votes, weighted_fusion
from ..core.geometry import Geometry, Points
from ..core.prepare import AIR_HU
from ..core.progress import Progress, silent
from ..core.scan import Scan
from ..core.windows import crop, dense_windows, windows_along


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


def walk(
    hu: NDArray[np.float32],
    starts: NDArray[np.int64],
    window_zyx: tuple[int, int, int],
    progress: Progress = silent,
    at_once: int = 1,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Starts (b, 3) and HU (b, z, y, x) of windows of a volume, in even batches of at most `at_once`; air outside it.

    starts: (n, 3), at least one.  Reports, and may be cancelled, before each batch and after the last one.
    """
    done = 0
    for batch in np.array_split(starts, -(-len(starts) // at_once)):
        progress("labelling", done / len(starts))
        yield batch, np.stack([crop(hu, start, window_zyx, AIR_HU) for start in batch])
        done += len(batch)
    progress("labelling", 1.0)


def border_voxels(index: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
    """Distance (...) of places (..., d), in voxels of a window, to its outermost voxel centres; 0 beyond."""
    return np.minimum(index, np.array(shape) - 1 - index).min(axis=-1).clip(0)


@dataclass(frozen=True)
class LevelWindows:
    """How a network that says of a window where all levels are is used.

    dense: windows over the whole volume with half overlap, else along the spine, at most `stride_mm` apart.
    fuse: votes of the windows and `threshold`, the least presence that counts -> one position per level.
    """

    dense: bool
    threshold: float
    stride_mm: float
    fuse: Callable[[Votes, float], Fused] = weighted_fusion

    def starts(
        self, scan: Scan, grid: Scan, window_zyx: tuple[int, int, int], spine_curve: Callable[[Scan], Points]
    ) -> NDArray[np.int64]:
        """Where the windows of a prepared scan go on a grid; see `window_starts`."""
        stride = round(self.stride_mm / grid.geometry.spacing_xyz_mm[2])
        return window_starts(grid.geometry, window_zyx, stride, None if self.dense else spine_curve(scan))
