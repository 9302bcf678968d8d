"""Local refinement: the losses of `methods/refinement`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from VertebraLabelingLib.methods.displacement.network import DisplacementNet
from VertebraLabelingLib.methods.refinement.local import network_input
from VertebraLabelingLib.methods.refinement.settings import RefinementSettings

from ..displacement import displacement_loss, displacement_targets
from ..sampling import Window, WindowSettings
from . import Sample

REACH_MM = 11.0
"""A centroid farther than this from the middle of the window is not the one that is meant."""
WEIGHTS = {"displacement": 0.2, "presence": 1.0}
WINDOWS: dict[str, Any] = {
    "jitter_zyx_mm": (6.0, 6.0, 6.0),
    "rotation_deg": 8.0,
    "deformation_mm": 0.7,
    "cut_probability": 0.1,
}
"""A window shows little more than one vertebra: it is placed near its centroid, and bent less than a long one."""


class RefinementTask:
    """The displacement of the centroid nearest to the middle of a window, and which patches contain it."""

    model_id = "refinement"

    def __init__(self, network: dict[str, Any], windows: dict[str, Any]) -> None:
        self.settings = RefinementSettings.from_metadata({**RefinementSettings().to_metadata(), **network})
        self.windows = WindowSettings(self.settings.window_zyx, self.settings.spacing_mm, **{**WINDOWS, **windows})

    def build_network(self) -> nn.Module:
        """A `DisplacementNet` with one landmark."""
        return DisplacementNet(self.settings.network)

    def metadata(self) -> dict[str, Any]:
        """The settings of the stage."""
        return self.settings.to_metadata()

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """image, displacements and presence; NaN, which does not count, where the truth is not known."""
        network = self.settings.network
        cells = [n // network.cell_pixels for n in self.settings.window_zyx]
        point = meant_point(window)
        displacements, present = displacement_targets(point[None], cells, network.cell_mm, network.presence_reach)
        presence = torch.from_numpy(present).float()
        if is_unknown(window):
            presence[:] = torch.nan
        return {
            "image": torch.from_numpy(network_input(window.hu.numpy(), self.settings)),
            "displacements": torch.from_numpy(displacements).float(),
            "presence": presence,
        }

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """Weighted sum of the displacement (mm) and presence losses."""
        losses = displacement_loss(network(batch["image"]), batch["displacements"], batch["presence"])
        return {**losses, "loss": sum(WEIGHTS[name] * value for name, value in losses.items())}


def meant_point(window: Window) -> np.ndarray:
    """(3,) the visible centroid nearest to the middle of the window; NaN when it is not near, or cut off."""
    distances = _from_middle(window, window.points_mm)
    nearest = int(distances.argmin()) if len(distances) else -1
    if nearest < 0 or distances[nearest] > REACH_MM or not window.present(window.points_mm)[nearest]:
        return np.full(3, np.nan)
    return window.points_mm[nearest]


def is_unknown(window: Window) -> bool:
    """Whether nothing is meant for sure: an unlabelled vertebra or a cut one may be in the middle."""
    if not np.isnan(meant_point(window)).any():
        return False
    doubtful = window.points_mm[window.doubtful(window.points_mm)]
    return bool((_from_middle(window, np.concatenate([window.beyond_mm, doubtful])) < 2 * REACH_MM).any())


def _from_middle(window: Window, points_mm: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points_mm - window.extent_zyx_mm / 2, axis=1)
