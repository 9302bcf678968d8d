"""One network for both tasks of Wu et al. on a projection: where centroids are, and which level is where.

A residual encoder of our own (basic blocks, GroupNorm) takes the place of the authors' ResNet50, and both tasks share
it and a U-Net decoder.  Even strides keep the grids cell-centred: pixel n of a grid at 1/s covers pixels s n to
s (n + 1) - 1 of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..blocks import BasicBlock, normalised
from .settings import MultiViewSettings

LEVELS = 26
GROUPS = 8
DEEP_BLOCKS = 3
SQUARE_POINTS = 3
"""A square is read at 3x3 points: the grid of the levels is about as fine."""


@dataclass(frozen=True)
class MultiViewOutput:
    """Of one batch of projections.

    heat: (B, h, w) logits on the grid of the image, high at centroids.  levels: (B, 26, h/2, w/2) logits.
    """

    heat: Tensor
    levels: Tensor


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias and GroupNorm; an even kernel is for a stride of 2."""
    return normalised(nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False), GROUPS)


def residual(inputs: int, outputs: int) -> BasicBlock:
    """Block of two convolutions 3x3: (B, inputs, h, w) -> (B, outputs, h, w)."""
    jump = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)
    return BasicBlock(convolution(inputs, outputs), convolution(outputs, outputs), jump)


class Encoder(nn.Module):
    """(B, channels, h, w) -> features at 1/2, 1/4, ... of the grid with `widths` channels, finest first."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = convolution(inputs, widths[0], kernel=4, stride=2)
        self.finest = residual(widths[0], widths[0])
        self.stages = nn.ModuleList(residual(fine, coarse) for fine, coarse in pairwise(widths))
        self.deep = nn.Sequential(*(residual(widths[-1], widths[-1]) for _ in range(DEEP_BLOCKS - 1)))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of each stage."""
        features = [self.finest(F.relu(self.stem(images)))]
        for stage in self.stages:
            features.append(stage(F.max_pool2d(features[-1], 2)))
        features[-1] = self.deep(features[-1])
        return features


class Decoder(nn.Module):
    """Features of `Encoder` -> features at 1/2 of the grid with widths[0] channels; skips are added."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.stages = nn.ModuleList(residual(fine, fine) for fine in widths[:-1])

    def forward(self, features: list[Tensor]) -> Tensor:
        """From the coarsest stage to the finest."""
        x = features[-1]
        for narrow, stage, skip in zip(reversed(self.narrow), reversed(self.stages), features[-2::-1], strict=True):
            x = F.interpolate(narrow(x), size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = stage(x + skip)
        return x


class MultiViewNet(nn.Module):
    """Projections (B, channels, h, w) -> `MultiViewOutput`; sizes are multiples of 2 to the number of widths."""

    def __init__(self, settings: MultiViewSettings) -> None:
        super().__init__()
        cells = 2 ** len(settings.widths)
        if any(n % cells for n in settings.image_hw) or any(n % GROUPS for n in settings.widths):
            raise ValueError(f"images must be multiples of {cells} pixels, and widths of {GROUPS}")
        self.settings = settings
        width = settings.widths[0]
        self.encoder = Encoder(len(settings.attenuation_ranges), settings.widths)
        self.decoder = Decoder(settings.widths)
        self.heat_head = nn.Sequential(convolution(width, width), nn.ReLU(), nn.Conv2d(width, 4, 1), nn.PixelShuffle(2))
        self.level_head = nn.Sequential(residual(width, 2 * width), nn.Conv2d(2 * width, LEVELS, 1))
        # rare positives: start near the background, or the first steps only unlearn a grey map
        nn.init.constant_(self.heat_head[2].bias, -3.0)

    def forward(self, images: Tensor) -> MultiViewOutput:
        """Dense logits of each projection."""
        features = self.decoder(self.encoder(images))
        return MultiViewOutput(self.heat_head(features)[:, 0].float(), self.level_head(features).float())


def read_squares(levels: Tensor, centres_rc: Tensor, settings: MultiViewSettings) -> Tensor:
    """Level logits in the squares around centroids, (B, n, 26, points): levels (B, 26, h', w'), bilinear.

    centres_rc: (B, n, 2) row and column in pixels of the image, whole numbers at the middle of pixels.
    """
    steps = (torch.arange(SQUARE_POINTS, device=levels.device) + 0.5) / SQUARE_POINTS - 0.5
    offsets = torch.cartesian_prod(steps, steps) * (settings.square_mm / settings.pixel_mm)
    size = torch.tensor(settings.image_hw, device=levels.device)
    grid = (2 * (centres_rc[:, :, None] + offsets + 0.5) / size - 1).flip(-1)
    read = F.grid_sample(levels, grid.to(levels.dtype), align_corners=False, padding_mode="border")
    return read.transpose(1, 2)


def square_probabilities(levels: Tensor, centres_rc: Tensor, settings: MultiViewSettings) -> Tensor:
    """Probability of each level for each centroid, (B, n, 26): the mean over its square; see `read_squares`."""
    return read_squares(levels, centres_rc, settings).softmax(2).mean(-1)
