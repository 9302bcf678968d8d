"""Where the spine runs: a small network at 8 mm, then the best path through its map.

Every method puts its windows along this curve, which is 10 to 20 times cheaper than covering the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ...core.errors import NothingFoundError
from ...core.mosaic import Mosaic
from ...core.path import best_path
from ...core.prepare import prepare
from ...core.scan import Scan
from ...core.windows import crop, dense_windows
from ...engines.network import Network
from ...engines.weights import Weights
from ..intensity import normalise
from ..loading import ready
from ..placement import walk
from .settings import CorridorSettings

if TYPE_CHECKING:
    from torch import nn

SEEN = 0.35
"""Map value along the path above which a slice is taken to show the spine."""
SHORTEST_MM = 24.0
"""Less spine than this is less than one lumbar vertebra."""
REFINING_VOXELS = 2
SMOOTHING_SLICES = 5
MOST_WINDOWS = 8
"""At once: together they take half of the time, and these are small."""


@dataclass
class Corridor:
    """The network, ready to run, with what it was trained for.

    sha256: of its weights, "" where they have no file.  last: the scan looked at last and its curve, so that methods
    that share the corridor find the spine of a scan once.
    """

    network: Network
    settings: CorridorSettings
    sha256: str = ""
    last: tuple[ReferenceType[Scan], NDArray[np.float64]] | None = field(default=None, repr=False)

    def spine_curve(self, scan: Scan) -> NDArray[np.float64]:
        """Axis of the visible column as LPS points (m, 3), cranio-caudal, about 8 mm apart.

        Of the scan that was seen last it is known already.  Raises NothingFoundError when no spine is in view.
        """
        if self.last is None or self.last[0]() is not scan:
            self.last = ref(scan), _found_curve(scan, self)
        return self.last[1].copy()


def load_corridor(weights: Weights, device: str, engine: str = "torch") -> Corridor:
    """The network of a weight file, ready to run; ModelError when the weights do not fit."""
    return Corridor(*ready(weights, CorridorSettings, build_network, device, engine), weights.sha256)


def build_network(metadata: Mapping[str, Any]) -> nn.Module:
    """The network of that metadata with random weights."""
    from .network import CorridorNet

    return CorridorNet(CorridorSettings.from_metadata(metadata))


def _found_curve(scan: Scan, corridor: Corridor) -> NDArray[np.float64]:
    coarse = prepare(scan, corridor.settings.spacing_mm)
    curve = curve_in_map(spine_map(coarse, corridor))
    if len(curve) * corridor.settings.spacing_mm < SHORTEST_MM:
        raise NothingFoundError(
            f"No spine was found in '{scan.name}'. The scan must show at least one vertebra; check that it is a CT "
            "of the neck, chest, abdomen or pelvis and that its orientation is right."
        )
    return coarse.geometry.lps_from_index_zyx(curve)[::-1]


def spine_map(coarse: Scan, corridor: Corridor) -> NDArray[np.float32]:
    """(z, y, x) probability of being near the column's axis; overlapping windows averaged."""
    settings = corridor.settings
    starts = dense_windows(coarse.hu.shape, settings.window_zyx, overlap=0.3)
    mosaic = Mosaic(starts, settings.window_zyx, channels=1)
    for batch, hu in walk(coarse.hu, starts, settings.window_zyx, at_once=MOST_WINDOWS):
        maps = expit(corridor.network(normalise(hu, settings.hu_ranges))["output"])
        for start, window in zip(batch, maps, strict=True):
            mosaic.add(start, window[None])
    # windows stick out of a scan that is smaller than they are
    return crop(mosaic.mean()[0], -mosaic.origin_zyx, coarse.hu.shape, 0.0)


def curve_in_map(probability: NDArray[np.float32]) -> NDArray[np.float64]:
    """(m, 3) fractional voxel indices z, y, x of the column's axis, by rising z; empty when nothing is seen.

    The best path through all slices, cut to where the map is high, refined to the centre of mass around it.
    """
    path = best_path(probability)
    along = probability[np.arange(len(path)), path[:, 0], path[:, 1]]
    seen = np.flatnonzero(along > SEEN)
    if len(seen) == 0:
        return np.empty((0, 3))
    span = np.arange(seen[0], seen[-1] + 1)
    refined = np.array([_centre_of_mass(probability[z], path[z]) for z in span])
    return np.column_stack([span, _smoothed(refined)])


def _centre_of_mass(plane: NDArray[np.float32], voxel_yx: NDArray[np.int64]) -> NDArray[np.float64]:
    """Centre of mass (y, x) of a plane around a voxel."""
    low = np.maximum(voxel_yx - REFINING_VOXELS, 0)
    high = np.minimum(voxel_yx + REFINING_VOXELS + 1, plane.shape)
    patch = plane[low[0] : high[0], low[1] : high[1]].astype(float) + 1e-6
    y, x = np.indices(patch.shape)
    return low + np.array([(patch * y).sum(), (patch * x).sum()]) / patch.sum()


def _smoothed(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moving average along the curve, shorter at its ends."""
    half = SMOOTHING_SLICES // 2
    reach = [min(half, n, len(points) - 1 - n) for n in range(len(points))]
    return np.array([points[n - r : n + r + 1].mean(0) for n, r in enumerate(reach)])
