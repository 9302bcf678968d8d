"""N landmarks of an image, in 2-D or 3-D and at any spacing: what a displacement network learns of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from VertebraLabelingLib.methods.displacement.network import DisplacementNet, DisplacementOutput
from VertebraLabelingLib.methods.displacement.settings import DisplacementSettings

from ..displacement import displacement_loss, displacement_targets
from . import Sample


class LandmarkTask:
    """Displacement from every cell to every landmark, and which cells hold which; the base of tasks with landmarks.

    WEIGHTS: of the losses by name.  FAR_WEIGHT: see `displacement_loss`.
    """

    WEIGHTS: ClassVar[Mapping[str, float]] = {"displacement": 0.2, "presence": 1.0}
    FAR_WEIGHT = 0.005

    def __init__(self, landmarks: DisplacementSettings) -> None:
        self.landmarks = landmarks

    def build_network(self) -> nn.Module:
        """A `DisplacementNet`."""
        return DisplacementNet(self.landmarks)

    def targets(self, pixels: Sequence[int], points_mm: NDArray[np.float64], unknown: ArrayLike = False) -> Sample:
        """displacements (n, d, *cells) in mm and presence (n, *cells) in an image of that size; NaN does not count.

        points_mm: (n, d) from the corner of the image, NaN for what is not in it.  unknown: where nobody knows whether
        a landmark is present, of any shape that goes with that of presence.
        """
        of = self.landmarks
        cells = [n // of.cell_pixels for n in pixels]
        displacements, present = displacement_targets(points_mm, cells, of.cell_mm, of.presence_reach)
        return {
            "displacements": torch.from_numpy(displacements).float(),
            "presence": torch.from_numpy(np.where(unknown, np.nan, present)).float(),
        }

    def loss(self, network: nn.Module, batch: Sample) -> dict[str, Tensor]:
        """The terms, and their weighted sum."""
        terms = self.terms(network(batch["image"]), batch)
        return {**terms, "loss": sum(self.WEIGHTS[name] * value for name, value in terms.items())}

    def terms(self, output: DisplacementOutput, batch: Sample) -> dict[str, Tensor]:
        """The losses by name: displacement (mm) and presence."""
        return displacement_loss(output, batch["displacements"], batch["presence"], self.FAR_WEIGHT)
