"""The 26 levels as landmarks: the losses of the global stage of `methods/global_to_local`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS
from VertebraLabelingLib.methods.displacement.network import DisplacementOutput
from VertebraLabelingLib.methods.displacement.settings import DisplacementSettings
from VertebraLabelingLib.methods.global_to_local.settings import GlobalToLocalSettings
from VertebraLabelingLib.methods.intensity import normalise

from ..displacement import displacement_targets
from ..level_channels import known_channels, regular_channels
from ..sampling import Window, WindowSettings
from . import Sample
from .landmarks import LandmarkTask

ABSENT_LOGIT = -6.5
"""Where the presence starts: a level is in about one of a thousand cells."""


class GlobalToLocalTask(LandmarkTask):
    """The regular levels as landmarks of a window.

    Presence alone learns slowly which of 26 it is, since nearly all of its cells hold none: so the levels also compete,
    in the cells that hold one.  Presence is a mean over all cells and levels; times 400 it is about a sum over cells
    per cell with a vertebra.  Displacement weighs little, because the local stage corrects millimetres but not names;
    that of cells that are not to vote the less, as there are hundreds of them for one that is.
    """

    model_id = "global-to-local"
    WEIGHTS: ClassVar[Mapping[str, float]] = {"displacement": 0.02, "presence": 400.0, "naming": 1.0}
    FAR_WEIGHT = 0.0005

    def __init__(self, network: dict[str, Any], windows: dict[str, Any]) -> None:
        self.settings = GlobalToLocalSettings.from_metadata({**GlobalToLocalSettings().to_metadata(), **network})
        super().__init__(self.settings.network)
        if any(n % self.landmarks.cell_pixels for n in self.settings.window_zyx):
            raise ValueError(f"window_zyx {self.settings.window_zyx} is not a multiple of the cell along every axis")
        self.windows = WindowSettings(self.settings.window_zyx, self.settings.spacing_mm, **windows)

    def build_network(self) -> nn.Module:
        """A `DisplacementNet` of 26 landmarks."""
        network = super().build_network()
        nn.init.constant_(network.presence.bias, ABSENT_LOGIT)
        return network

    def metadata(self) -> dict[str, Any]:
        """The settings of the network."""
        return self.settings.to_metadata()

    def sample(self, window: Window, rng: np.random.Generator) -> Sample:
        """image, displacements (26, 3, *cells) in mm and presence (26, *cells); NaN where nobody knows."""
        unknown = _unknown(window, self.landmarks)
        image = normalise(window.hu, self.settings.hu_ranges)
        return {"image": image, **self.targets(self.settings.window_zyx, _by_level(window), unknown)}

    def terms(self, output: DisplacementOutput, batch: Sample) -> dict[str, Tensor]:
        """Displacement (mm), presence and naming."""
        return {**super().terms(output, batch), "naming": naming_loss(output.presence, batch["presence"])}


def naming_loss(logits: Tensor, presence: Tensor) -> Tensor:
    """Mean cross-entropy of the levels against each other, over the cells that hold one for sure.

    logits, presence: (B, levels, *cells); a cell with several levels wants equal shares of them.
    """
    wanted = presence.flatten(2).transpose(1, 2).flatten(0, 1)  # NaN in a cell makes its total NaN, which is not > 0
    totals = wanted.sum(1)
    chosen = totals > 0
    log_shares = logits.flatten(2).transpose(1, 2).flatten(0, 1)[chosen].log_softmax(1)
    return -(log_shares * wanted[chosen] / totals[chosen, None]).sum() / chosen.sum().clamp(min=1)


def _by_level(window: Window) -> NDArray[np.float64]:
    """(26, 3) centroids in mm from the corner of the window; NaN for a level that is not in view."""
    points = np.full((len(REGULAR_LEVELS), 3), np.nan)
    regular, channels = regular_channels(window.levels)
    points[channels] = np.where(window.present(window.points_mm)[:, None], window.points_mm, np.nan)[regular]
    return points


def _unknown(window: Window, landmarks: DisplacementSettings) -> NDArray[np.bool_]:
    """(26, *cells): where a level may be present without a label.

    Levels just beyond the labelled stretch, around the places where the column may go on; a level that the end of the
    field of view cuts, around its centre; every level, around a vertebra that has no channel (T13, L6).
    """
    cells = [n // landmarks.cell_pixels for n in window.hu.shape]

    def near(points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n, *cells): cells that would hold a landmark at each of the points (n, 3)."""
        return displacement_targets(points_mm, cells, landmarks.cell_mm, landmarks.presence_reach)[1]

    regular, channels = regular_channels(window.levels)
    points = window.points_mm[regular]
    unknown = ~known_channels(channels)[:, None, None, None] & near(window.beyond_mm).any(0)
    doubtful = window.doubtful(points)
    unknown[channels[doubtful]] |= near(points[doubtful])
    return unknown | near(window.points_mm[~regular]).any(0)
