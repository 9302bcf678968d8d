"""Finding and naming: the losses of `methods/sites`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from VertebraLabelingLib.core.anatomy import Level, Region
from VertebraLabelingLib.methods.centre_map import centre_loss, centre_targets, centre_weight
from VertebraLabelingLib.methods.intensity import normalise
from VertebraLabelingLib.methods.sites.heads.integral import integral_regression
from VertebraLabelingLib.methods.sites.heads.level import read_at
from VertebraLabelingLib.methods.sites.network import SitesNet, SitesOutput
from VertebraLabelingLib.methods.sites.settings import SitesSettings

from ..column_loss import column_loss
from ..level_channels import CHANNEL
from ..sampling import Window, WindowSettings
from . import Sample

SIGMA_MM = {Region.CERVICAL: 4.0, Region.THORACIC: 5.0, Region.LUMBAR: 6.0, Region.SACRAL: 5.0}
"""Width of the centre map where nothing else is asked for, however large the vertebra is drawn."""
SIGMA_RANGE_MM = (3.0, 8.0)
"""Of widths that follow the spacing: a peak is never narrower than a voxel of the map nor wider than a body."""
IGNORED_RADIUS_MM = 14.0
MOST_SITES = 24
SEED_JITTER_MM = 2.5
READ_JITTER_MM = 3.0
NEIGHBOUR_SMOOTHING = 0.05
WEIGHTS = {"centre": 0.2, "position": 0.1, "level": 1.0, "ordered": 1.0}

_SIGMAS = np.array([SIGMA_MM[level.region] for level in Level], np.float32)


class SitesTask:
    """Centre map, integral regression per site, level at each site.

    Of `network`, these are of the losses only.  column_weight: of `column_loss`.  sigma_per_spacing: width of the
    centre map as a share of the distance to the neighbouring bodies in the window, so that it follows scale and
    magnification; 0 for `SIGMA_MM`.
    """

    model_id = "sites"

    def __init__(self, network: dict[str, Any], windows: dict[str, Any]) -> None:
        network = dict(network)
        self.column_weight = float(network.pop("column_weight", 0.0))
        self.sigma_per_spacing = float(network.pop("sigma_per_spacing", 0.0))
        self.settings = SitesSettings.from_metadata({**SitesSettings().to_metadata(), **network})
        self.windows = WindowSettings(self.settings.window_zyx, self.settings.spacing_mm, **windows)

    def build_network(self) -> nn.Module:
        """A `SitesNet`."""
        return SitesNet(self.settings)

    def metadata(self) -> dict[str, Any]:
        """The settings of the network."""
        return self.settings.to_metadata()

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """image, centre target and its weight, and up to `MOST_SITES` sites with their channel (-1: none)."""
        spacing = self.settings.centre_spacing_mm
        shape = tuple(n // 2 for n in self.settings.window_zyx)
        present = window.present(window.points_mm)
        points, levels = window.points_mm[present], window.levels[present]
        doubtful = window.points_mm[window.doubtful(window.points_mm)]
        sigmas = centre_sigmas_mm(window.levels, window.points_mm, self.sigma_per_spacing)[present]
        target = centre_targets(torch.tensor(points), torch.tensor(sigmas), shape, spacing)
        ignored = np.concatenate([window.beyond_mm, doubtful])
        weight = centre_weight(target, torch.tensor(ignored), IGNORED_RADIUS_MM, spacing) * window.labelled
        sites, channels = torch.zeros(MOST_SITES, 3), torch.full((MOST_SITES,), -1)
        sites[: len(points)] = torch.tensor(points[:MOST_SITES], dtype=torch.float32)
        channels[: len(points)] = torch.tensor(CHANNEL[levels[:MOST_SITES]])
        image = normalise(window.hu, self.settings.hu_ranges)
        return {"image": image, "target": target, "weight": weight, "sites": sites, "channels": channels}

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """Weighted sum of the centre, position (mm) and level losses."""
        return self.losses(network, network(batch["image"]), batch)

    def losses(self, network: nn.Module, output: SitesOutput, batch: Sample) -> dict[str, Tensor]:
        """The same of what the network said of the batch; the network is asked for its column head only."""
        valid = batch["channels"] >= 0
        count = max(1, int(valid.sum()))
        centre = centre_loss(output.centre, batch["target"].float(), batch["weight"].float(), count)
        position = torch.stack([self._position_loss(output, batch, valid, n) for n in range(len(valid))]).sum() / count
        read = [self._read(output, batch, valid, n) for n in range(len(valid))]
        level = torch.stack([_named_loss(logits, channels) for logits, _, channels in read]).sum() / count
        column = torch.stack([column_loss(logits, channels) for logits, _, channels in read]).mean()
        losses = {"centre": centre, "position": position, "level": level, "column": column}
        if (head := network.column_head) is not None:
            ordered = [_named_loss(head(logits, sites), channels) for logits, sites, channels in read]
            losses["ordered"] = torch.stack(ordered).sum() / count
        weights = {**WEIGHTS, "column": self.column_weight}
        return {**losses, "loss": sum(weights[name] * value for name, value in losses.items())}

    def _position_loss(self, output: SitesOutput, batch: Sample, valid: Tensor, n: int) -> Tensor:
        """Sum over the sites of the distance in mm (smooth L1 per axis) after the integral regression."""
        sites = batch["sites"][n][valid[n]]
        seeds = (sites + torch.randn_like(sites) * SEED_JITTER_MM) / self.settings.centre_spacing_mm
        return F.smooth_l1_loss(self.places_mm(output, n, seeds.floor().long()), sites, reduction="sum")

    def _read(self, output: SitesOutput, batch: Sample, valid: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Level logits read near the sites of one window, the sites (mm, cranio-caudal), and their true channels."""
        sites, channels = batch["sites"][n][valid[n]], batch["channels"][n][valid[n]]
        return self.names_near(output, n, sites), sites, channels

    def places_mm(self, output: SitesOutput, n: int, seeds_voxel: Tensor) -> Tensor:
        """(m, 3) mm from the corner of window n: the integral regression around voxels (m, 3)."""
        radius_mm, spacing_mm = self.settings.integral_radius_mm, self.settings.centre_spacing_mm
        return integral_regression(output.integral[n], seeds_voxel, radius_mm, spacing_mm)

    def names_at(self, output: SitesOutput, n: int, sites_mm: Tensor) -> Tensor:
        """(m, levels) logits of window n at sites (m, 3) in mm."""
        extent = torch.tensor(self.windows.extent_zyx_mm, dtype=torch.float32, device=sites_mm.device)
        return read_at(output.levels[n], sites_mm, extent)

    def names_near(self, output: SitesOutput, n: int, sites_mm: Tensor) -> Tensor:
        """The same at places near the sites, as inference does not find them exactly."""
        return self.names_at(output, n, sites_mm + torch.randn_like(sites_mm) * READ_JITTER_MM)


def centre_sigmas_mm(
    levels: NDArray[np.int64], points_mm: NDArray[np.float64], per_spacing: float
) -> NDArray[np.float32]:
    """(n,) widths of the centre map at points (n, 3) of a column, cranio-caudal.

    per_spacing: times the mean distance to the neighbours, within `SIGMA_RANGE_MM`; 0, or without a neighbour: by
    region.
    """
    if per_spacing == 0 or len(points_mm) < 2:
        return _SIGMAS[levels]
    steps = np.linalg.norm(np.diff(points_mm, axis=0), axis=1)
    spacing = (np.append(steps, steps[-1]) + np.insert(steps, 0, steps[0])) / 2
    return np.clip(per_spacing * spacing, *SIGMA_RANGE_MM).astype(np.float32)


def _named_loss(logits: Tensor, channels: Tensor) -> Tensor:
    """Sum over the sites of the cross-entropy smoothed to the neighbours."""
    return F.cross_entropy(logits, _smoothed(channels, logits.shape[1]), reduction="sum")


def _smoothed(channels: Tensor, count: int) -> Tensor:
    """(n, count) target distributions: most on the level, `NEIGHBOUR_SMOOTHING` on each neighbour."""
    target = F.one_hot(channels, count).float()
    padded = F.pad(target, (1, 1))
    return target * (1 - 2 * NEIGHBOUR_SMOOTHING) + NEIGHBOUR_SMOOTHING * (padded[:, 2:] + padded[:, :-2])
