"""The network of Qin et al. with its losses: integral regression and multi-label classification on one encoder.

C. Qin et al., Vertebrae Labeling via End-to-End Integral Regression Localization and Multi-Label Classification
Network, IEEE TNNLS 2020, doi 10.1109/TNNLS.2020.3045601.  Shapes in comments are those of `paper()`, batch left out.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..blocks import rectified
from ..trunk import Decoder, Encoder, convolution
from .settings import LEVELS, IntegralSettings

CLASS_CHANNELS = 32


class IntegralOutput(NamedTuple):
    """Of one batch of windows: presence logits (B, 26), centroids (B, 26, 3) as z, y, x voxel indices."""

    presence: Tensor
    coordinates: Tensor


def integral(logits: Tensor) -> Tensor:
    """Expected voxel index of each map: softmax over the window, then expectation (Qin et al., integral regression).

    logits: (B, levels, z, y, x), neither normalised nor rectified.  Returns (B, levels, 3) as z, y, x indices, fp32
    even under autocast, always inside the window.  Differentiable everywhere.

    Bias: every voxel of the background keeps some mass.  With the share w of the mass spread evenly, the answer is
    (1 - w) x target + w x window centre: pulled to the centre, vanishing only there.  A Gaussian-shaped logit (sd 4
    voxels) of height h in a window of 104x80x80, 39.5 voxels from its centre, is off by

    | h         | 8    | 10   | 12  | 14   | 16   | 20    |
    |-----------|------|------|-----|------|------|-------|
    | in voxels | 30.9 | 16.8 | 4.8 | 0.95 | 0.17 | 0.005 |

    so logits must be free to differ by 16 and more: no GroupNorm and no ReLU behind the last convolution.  A target on
    the window's face loses half of its blob and is read 0.8 standard deviations of the mass inside.
    """
    with torch.autocast(logits.device.type, enabled=False):
        mass = logits.float().flatten(2).softmax(-1).view(logits.shape)
        along = (mass.sum((3, 4)), mass.sum((2, 4)), mass.sum((2, 3)))
        return torch.stack([(m * torch.arange(m.shape[-1], device=m.device)).sum(-1) for m in along], dim=-1)


class Localisation(nn.Module):
    """Encoder features -> one logit map per level, (B, 26, z, y, x)."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.decoder = Decoder(widths)
        self.head = rectified(convolution(widths[0], widths[0], 3))
        # softmax does not see a constant per map: a bias would be a parameter without gradient
        self.maps = nn.Conv3d(widths[0], LEVELS, 1, bias=False)

    def forward(self, features: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """Logits of the localisation branch, bare."""
        return self.maps(self.head(self.decoder(features)[-1]))  # 26x104x80x80


class Classification(nn.Module):
    """Deepest encoder features (B, d, z/8, y/8, x/8) -> presence logits (B, 26)."""

    def __init__(self, settings: IntegralSettings) -> None:
        super().__init__()
        steps, rows, columns = (n // 8 for n in settings.window_zyx)
        features = CLASS_CHANNELS * (rows // 2) * (columns // 2)
        self.convolutions = nn.Sequential(
            rectified(convolution(settings.widths[3], CLASS_CHANNELS, (5, 3, 3))),
            rectified(convolution(CLASS_CHANNELS, CLASS_CHANNELS, 1)),
            nn.MaxPool3d((1, 2, 2)),  # in plane only: every step along z counts for the sequence
        )
        self.lstm = nn.LSTM(features, settings.hidden, num_layers=3, bidirectional=True, batch_first=True)
        self.fully_connected = nn.Linear(2 * settings.hidden * steps, LEVELS)

    def forward(self, deepest: Tensor) -> Tensor:
        """One logit per level: is its centre in the window?"""
        pooled = self.convolutions(deepest)  # 32x13x5x5
        sequence, _ = self.lstm(pooled.transpose(1, 2).flatten(2))  # 13 steps of 800 -> 13 steps of 256
        return self.fully_connected(sequence.flatten(1))


class IntegralRegressionNet(nn.Module):
    """(B, 1, z, y, x) normalised HU -> `IntegralOutput`.

    The centroid of an absent level is unconstrained and looks like any other: only its presence tells.
    """

    def __init__(self, settings: IntegralSettings) -> None:
        super().__init__()
        if any(n % 8 for n in settings.window_zyx):
            raise ValueError(f"window {settings.window_zyx} is not a multiple of 8 voxels along every axis")
        self.settings = settings
        self.encoder = Encoder(1, settings.widths)
        self.localisation = Localisation(settings.widths)
        self.classification = Classification(settings)

    def forward(self, image: Tensor) -> IntegralOutput:
        """Presence logits and centroids of windows of exactly the trained size."""
        features = self.encoder(image)  # 32x104x80x80, 64x52x40x40, 128x26x20x20, 128x13x10x10
        return IntegralOutput(self.classification(features[-1]), integral(self.localisation(features)))


def presence_loss(logits: Tensor, present: Tensor, known: Tensor, positive_weight: float = 3.0) -> Tensor:
    """Eq. (1): weighted binary cross-entropy, summed over levels, mean over windows.

    -sum_n [B u_n log p_n + (1 - u_n) log(1 - p_n)] with u_n = presence and B = `positive_weight`, 2 to 4 in the paper.
    logits, present (bool), known (bool): (B, 26); levels that are not known are left out.
    """
    weight = torch.full_like(logits[0], positive_weight)
    loss = F.binary_cross_entropy_with_logits(logits, present.to(logits.dtype), reduction="none", pos_weight=weight)
    return (loss * known).sum(1).mean()


def regression_loss(coordinates: Tensor, target: Tensor, present: Tensor) -> Tensor:
    """Eq. (2) and (3): smooth L1 of the present levels, summed over levels and axes, mean over windows.

    coordinates, target: (B, 26, 3) in voxels, not in -1..1: the quadratic part (below 1) is meant for less than a
    voxel, and the size balances the presence loss.  present: (B, 26) bool; the target of an absent level may be NaN.
    """
    target = torch.where(present[..., None], target, coordinates.detach())
    loss = F.smooth_l1_loss(coordinates, target, reduction="none")
    return loss.sum((1, 2)).mean()


def total_loss(presence: Tensor, regression: Tensor, regression_weight: float = 0.4) -> Tensor:
    """Eq. (4): presence loss + lambda x regression loss, lambda = 0.4."""
    return presence + regression_weight * regression
