"""From a prepared scan to evidence by finding sites and reading a level at each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.labelling import Evidence
from ...core.prepare import on_grid, prepare
from ...core.progress import Progress, part
from ...core.scan import Scan
from ...core.tissue import in_tissue
from ...engines.network import Network, load_network
from ...engines.weights import Weights, fitting
from ..corridor import Corridor, load_corridor, spine_curve
from .look import Look, look_along
from .neck import box_around, find_neck, with_second_look
from .settings import SitesSettings

if TYPE_CHECKING:
    from torch import nn


class Sites:
    """The default method: one centre map, integral regression per site, level logits read at each site.

    network: gives `look.MAPS`, see `network.SitesOutput`.
    """

    name = "sites"

    def __init__(
        self,
        network: Network,
        settings: SitesSettings,
        corridor: Corridor,
        weights_sha256: dict[str, str],
        mirror: bool = True,
    ) -> None:
        self._network, self._settings, self._corridor = network, settings, corridor
        self._mirror = mirror
        self.weights_sha256 = weights_sha256

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        """Candidates of a prepared scan; see `Method`."""
        progress("finding the spine", 0.0)
        curve = spine_curve(scan, self._corridor)
        settings = self._settings
        coarse = self._look(on_grid(scan, settings.spacing_mm), curve, part(progress, 0.05, 0.6))
        first = coarse.evidence()
        neck = find_neck(first) if settings.neck_magnification > 1 else None
        if neck is None or not len(again := neck.part_of(curve)):
            return in_tissue(first, scan)
        spacing_mm = settings.spacing_mm / settings.neck_magnification
        near = box_around(scan, again, np.array(settings.window_zyx) * spacing_mm)
        fine = self._look(prepare(near, spacing_mm), again, part(progress, 0.6, 0.98))
        return in_tissue(with_second_look(first, coarse, fine, neck), scan)

    def _look(self, grid: Scan, curve_lps_mm: NDArray[np.float64], progress: Progress) -> Look:
        return look_along(self._network, grid, curve_lps_mm, self._settings, self._mirror, progress)


def load(weights: Weights, corridor: Weights | Corridor, device: str, config: str, engine: str = "torch") -> Sites:
    """The method ready to run; it has one configuration.  ModelError when the weights do not fit the network."""
    with fitting(weights):
        settings = SitesSettings.from_metadata(weights.metadata["network"])
    network = load_network(weights, build_network, engine, device)
    hashes = {"sites": weights.sha256, "corridor": corridor.sha256}
    return Sites(network, settings, load_corridor(corridor, device, engine), hashes)


def build_network(metadata: Mapping[str, Any]) -> nn.Module:
    """The network of that metadata with random weights."""
    from .network import SitesNet

    return SitesNet(SitesSettings.from_metadata(metadata))
