"""One look of the network at a scan, at one voxel size, along a stretch of the spine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ...core.doubles import merge_doubles
from ...core.geometry import Geometry
from ...core.labelling import Evidence
from ...core.mosaic import Mosaic
from ...core.progress import Progress
from ...core.scan import Scan
from ...engines.network import Network
from ..both_sides import Maps, seen_from_both_sides
from ..intensity import normalise
from ..placement import walk, window_starts
from .reading import Read, find_sites, read_levels
from .settings import SitesSettings

STRIDE_MM = 96.0
"""Of the windows, at the voxels that the network was trained for."""
MAPS = ("centre", "integral", "levels")


@dataclass(frozen=True)
class Look:
    """The sites found, and what the windows say of levels anywhere.

    geometry: of the grid looked at.  positions_lps_mm: (n, 3).  scores: (n,).
    """

    geometry: Geometry
    settings: SitesSettings
    positions_lps_mm: NDArray[np.float64]
    scores: NDArray[np.float64]
    reads: list[Read]

    def levels_at(self, positions_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(m, 28) log-probabilities at any positions (m, 3)."""
        sites_mm = (self.geometry.index_zyx_from_lps(positions_lps_mm) + 0.5) * self.settings.spacing_mm
        return read_levels(sites_mm, self.reads, self.settings)

    def evidence(self) -> Evidence:
        """The sites with their levels, doubles merged."""
        return merge_doubles(Evidence(self.positions_lps_mm, self.levels_at(self.positions_lps_mm), self.scores))


def look_along(
    network: Network,
    grid: Scan,
    curve_lps_mm: NDArray[np.float64],
    settings: SitesSettings,
    mirror: bool,
    progress: Progress,
) -> Look:
    """Look at a scan, on a grid of any voxel size, through windows along a curve (n, 3).

    network: gives `MAPS`, see `network.SitesOutput`.  Whatever the true size of a voxel, the network takes it for one
    of `settings.spacing_mm`: smaller voxels make a magnifying glass.
    """
    starts = _starts(grid.geometry, curve_lps_mm, settings)
    mosaic = Mosaic(starts // 2, tuple(n // 2 for n in settings.window_zyx), channels=2)
    reads = []
    for (start,), hu in walk(grid.hu, starts, settings.window_zyx, progress):
        image = normalise(hu, settings.hu_ranges)
        maps = _both_sides(network, image) if mirror else network(image)
        mosaic.add(start // 2, np.concatenate([expit(maps["centre"]), maps["integral"]]))
        reads.append(Read(start * settings.spacing_mm, maps["levels"][0]))
    sites_mm, scores = find_sites(*mosaic.mean(), settings)
    sites_mm = sites_mm + mosaic.origin_zyx * settings.centre_spacing_mm
    positions = grid.geometry.lps_from_index_zyx(sites_mm / settings.spacing_mm - 0.5)
    return Look(grid.geometry, settings, positions, scores, reads)


def _starts(geometry: Geometry, curve_lps_mm: NDArray[np.float64], settings: SitesSettings) -> NDArray[np.int64]:
    """Starts of the windows along the curve, even, so that the centre maps of all windows share one grid."""
    stride = int(STRIDE_MM / settings.spacing_mm)
    return window_starts(geometry, settings.window_zyx, stride, curve_lps_mm) // 2 * 2


def _both_sides(network: Network, image: NDArray[np.float32]) -> Maps:
    """The mean of what the network says of a window and of its left-right mirror image."""
    one, other = seen_from_both_sides(network, image)
    return {name: (one[name] + other[name]) / 2 for name in MAPS}
