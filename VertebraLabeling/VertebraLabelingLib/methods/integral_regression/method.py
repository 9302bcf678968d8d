"""The method: windows over the scan, votes of the network, one candidate per level."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ...core.errors import NothingFoundError
from ...core.fuse import Fused, Votes, kmeans_fusion, weighted_fusion
from ...core.geometry import Points
from ...core.labelling import Evidence
from ...core.prepare import AIR_HU, on_grid
from ...core.progress import Progress, part
from ...core.scan import Scan
from ...core.windows import crop
from ...engines.network import Network, load_network
from ...engines.weights import Weights, fitting
from ..corridor import Corridor, load_corridor, spine_curve
from ..level_evidence import evidence_of
from ..placement import window_starts
from .settings import IntegralSettings, normaliser

if TYPE_CHECKING:
    from torch import nn

CUDA_BATCH = 8


@dataclass(frozen=True)
class Configuration:
    """How the network is used.

    dense: windows over the whole volume with half overlap, else along the spine, `stride_mm` apart.
    fuse: votes and presence threshold -> one position per level.
    """

    dense: bool
    fuse: Callable[[Votes, float], Fused]
    threshold: float
    stride_mm: float = 52.0


CONFIGURATIONS = {
    # below 0.5: the sequence decoder drops what does not fit, but cannot bring back what is not there
    "default": Configuration(dense=False, fuse=weighted_fusion, threshold=0.2),
    "paper": Configuration(dense=True, fuse=kmeans_fusion, threshold=0.5),
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
        configuration: Configuration = CONFIGURATIONS["default"],
        weights_sha256: dict[str, str] | None = None,
    ) -> None:
        self._network, self._settings = network, settings
        self._spine_curve = spine_curve
        self._configuration = configuration
        self.weights_sha256 = weights_sha256 or {}

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        """One candidate per level that some window holds for present; see `Method.find`."""
        progress("finding the spine", 0.0)
        grid = on_grid(scan, self._settings.spacing_mm)
        votes = self._votes(grid, self._starts(scan, grid), part(progress, 0.05, 1.0))
        fused = self._configuration.fuse(votes, self._configuration.threshold)
        if not np.isfinite(fused.positions_lps_mm).any():
            raise NothingFoundError.in_scan(scan.name)
        return evidence_of(fused, self._settings.score_calibration, self._settings.level_temperature)

    def _starts(self, scan: Scan, grid: Scan) -> NDArray[np.int64]:
        """Where the windows go on the network's grid."""
        stride = round(self._configuration.stride_mm / self._settings.spacing_mm)
        curve = None if self._configuration.dense else self._spine_curve(scan)
        return window_starts(grid.geometry, self._settings.window_zyx, stride, curve)

    def _votes(self, grid: Scan, starts: NDArray[np.int64], progress: Progress) -> Votes:
        """What every window says; reports, and may be cancelled, between batches."""
        network_input = normaliser(grid.hu, self._settings)
        presences, voxels = [], []
        for done, hu in self._batches(grid.hu, starts):
            progress("labelling", done / len(starts))
            output = self._network(network_input(hu))
            presences.append(expit(output["presence"].astype(float)))
            voxels.append(output["coordinates"].astype(float))
        progress("labelling", 1.0)
        in_window = np.concatenate(voxels)
        last = np.array(self._settings.window_zyx) - 1
        border = np.minimum(in_window, last - in_window).min(axis=-1)
        lps = grid.geometry.lps_from_index_zyx(in_window + starts[:, None, :])
        return Votes(lps, np.concatenate(presences), border)

    def _batches(self, hu: NDArray[np.float32], starts: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(windows done before, HU (b, z, y, x)): one by one on a CPU, where more gain nothing."""
        settings = self._settings
        size = CUDA_BATCH if self._network.device.startswith("cuda") else 1
        for done in range(0, len(starts), size):
            windows = [crop(hu, start, settings.window_zyx, AIR_HU) for start in starts[done : done + size]]
            yield done, np.stack(windows)


def load(
    weights: Weights, corridor: Weights | Corridor, device: str, config: str, engine: str = "torch"
) -> IntegralRegression:
    """The method ready to run; config is "default" or "paper".  ModelError when the weights do not fit the network."""
    with fitting(weights):
        settings = IntegralSettings.from_metadata(weights.metadata["network"])
    network = load_network(weights, build_network, engine, device)
    loaded_corridor = load_corridor(corridor, device, engine)
    return IntegralRegression(
        network,
        settings,
        lambda scan: spine_curve(scan, loaded_corridor),
        CONFIGURATIONS[config],
        {"integral-regression": weights.sha256, "corridor": corridor.sha256},
    )


def build_network(metadata: Mapping[str, Any]) -> nn.Module:
    """The network of that metadata with random weights."""
    from .network import IntegralRegressionNet

    return IntegralRegressionNet(IntegralSettings.from_metadata(metadata))
