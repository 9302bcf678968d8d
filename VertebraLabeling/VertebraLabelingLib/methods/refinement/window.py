"""The piece of a scan around a point, as the refinement network sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.prepare import AIR_HU, prepare
from ...core.scan import Scan
from ...core.windows import crop
from ..displacement.patches import Piece
from .settings import RefinementSettings

MARGIN_VOXELS = 2
"""Around what is resampled, because blocks that the end of an array cuts are left out."""


@dataclass(frozen=True)
class ScanAround:
    """A scan on any grid as `local.Surroundings`; its frame is LPS mm."""

    scan: Scan

    def around(self, position_lps_mm: NDArray[np.float64], settings: RefinementSettings) -> Piece:
        """See `window_around`."""
        hu, corner = window_around(self.scan, position_lps_mm, settings)
        return Piece(hu, lambda from_corner_zyx_mm: corner + from_corner_zyx_mm[..., ::-1])

    def contains(self, position_lps_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether positions (..., 3) lie in the scan."""
        return self.scan.geometry.contains_lps(position_lps_mm)


def window_around(
    scan: Scan, position_lps_mm: NDArray[np.float64], settings: RefinementSettings
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """HU (z, y, x) of the window whose middle is within half a voxel of the position, and its lower corner, LPS mm.

    The window's axes are S, P, L, whatever those of the scan are; air where it sticks out of the scan.  Only this piece
    of the scan is resampled, so that fine voxels cost no memory.
    """
    near = prepare(_piece(scan, position_lps_mm, settings), settings.spacing_mm)
    middle = near.geometry.index_zyx_from_lps(position_lps_mm)
    start = np.round(middle - (np.array(settings.window_zyx) - 1) / 2).astype(int)
    return crop(near.hu, start, settings.window_zyx, AIR_HU), near.geometry.lps_from_index_zyx(start - 0.5)


def _piece(scan: Scan, position_lps_mm: NDArray[np.float64], settings: RefinementSettings) -> Scan:
    """The smallest part of the voxels that covers the window and its margin; at least one voxel."""
    half_xyz = settings.extent_zyx_mm[::-1] / 2 + MARGIN_VOXELS * settings.spacing_mm
    signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T
    corners = scan.geometry.index_zyx_from_lps(position_lps_mm + signs * half_xyz)
    shape = np.array(scan.geometry.shape_zyx)
    low = np.clip(np.floor(corners.min(0)).astype(int), 0, shape - 1)
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 1, low + 1, shape)
    return scan.part(low, high)
