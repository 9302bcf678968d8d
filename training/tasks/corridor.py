"""Where the spine runs: the loss of `methods/corridor`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from VertebraLabelingLib.methods.centre_map import centre_loss, centre_targets
from VertebraLabelingLib.methods.corridor.network import CorridorNet, CorridorSettings
from VertebraLabelingLib.methods.intensity import normalise

from ..sampling import Window, WindowSettings
from . import Sample

SIGMA_MM = 11.0
IGNORED_RADIUS_MM = 26.0
STEP = 0.25


class CorridorTask:
    """A tube along the column's axis."""

    model_id = "corridor"

    def __init__(self, network: dict[str, Any], windows: dict[str, Any]) -> None:
        self.settings = CorridorSettings.from_metadata({**CorridorSettings().to_metadata(), **network})
        self.windows = WindowSettings(self.settings.window_zyx, self.settings.spacing_mm, **windows)

    def build_network(self) -> nn.Module:
        """A `CorridorNet`."""
        return CorridorNet(self.settings)

    def metadata(self) -> dict[str, Any]:
        """The settings of the network."""
        return self.settings.to_metadata()

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """image, tube and its weight; the surroundings of unlabelled continuations weigh nothing."""
        spacing, shape = self.settings.spacing_mm, self.settings.window_zyx
        axis = _axis(window.points_mm)
        low, high = window.visible_z_mm
        axis = axis[(axis[:, 0] > low) & (axis[:, 0] < high)]
        target = _tube(axis, SIGMA_MM, shape, spacing)
        ignored = _tube(window.beyond_mm, IGNORED_RADIUS_MM, shape, spacing) > np.exp(-0.5)
        weight = 1 - (ignored & (target < 0.5)).float()
        return {"image": normalise(window.hu, self.settings.hu_ranges), "target": target, "weight": weight}

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """Focal cross-entropy against the tube."""
        voxels = max(1, int((batch["target"] > 0.5).sum()))
        return {"loss": centre_loss(network(batch["image"]), batch["target"], batch["weight"], voxels)}


def _axis(points_mm: np.ndarray) -> np.ndarray:
    """Points along the polyline through the centroids (n, 3), going on for half a spacing at both ends."""
    if len(points_mm) < 2:
        return points_mm
    position = np.arange(-0.5, len(points_mm) - 0.5 + STEP / 2, STEP)
    extended = np.concatenate([[2 * points_mm[0] - points_mm[1]], points_mm, [2 * points_mm[-1] - points_mm[-2]]])
    return np.stack([np.interp(position, np.arange(-1, len(points_mm) + 1), column) for column in extended.T], axis=1)


def _tube(centres_mm: np.ndarray, sigma_mm: float, shape_zyx: tuple[int, ...], spacing_mm: float) -> Tensor:
    """(z, y, x) map in 0..1 that falls off from the points with `sigma_mm`."""
    return centre_targets(
        torch.tensor(centres_mm), torch.full((len(centres_mm),), sigma_mm), shape_zyx, spacing_mm
    ).float()
