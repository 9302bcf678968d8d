"""Training of one variant: the task of the network of Qin et al. with the terms of the branches that are there."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from VertebraLabelingLib.methods.centre_map import centre_loss, centre_targets

from ..sampling import Window
from ..tasks import Sample
from ..tasks.integral_regression import (
    IntegralRegressionTask,
    regression_loss,
    weighted_losses,
    weighted_presence_loss,
)
from .baselines import VARIANTS, HeatMaps, VariantNet

SIGMA_MM = 6.0
"""Width of the Gaussian targets, as in Payer et al. 2020."""


class VariantTask(IntegralRegressionTask):
    """A network of `VARIANTS`, by name."""

    def __init__(self, name: str, network: dict[str, Any], windows: dict[str, Any]) -> None:
        super().__init__(network, windows)
        self.variant = VARIANTS[name]

    def build_network(self) -> VariantNet:
        """The network with random weights."""
        return VariantNet(self.settings, self.variant)

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """As of the task itself, with heat_maps (26, z, y, x) where the variant learns them."""
        sample = super().sample(window, rng)
        if self.variant.localiser is HeatMaps:
            sample["heat_maps"] = self._heat_maps(sample)
        return sample

    def _heat_maps(self, sample: Sample) -> Tensor:
        """One Gaussian at the centroid of each present level, 1 at its top; nothing for the others."""
        shape, spacing = self.settings.window_zyx, self.settings.spacing_mm
        maps = torch.zeros(len(sample["present"]), *shape)
        for channel in sample["present"].nonzero()[:, 0]:
            position = (sample["coordinates"][channel] + 0.5) * spacing
            maps[channel] = centre_targets(position[None], torch.tensor([SIGMA_MM]), shape, spacing)
        return maps

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """Eq. (4) and its parts; a branch that is not there adds nothing."""
        logits, located = cast(VariantNet, network).branches(batch["image"])
        nothing = torch.zeros((), device=batch["image"].device)
        presence = nothing if logits is None else weighted_presence_loss(logits, batch)
        return weighted_losses(presence, nothing if located is None else localisation_loss(located, batch))


def localisation_loss(located: Tensor, batch: Sample) -> Tensor:
    """Eq. (2) and (3) for centroids; for heat maps the focal cross-entropy of all known maps, mean over windows."""
    if "heat_maps" not in batch:
        return regression_loss(located, batch["coordinates"], batch["present"])
    known = batch["known"][..., None, None, None].float()
    return centre_loss(located.float(), batch["heat_maps"], known, len(located))
