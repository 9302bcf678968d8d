"""From a prepared scan to evidence by finding sites and reading a level at each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ...core.anatomy import REGULAR_LEVELS, Level
from ...core.doubles import merge_doubles
from ...core.labelling import Evidence
from ...core.mosaic import Mosaic
from ...core.prepare import AIR_HU, on_grid
from ...core.progress import Progress
from ...core.scan import Scan
from ...core.windows import crop, windows_along
from ..base import fitting
from ..corridor import CorridorNet, load_corridor, spine_curve
from ..intensity import normalise
from .network import SitesNet, SitesOutput, SitesSettings, integral_regression, read_at

if TYPE_CHECKING:
    from ...engines.weights import Weights

STRIDE_MM = 96.0
LEAST_PEAK = 0.08
"""Lower peaks are not even candidates; the sequence decoder weighs the others."""
LEAST_LOG_PROB = -12.0


@dataclass(frozen=True)
class _Read:
    """What one window says of levels; corner_mm: of the window, from the corner of the network's grid, z y x."""

    corner_mm: NDArray[np.float64]
    levels: Tensor


class Sites:
    """The default method: one centre map, integral regression per site, level logits read at each site."""

    name = "sites"

    def __init__(self, network: SitesNet, corridor: CorridorNet, weights_sha256: dict[str, str], mirror: bool = True):
        self._network, self._corridor = network, corridor
        self._mirror = mirror
        self.weights_sha256 = weights_sha256

    @torch.inference_mode()
    def find(self, scan: Scan, progress: Progress) -> Evidence:
        """Candidates of a prepared scan; see `Method`."""
        progress("finding the spine", 0.0)
        curve = spine_curve(scan, self._corridor)
        settings = self._network.settings
        grid = on_grid(scan, settings.spacing_mm)
        starts = self._starts(grid, curve)
        window = tuple(n // 2 for n in settings.window_zyx)
        mosaic = Mosaic(starts // 2, window, channels=2)
        reads = []
        for n, start in enumerate(starts):
            progress("labelling", 0.05 + 0.9 * n / len(starts))
            output = self._run(crop(grid.hu, start, settings.window_zyx, AIR_HU))
            mosaic.add(start // 2, torch.stack([output.centre[0].sigmoid(), output.integral[0]]).cpu().numpy())
            reads.append(_Read(start * settings.spacing_mm, output.levels[0].cpu()))
        progress("labelling", 0.95)
        centre, integral = torch.from_numpy(mosaic.mean())
        sites_mm, scores = find_sites(centre, integral, settings)
        sites_mm = sites_mm + mosaic.origin_zyx * settings.centre_spacing_mm
        level_log_probs = read_levels(sites_mm, reads, settings)
        positions = grid.geometry.lps_from_index_zyx(sites_mm / settings.spacing_mm - 0.5)
        return merge_doubles(Evidence(positions, level_log_probs, scores))

    def _starts(self, grid: Scan, curve_lps_mm: NDArray[np.float64]) -> NDArray[np.int64]:
        """Starts of the windows along the curve, even, so that the centre maps of all windows share one grid."""
        settings = self._network.settings
        index = grid.geometry.index_zyx_from_lps(curve_lps_mm)
        starts = windows_along(index, settings.window_zyx, int(STRIDE_MM / settings.spacing_mm))
        return starts // 2 * 2

    def _run(self, hu: NDArray[np.float32]) -> SitesOutput:
        """The network on one window; with `mirror` the mean of it and its left-right mirror image."""
        device = next(self._network.parameters()).device
        image = normalise(torch.from_numpy(hu).to(device), self._network.settings.hu_ranges)[None]
        output = self._network(image)
        if not self._mirror:
            return output
        other = self._network(image.flip(-1))
        pairs = ((getattr(output, key), getattr(other, key).flip(-1)) for key in ("centre", "integral", "levels"))
        return SitesOutput(*((a + b) / 2 for a, b in pairs))


def find_sites(
    centre: Tensor, integral: Tensor, settings: SitesSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Refined positions (n, 3) z, y, x in mm from the map's corner, and scores (n,), one for each peak.

    centre: (z, y, x) probability.  integral: (z, y, x) logits of the site expectation.
    """
    highest = F.max_pool3d(centre[None], 3, stride=1, padding=1)[0]
    seeds = ((centre == highest) & (centre > LEAST_PEAK)).nonzero()
    slope, offset = settings.score_calibration
    scores = (slope * centre[tuple(seeds.T)].logit(eps=1e-6) + offset).sigmoid()
    refined = integral_regression(integral, seeds, settings.integral_radius_mm, settings.centre_spacing_mm)
    return refined.numpy().astype(float).reshape(-1, 3), scores.numpy().astype(float)


def read_levels(sites_mm: NDArray[np.float64], reads: list[_Read], settings: SitesSettings) -> NDArray[np.float64]:
    """(n, 28) log-probabilities: the windows' opinions, weighted by how central the site is in each."""
    extent = np.array(settings.window_zyx) * settings.spacing_mm
    total = np.zeros((len(sites_mm), settings.levels))
    weights = np.full((len(sites_mm), 1), 1e-9)
    for read in reads:
        local = sites_mm - read.corner_mm
        border = np.minimum(local, extent - local)[:, 0] / (extent[0] / 2)
        weight = np.clip(border, 0, 1)[:, None] ** 2
        logits = read_at(
            read.levels, torch.tensor(local, dtype=torch.float32), torch.tensor(extent, dtype=torch.float32)
        )
        total += weight * logits.log_softmax(1).numpy()
        weights += weight
    return _all_levels(total / weights)


def _all_levels(regular: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 26) -> (n, 28), normalised; the decoder gives T13 and L6 the likeness of their neighbours."""
    log_probs = np.full((len(regular), len(Level)), LEAST_LOG_PROB)
    log_probs[:, list(REGULAR_LEVELS)] = np.maximum(regular, LEAST_LOG_PROB)
    return log_probs - np.log(np.exp(log_probs).sum(1, keepdims=True))


def load(weights: Weights, corridor: Weights, device: str, config: str) -> Sites:
    """The method ready to run; it has one configuration.  ModelError when the weights do not fit the network."""
    with fitting(weights):
        network = SitesNet(SitesSettings.from_metadata(weights.metadata["network"]))
        network.load_state_dict(weights.state_dict)
    hashes = {"sites": weights.sha256, "corridor": corridor.sha256}
    return Sites(network.to(device).eval(), load_corridor(corridor, device), hashes)
