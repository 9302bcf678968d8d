"""The method: windows over the scan, votes of the network, one candidate per level."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ...core.errors import NothingFoundError
from ...core.fuse import Votes, kmeans_fusion
from ...core.geometry import Points
from ...core.labelling import Evidence
from ...core.prepare import on_grid
from ...core.progress import Progress, part
from ...core.scan import Scan
from ...engines.network import Network
from ...engines.weights import Weights
from ..corridor import Corridor
from ..level_evidence import evidence_of
from ..loading import ready
from ..placement import LevelWindows, border_voxels, walk
from .settings import IntegralSettings, normaliser

if TYPE_CHECKING:
    from torch import nn

CUDA_BATCH = 8


CONFIGURATIONS = {
    # below 0.5: the sequence decoder drops what does not fit, but cannot bring back what is not there
    "default": LevelWindows(dense=False, threshold=0.2, stride_mm=52.0),
    "paper": LevelWindows(dense=True, threshold=0.5, stride_mm=52.0, fuse=kmeans_fusion),
}


class IntegralRegression:
    """The network of Qin et al. on a scan.

    network: gives "presence" and "coordinates", see `network.IntegralOutput`.
    spine_curve: prepared scan -> (m, 3) LPS mm along the spine; raises NothingFoundError where there is none.
    """

    name = "integral-regression"

    def __init__(
        self,
        network: Network,
        settings: IntegralSettings,
        spine_curve: Callable[[Scan], Points],
        configuration: LevelWindows = CONFIGURATIONS["default"],
        weights_sha256: dict[str, str] | None = None,
    ) -> None:
        self._network, self._settings = network, settings
        self._spine_curve = spine_curve
        self._configuration = configuration
        self.weights_sha256 = weights_sha256 or {}

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        """One candidate per level that some window holds for present; see `Method.find`."""
        progress("finding the spine", 0.0)
        grid, use = on_grid(scan, self._settings.spacing_mm), self._configuration
        starts = use.starts(scan, grid, self._settings.window_zyx, self._spine_curve)
        fused = use.fuse(self._votes(grid, starts, part(progress, 0.05, 1.0)), use.threshold)
        if not np.isfinite(fused.positions_lps_mm).any():
            raise NothingFoundError.in_scan(scan.name)
        return evidence_of(fused, self._settings.score_calibration, self._settings.level_temperature)

    def _votes(self, grid: Scan, starts: NDArray[np.int64], progress: Progress) -> Votes:
        """What every window says; one by one on a CPU, where more gain nothing."""
        window_zyx = self._settings.window_zyx
        network_input = normaliser(grid.hu, self._settings)
        at_once = CUDA_BATCH if self._network.device.startswith("cuda") else 1
        presences, voxels = [], []
        for _, hu in walk(grid.hu, starts, window_zyx, progress, at_once):
            output = self._network(network_input(hu))
            presences.append(expit(output["presence"].astype(float)))
            voxels.append(output["coordinates"].astype(float))
        in_window = np.concatenate(voxels)
        lps = grid.geometry.lps_from_index_zyx(in_window + starts[:, None, :])
        return Votes(lps, np.concatenate(presences), border_voxels(in_window, window_zyx))


def load(weights: Weights, corridor: Corridor, device: str, config: str, engine: str = "torch") -> IntegralRegression:
    """The method ready to run; config is "default" or "paper".  ModelError when the weights do not fit the network."""
    network, settings = ready(weights, IntegralSettings, build_network, device, engine)
    hashes = {"integral-regression": weights.sha256, "corridor": corridor.sha256}
    return IntegralRegression(network, settings, corridor.spine_curve, CONFIGURATIONS[config], hashes)


def build_network(metadata: Mapping[str, Any]) -> nn.Module:
    """The network of that metadata with random weights."""
    from .network import IntegralRegressionNet

    return IntegralRegressionNet(IntegralSettings.from_metadata(metadata))
