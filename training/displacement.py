"""Targets and losses of displacement networks: any number of landmarks, 2-D and 3-D."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from VertebraLabelingLib.methods.displacement.network import DisplacementOutput
from VertebraLabelingLib.methods.displacement.votes import cell_centres_mm

Floats = NDArray[np.float64]


def displacement_targets(
    points_mm: Floats, cells: Sequence[int], cell_mm: float, reach: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """What the cells should say of landmarks (n, d) in mm from the image's corner; NaN: not in the image.

    Returns displacements (n, d, *cells) in mm, NaN where there is nothing to regress, and presences (n, *cells): the
    landmark is at most `reach` cells from the cell's centre along every axis.
    """
    points = np.asarray(points_mm, float)
    displacements = points.reshape(*points.shape, *[1] * len(cells)) - cell_centres_mm(cells, cell_mm)
    present = (np.abs(displacements) <= reach * cell_mm).all(axis=1)
    return displacements, present


def displacement_loss(
    output: DisplacementOutput, displacements_mm: Tensor, presence: Tensor, far_weight: float = 0.005
) -> dict[str, Tensor]:
    """ "displacement": mean smooth L1 in mm; "presence": mean binary cross-entropy.

    displacements_mm: (B, n, d, *cells), NaN where there is none.  presence: (B, n, *cells) in 0..1, NaN where it must
    not count.  far_weight: of the displacement of a cell that is not to vote, against 1 of one that is; the others are
    hardly ever used, and they are many.
    """
    known = ~displacements_mm.isnan().any(2)
    weight = known * (far_weight + presence.nan_to_num())
    distance = F.smooth_l1_loss(output.displacements_mm, displacements_mm.nan_to_num(), reduction="none").sum(2)
    counted = ~presence.isnan()
    entropy = F.binary_cross_entropy_with_logits(output.presence, presence.nan_to_num(), reduction="none")
    return {
        "displacement": (weight * distance).sum() / weight.sum().clamp(min=1.0),
        "presence": (counted * entropy).sum() / counted.sum().clamp(min=1),
    }
