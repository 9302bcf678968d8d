"""From a prepared scan to evidence by finding sites and reading a level at each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.geometry import Points
from ...core.labelling import Evidence
from ...core.prepare import on_grid, prepare
from ...core.progress import Progress, part
from ...core.scan import Scan
from ...core.tissue import in_tissue
from ...engines.network import Network
from ...engines.weights import Weights
from ..corridor import Corridor
from ..loading import ready
from .look import Look, look_along
from .neck import box_around, find_neck, with_second_look
from .settings import SitesSettings

if TYPE_CHECKING:
    from torch import nn


class Sites:
    """The default method: one centre map, integral regression per site, level logits read at each site.

    network: gives `look.MAPS`, see `network.SitesOutput`.
    spine_curve: prepared scan -> (m, 3) LPS mm along the spine; raises NothingFoundError where there is none.
    """

    name = "sites"

    def __init__(
        self,
        network: Network,
        settings: SitesSettings,
        spine_curve: Callable[[Scan], Points],
        weights_sha256: dict[str, str] | None = None,
        mirror: bool = True,
    ) -> None:
        self._network, self._settings = network, settings
        self._spine_curve, self._mirror = spine_curve, mirror
        self.weights_sha256 = weights_sha256 or {}

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        """Candidates of a prepared scan; see `Method`."""
        progress("finding the spine", 0.0)
        curve = self._spine_curve(scan)
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


def load(weights: Weights, corridor: Corridor, device: str, config: str, engine: str = "torch") -> Sites:
    """The method ready to run; it has one configuration.  ModelError when the weights do not fit the network."""
    network, settings = ready(weights, SitesSettings, build_network, device, engine)
    return Sites(network, settings, corridor.spine_curve, {"sites": weights.sha256, "corridor": corridor.sha256})


def build_network(metadata: Mapping[str, Any]) -> nn.Module:
    """The network of that metadata with random weights."""
    from .network import SitesNet

    return SitesNet(SitesSettings.from_metadata(metadata))
