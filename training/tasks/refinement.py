"""Local refinement: the losses of `methods/refinement`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from VertebraLabelingLib.methods.refinement.local import network_input
from VertebraLabelingLib.methods.refinement.settings import RefinementSettings

from ..sampling import Window, WindowSettings
from . import Sample
from .landmarks import LandmarkTask

REACH_MM = 11.0
"""A centroid farther than this from the middle of the window is not the one that is meant."""
WINDOWS: dict[str, Any] = {
    "jitter_zyx_mm": (6.0, 6.0, 6.0),
    "rotation_deg": 8.0,
    "deformation_mm": 0.7,
    "cut_probability": 0.1,
}
"""A window shows little more than one vertebra: it is placed near its centroid, and bent less than a long one."""


class RefinementTask(LandmarkTask):
    """The displacement of the centroid nearest to the middle of a window, and which patches contain it."""

    model_id = "refinement"

    def __init__(self, network: dict[str, Any], windows: dict[str, Any]) -> None:
        self.settings = RefinementSettings.from_metadata({**RefinementSettings().to_metadata(), **network})
        super().__init__(self.settings.network)
        self.windows = WindowSettings(self.settings.window_zyx, self.settings.spacing_mm, **{**WINDOWS, **windows})

    def metadata(self) -> dict[str, Any]:
        """The settings of the stage."""
        return self.settings.to_metadata()

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """image, displacements and presence; NaN, which does not count, where the truth is not known."""
        image = torch.from_numpy(network_input(window.hu.numpy(), self.settings))
        return {"image": image, **self.targets(window.hu.shape, meant_point(window)[None], is_unknown(window))}


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
