"""SimSiam (Chen and He, 2021) on several views of one thing: embeddings that agree, without negative pairs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDED = 512
"""Size of an embedding; the predictor narrows it to a quarter."""
GAIN_SD, OFFSET_SD, NOISE_SD = 0.2, 0.2, 0.05
"""Change of the intensities of an image, whose own standard deviation is 1."""
LEAST_CROP = 0.75


class SimSiam(nn.Module):
    """Images (N, C, h, w) -> projections z and predictions p, both (N, EMBEDDED).

    encoder: images -> list of features, of which the last (N, width, h', w') is averaged.  The heads normalise over
    the batch, as the method needs, and always by this batch: they are thrown away afterwards.
    """

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = nn.Sequential(
            *_hidden(width, EMBEDDED), *_hidden(EMBEDDED, EMBEDDED), nn.Linear(EMBEDDED, EMBEDDED, bias=False),
            nn.BatchNorm1d(EMBEDDED, affine=False, track_running_stats=False),
        )  # fmt: skip
        self.predictor = nn.Sequential(*_hidden(EMBEDDED, EMBEDDED // 4), nn.Linear(EMBEDDED // 4, EMBEDDED))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Of each image."""
        projections = self.projector(self.encoder(images)[-1].mean((2, 3)))
        return projections, self.predictor(projections)


def _hidden(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """A layer of a head."""
    normalised = nn.BatchNorm1d(outputs, track_running_stats=False)
    return nn.Linear(inputs, outputs, bias=False), normalised, nn.ReLU()


def pairs_loss(predictions: Tensor, projections: Tensor) -> Tensor:
    """Negative cosine between the prediction of a view and the projection of another view of the same thing.

    predictions, projections: (B, K, n).  The mean over all pairs, -1 at best; no gradient through the projections.
    """
    similar = F.normalize(predictions, dim=-1) @ F.normalize(projections.detach(), dim=-1).transpose(1, 2)
    views = similar.shape[1]
    others = similar.sum() - similar.diagonal(dim1=1, dim2=2).sum()
    return -others / (len(similar) * views * (views - 1))


def embedding_spread(projections: Tensor) -> Tensor:
    """How much the directions of (..., n) differ: 1 when they are all over the sphere, 0 when they are all the same."""
    directions = F.normalize(projections.detach(), dim=-1).flatten(0, -2)
    return directions.std(0, correction=0).mean() * directions.shape[1] ** 0.5


def augmented(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Images (K, C, h, w), each cropped and put back to its size, with other contrast and a little noise."""
    number = len(images)
    scale = rng.uniform(LEAST_CROP, 1, number)
    shift = rng.uniform(-1, 1, (number, 2)) * (1 - scale[:, None])
    crop = np.zeros((number, 2, 3), np.float32)
    crop[:, 0, 0] = crop[:, 1, 1] = scale
    crop[:, :, 2] = shift
    grid = F.affine_grid(torch.from_numpy(crop), list(images.shape), align_corners=False)
    cropped = F.grid_sample(images, grid, align_corners=False, padding_mode="border")
    gain, offset = np.exp(rng.normal(0, GAIN_SD, images.shape[:2])), rng.normal(0, OFFSET_SD, images.shape[:2])
    noise = rng.normal(0, NOISE_SD, images.shape).astype(np.float32)
    return cropped * _per_channel(gain) + _per_channel(offset) + torch.from_numpy(noise)


def _per_channel(values: np.ndarray) -> Tensor:
    """(K, C) as (K, C, 1, 1)."""
    return torch.tensor(values[:, :, None, None], dtype=torch.float32)
