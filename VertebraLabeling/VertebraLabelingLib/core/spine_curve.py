"""The smooth curve through points that follow each other along the spine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.interpolate import Akima1DInterpolator

SAME_PLACE_MM = 0.1
"""Points that are nearer to each other give no direction."""


def arc_lengths_mm(line_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) length of a polyline (n, 3) from its first point to each of them, mm."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line_mm, axis=0), axis=1))])


def curve_through(positions_mm: NDArray[np.float64]) -> tuple[Akima1DInterpolator | None, NDArray[np.float64]]:
    """Akima's curve of n points (n, 3) in their order, and the arc length (n,) in mm at which each lies.

    Akima's, because it is local and does not swing out where one of the points is misplaced.  The curve maps arc
    lengths (m,), measured along the chords, to positions (m, 3); None where all points lie in one place.
    """
    from scipy.interpolate import Akima1DInterpolator

    arc_mm = arc_lengths_mm(positions_mm)
    _, distinct = np.unique(np.round(arc_mm / SAME_PLACE_MM), return_index=True)
    if len(distinct) < 2:
        return None, arc_mm
    return Akima1DInterpolator(arc_mm[distinct], positions_mm[distinct]), arc_mm
