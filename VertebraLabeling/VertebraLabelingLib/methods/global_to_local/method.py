"""The method: the 26 regular levels as landmarks, in windows along the spine, then the local refinement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import NothingFoundError
from ...core.fuse import Fused
from ...core.geometry import Points
from ...core.labelling import Evidence
from ...core.prepare import AIR_HU, on_grid
from ...core.progress import Progress, part
from ...core.scan import Scan
from ...core.windows import crop
from ...engines.network import Network, load_network
from ...engines.weights import Weights, fitting, load_model
from ..corridor import Corridor, load_corridor, spine_curve
from ..displacement.patches import Patches, Piece
from ..intensity import normalise
from ..level_evidence import evidence_of
from ..placement import window_starts
from ..refinement import Refinement
from ..refinement import load as load_refinement
from .landmarks import GlobalStage
from .settings import GlobalToLocalSettings

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Configuration:
    """How the network is used.

    dense: windows over the whole volume with half overlap, else along the spine, `stride_mm` apart.
    threshold: least presence of a level.  least_presence, radius_mm: which patches vote, see `fuse_votes`.
    mirror: windows are seen mirrored as well.
    """

    dense: bool
    threshold: float
    least_presence: float
    radius_mm: float
    mirror: bool
    stride_mm: float = 96.0


CONFIGURATIONS = {
    # below 0.5: the sequence decoder drops what does not fit, but cannot bring back what is not there
    "default": Configuration(dense=False, threshold=0.15, least_presence=0.05, radius_mm=12.0, mirror=True),
    "paper": Configuration(dense=True, threshold=0.5, least_presence=0.0, radius_mm=np.inf, mirror=False),
}


class GlobalToLocal:
    """The global network on a scan, and the local stage.

    network: gives "displacements_mm" and "presence", see `displacement.network.DisplacementOutput`.
    spine_curve: prepared scan -> (m, 3) LPS mm along the spine; raises NothingFoundError where there is none.
    refinement: the local stage; None leaves the global positions.
    """

    name = "global-to-local"

    def __init__(
        self,
        network: Network,
        settings: GlobalToLocalSettings,
        spine_curve: Callable[[Scan], Points],
        refinement: Refinement | None = None,
        configuration: Configuration = CONFIGURATIONS["default"],
        weights_sha256: dict[str, str] | None = None,
    ) -> None:
        self._settings, self._spine_curve = settings, spine_curve
        self._refinement, self._configuration = refinement, configuration
        self._stage = _global_stage(network, settings, configuration)
        self.weights_sha256 = weights_sha256 or {}

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        """One candidate per level that some window holds for present; see `Method.find`."""
        progress("finding the spine", 0.0)
        grid = on_grid(scan, self._settings.spacing_mm)
        windows = [self._window(grid, start) for start in self._starts(scan, grid)]
        fused = self._stage.find(windows, part(progress, 0.05, 0.8))
        if not np.isfinite(fused.positions_lps_mm).any():
            raise NothingFoundError.in_scan(scan.name)
        refined = self._refined(scan, fused, part(progress, 0.8, 1.0))
        return evidence_of(refined, self._settings.score_calibration, self._settings.level_temperature)

    def _starts(self, scan: Scan, grid: Scan) -> NDArray[np.int64]:
        """Where the windows go on the network's grid."""
        stride = round(self._configuration.stride_mm / self._settings.spacing_mm)
        curve = None if self._configuration.dense else self._spine_curve(scan)
        return window_starts(grid.geometry, self._settings.window_zyx, stride, curve)

    def _window(self, grid: Scan, start: NDArray[np.int64]) -> Piece:
        """HU of a window; its frame is LPS mm."""
        spacing_mm, geometry = self._settings.spacing_mm, grid.geometry
        hu = crop(grid.hu, start, self._settings.window_zyx, AIR_HU)
        return Piece(hu, lambda from_corner_mm: geometry.lps_from_index_zyx(start - 0.5 + from_corner_mm / spacing_mm))

    def _refined(self, scan: Scan, fused: Fused, progress: Progress) -> Fused:
        """The positions after the local stage; two names for one vertebra may meet in its middle."""
        if self._refinement is None:
            return fused
        found = np.flatnonzero(np.isfinite(fused.positions_lps_mm[:, 0]))
        positions = fused.positions_lps_mm.copy()
        positions[found] = self._refinement.positions(scan, positions[found], progress, may_meet=True)
        return replace(fused, positions_lps_mm=positions)


def _global_stage(network: Network, settings: GlobalToLocalSettings, configuration: Configuration) -> GlobalStage:
    use = configuration
    patches = Patches(network, settings.network, use.mirror, use.least_presence, use.radius_mm)
    return GlobalStage(patches, partial(normalise, hu_ranges=settings.hu_ranges), threshold=use.threshold)


def load(
    weights: Weights, corridor: Weights | Corridor, device: str, config: str, engine: str = "torch"
) -> GlobalToLocal:
    """The method ready to run; config is "default" or "paper".  ModelError when weights are missing or do not fit."""
    with fitting(weights):
        settings = GlobalToLocalSettings.from_metadata(weights.metadata["network"])
    network = load_network(weights, build_network, engine, device)
    loaded_corridor = load_corridor(corridor, device, engine)
    refinement = load_refinement(load_model("refinement"), device, engine)
    return GlobalToLocal(
        network,
        settings,
        lambda scan: spine_curve(scan, loaded_corridor),
        refinement,
        CONFIGURATIONS[config],
        {"global-to-local": weights.sha256, "corridor": loaded_corridor.sha256, **refinement.weights_sha256},
    )


def build_network(metadata: Mapping[str, Any]) -> nn.Module:
    """The network of that metadata with random weights."""
    from ..displacement.network import DisplacementNet

    return DisplacementNet(GlobalToLocalSettings.from_metadata(metadata).network)
