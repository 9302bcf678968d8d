"""The 26 levels at once: the losses of `methods/integral_regression`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from VertebraLabelingLib.methods.integral_regression.network import (
    IntegralRegressionNet,
    presence_loss,
    regression_loss,
    total_loss,
)
from VertebraLabelingLib.methods.integral_regression.settings import LEVELS, IntegralSettings, normaliser

from ..level_channels import known_channels, regular_channels
from ..sampling import Window, WindowSettings
from . import Sample

POSITIVE_WEIGHT = 3.0
REGRESSION_WEIGHT = 0.4


class IntegralRegressionTask:
    """Presence and centroid per level, as in the paper (B = 3, lambda = 0.4)."""

    model_id = "integral-regression"

    def __init__(self, network: dict[str, Any], windows: dict[str, Any]) -> None:
        self.settings = IntegralSettings.from_metadata({**IntegralSettings().to_metadata(), **network})
        self.windows = WindowSettings(self.settings.window_zyx, self.settings.spacing_mm, **windows)

    def build_network(self) -> nn.Module:
        """An `IntegralRegressionNet`."""
        return IntegralRegressionNet(self.settings)

    def metadata(self) -> dict[str, Any]:
        """The settings of the network."""
        return self.settings.to_metadata()

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """image (1, z, y, x), coordinates (26, 3) as z, y, x voxel indices, present (26,) and known (26,) bool.

        T13 and L6 have no channel: the network does not learn from them.
        """
        regular, channels = regular_channels(window.levels)
        points = window.points_mm[regular]
        coordinates, present = torch.zeros(LEVELS, 3), torch.zeros(LEVELS, dtype=torch.bool)
        coordinates[channels] = torch.tensor(points / self.settings.spacing_mm - 0.5, dtype=torch.float32)
        present[channels] = torch.from_numpy(window.present(points))
        known = torch.from_numpy(known_channels(channels))
        known[channels] = torch.from_numpy(~window.doubtful(points))
        image = normaliser(window.hu, self.settings)(window.hu)
        return {"image": image, "coordinates": coordinates, "present": present, "known": known}

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """Eq. (4) and its parts."""
        logits, coordinates = network(batch["image"])
        regression = regression_loss(coordinates, batch["coordinates"], batch["present"])
        return weighted_losses(weighted_presence_loss(logits, batch), regression)


def weighted_presence_loss(logits: Tensor, batch: Sample) -> Tensor:
    """Eq. (1) with the paper's B."""
    return presence_loss(logits, batch["present"], batch["known"], POSITIVE_WEIGHT)


def weighted_losses(presence: Tensor, regression: Tensor) -> dict[str, Tensor]:
    """Eq. (4) with the paper's lambda, and its parts."""
    loss = total_loss(presence, regression, REGRESSION_WEIGHT)
    return {"loss": loss, "presence": presence, "regression": regression}
