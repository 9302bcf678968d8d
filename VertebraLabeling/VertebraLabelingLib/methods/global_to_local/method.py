"""The method: the 26 regular levels as landmarks, in windows along the spine, then the local refinement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import NothingFoundError
from ...core.geometry import Geometry, Points
from ...core.labelling import Evidence
from ...core.prepare import on_grid
from ...core.progress import Progress, part
from ...core.scan import Scan
from ...engines.network import Network
from ...engines.weights import Weights
from ..corridor import Corridor
from ..displacement.patches import Patches, Piece
from ..displacement.settings import DisplacementSettings
from ..intensity import normalise
from ..level_evidence import evidence_of
from ..loading import ready
from ..placement import LevelWindows, walk
from ..refinement import load_shipped
from ..refinement.local import LocalStage
from ..refinement.window import ScanAround
from .landmarks import GlobalStage, Landmarks
from .settings import GlobalToLocalSettings

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Configuration(LevelWindows):
    """Also which patches vote, see `fuse_votes`, and whether windows are seen mirrored as well."""

    least_presence: float = 0.0
    radius_mm: float = np.inf
    mirror: bool = False

    def global_stage(self, network: Network, settings: GlobalToLocalSettings) -> GlobalStage:
        """The global network as it is used on the windows of a scan."""
        patches = Patches(network, settings.network, self.mirror, self.least_presence, self.radius_mm)
        return GlobalStage(patches, partial(normalise, hu_ranges=settings.hu_ranges), self.fuse, self.threshold)


CONFIGURATIONS = {
    # below 0.5: the sequence decoder drops what does not fit, but cannot bring back what is not there
    "default": Configuration(
        dense=False, threshold=0.15, stride_mm=96.0, least_presence=0.05, radius_mm=12.0, mirror=True
    ),
    "paper": Configuration(dense=True, threshold=0.5, stride_mm=96.0),
}


@dataclass(frozen=True)
class SpineImage(ScanAround):
    """A prepared scan as `LandmarkImage`; its frame is LPS mm.

    place: grid of the network -> starts (n, 3) of the windows of `window_zyx` voxels on it.
    """

    window_zyx: tuple[int, int, int]
    place: Callable[[Scan], NDArray[np.int64]]

    def windows(self, settings: DisplacementSettings) -> list[Piece]:
        """HU of the windows."""
        grid = on_grid(self.scan, settings.spacing_mm)
        steps = walk(grid.hu, self.place(grid), self.window_zyx)
        return [_piece(grid.geometry, start, hu, settings.spacing_mm) for (start,), (hu,) in steps]


def _piece(geometry: Geometry, start: NDArray[np.int64], hu: NDArray[np.float32], spacing_mm: float) -> Piece:
    return Piece(hu, lambda from_corner_mm: geometry.lps_from_index_zyx(start - 0.5 + from_corner_mm / spacing_mm))


class GlobalToLocal:
    """The landmarks of a spine.

    network: gives "displacements_mm" and "presence", see `displacement.network.DisplacementOutput`.
    spine_curve: prepared scan -> (m, 3) LPS mm along the spine; raises NothingFoundError where there is none.
    local: the local stage, one for all levels because they look alike; none leaves the global positions.
    """

    name = "global-to-local"

    def __init__(
        self,
        network: Network,
        settings: GlobalToLocalSettings,
        spine_curve: Callable[[Scan], Points],
        local: Sequence[LocalStage] = (),
        configuration: Configuration = CONFIGURATIONS["default"],
        weights_sha256: dict[str, str] | None = None,
    ) -> None:
        self._settings, self._spine_curve, self._configuration = settings, spine_curve, configuration
        self._landmarks = Landmarks(configuration.global_stage(network, settings), local)
        self.weights_sha256 = weights_sha256 or {}

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        """One candidate per level that some window holds for present; see `Method.find`."""
        progress("finding the spine", 0.0)
        settings, starts = self._settings, self._configuration.starts
        image = SpineImage(
            scan, settings.window_zyx, lambda grid: starts(scan, grid, settings.window_zyx, self._spine_curve)
        )
        fused = self._landmarks.find(image, part(progress, 0.05, 1.0))
        if not np.isfinite(fused.positions_lps_mm).any():
            raise NothingFoundError.in_scan(scan.name)
        return evidence_of(fused, settings.score_calibration, settings.level_temperature)


def load(weights: Weights, corridor: Corridor, device: str, config: str, engine: str = "torch") -> GlobalToLocal:
    """The method ready to run; config is "default" or "paper".  ModelError when weights are missing or do not fit."""
    network, settings = ready(weights, GlobalToLocalSettings, build_network, device, engine)
    refinement = load_shipped(device, engine)
    hashes = {"global-to-local": weights.sha256, "corridor": corridor.sha256, **refinement.weights_sha256}
    return GlobalToLocal(network, settings, corridor.spine_curve, [refinement.stage], CONFIGURATIONS[config], hashes)


def build_network(metadata: Mapping[str, Any]) -> nn.Module:
    """The network of that metadata with random weights."""
    from ..displacement.network import DisplacementNet

    return DisplacementNet(GlobalToLocalSettings.from_metadata(metadata).network)
