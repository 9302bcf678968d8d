"""Finding and naming: the losses of `methods/sites`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from VertebraLabelingLib.core.anatomy import Level, Region
from VertebraLabelingLib.methods.centre_map import centre_loss, centre_targets, centre_weight
from VertebraLabelingLib.methods.intensity import normalise
from VertebraLabelingLib.methods.sites.network import (
    SitesNet,
    SitesOutput,
    SitesSettings,
    integral_regression,
    read_at,
)

from ..column_loss import column_loss
from ..level_channels import CHANNEL
from ..sampling import Window, WindowSettings
from . import Sample

SIGMA_MM = {Region.CERVICAL: 4.0, Region.THORACIC: 5.0, Region.LUMBAR: 6.0, Region.SACRAL: 5.0}
IGNORED_RADIUS_MM = 14.0
MOST_SITES = 24
SEED_JITTER_MM = 2.5
READ_JITTER_MM = 3.0
NEIGHBOUR_SMOOTHING = 0.05
WEIGHTS = {"centre": 0.2, "position": 0.1, "level": 1.0}

_SIGMAS = np.array([SIGMA_MM[level.region] for level in Level], np.float32)


class SitesTask:
    """Centre map, integral regression per site, level at each site."""

    model_id = "sites"

    def __init__(self, network: dict[str, Any], windows: dict[str, Any]) -> None:
        network = dict(network)
        self.column_weight = float(network.pop("column_weight", 0.0))
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
        target = centre_targets(torch.tensor(points), torch.tensor(_SIGMAS[levels]), shape, spacing)
        ignored = np.concatenate([window.beyond_mm, doubtful])
        weight = centre_weight(target, torch.tensor(ignored), IGNORED_RADIUS_MM, spacing)
        sites, channels = torch.zeros(MOST_SITES, 3), torch.full((MOST_SITES,), -1)
        sites[: len(points)] = torch.tensor(points[:MOST_SITES], dtype=torch.float32)
        channels[: len(points)] = torch.tensor(CHANNEL[levels[:MOST_SITES]])
        image = normalise(window.hu, self.settings.hu_ranges)
        return {"image": image, "target": target, "weight": weight, "sites": sites, "channels": channels}

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """Weighted sum of the centre, position (mm) and level losses."""
        output: SitesOutput = network(batch["image"])
        valid = batch["channels"] >= 0
        count = max(1, int(valid.sum()))
        centre = centre_loss(output.centre, batch["target"].float(), batch["weight"].float(), count)
        position = torch.stack([self._position_loss(output, batch, valid, n) for n in range(len(valid))]).sum() / count
        named = [self._level_losses(output, batch, valid, n) for n in range(len(valid))]
        level = torch.stack([of_sites for of_sites, _ in named]).sum() / count
        column = torch.stack([of_column for _, of_column in named]).mean()
        losses = {"centre": centre, "position": position, "level": level, "column": column}
        weights = {**WEIGHTS, "column": self.column_weight}
        return {**losses, "loss": sum(weights[name] * value for name, value in losses.items())}

    def _position_loss(self, output: SitesOutput, batch: Sample, valid: Tensor, n: int) -> Tensor:
        """Sum over the sites of the distance in mm (smooth L1 per axis) after the integral regression."""
        sites = batch["sites"][n][valid[n]]
        spacing = self.settings.centre_spacing_mm
        seeds = ((sites + torch.randn_like(sites) * SEED_JITTER_MM) / spacing).floor().long()
        found = integral_regression(output.integral[n], seeds, self.settings.integral_radius_mm, spacing)
        return F.smooth_l1_loss(found, sites, reduction="sum")

    def _level_losses(self, output: SitesOutput, batch: Sample, valid: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Sum over the sites of the cross-entropy smoothed to the neighbours, and the column's loss."""
        sites, channels = batch["sites"][n][valid[n]], batch["channels"][n][valid[n]]
        extent = torch.tensor(self.windows.extent_zyx_mm, dtype=torch.float32, device=sites.device)
        logits = read_at(output.levels[n], sites + torch.randn_like(sites) * READ_JITTER_MM, extent)
        of_sites = F.cross_entropy(logits, _smoothed(channels, logits.shape[1]), reduction="sum")
        return of_sites, column_loss(logits, channels)


def _smoothed(channels: Tensor, count: int) -> Tensor:
    """(n, count) target distributions: most on the level, `NEIGHBOUR_SMOOTHING` on each neighbour."""
    target = F.one_hot(channels, count).float()
    padded = F.pad(target, (1, 1))
    return target * (1 - 2 * NEIGHBOUR_SMOOTHING) + NEIGHBOUR_SMOOTHING * (padded[:, 2:] + padded[:, :-2])
