"""The network of Qin et al. with one part exchanged or left out; everything else is that of the method itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from VertebraLabelingLib.methods.blocks import rectified
from VertebraLabelingLib.methods.integral_regression.network import (
    CLASS_CHANNELS,
    Classification,
    IntegralOutput,
    Localisation,
    integral,
)
from VertebraLabelingLib.methods.integral_regression.settings import LEVELS, IntegralSettings
from VertebraLabelingLib.methods.trunk import Encoder, convolution

FULLY_CONNECTED = 256
"""Hidden units of the coordinate head."""
RARE = -4.0
"""First logit of a heat map: peaks are rare, and from a grey map the first steps would only unlearn the grey."""
CERTAIN = 20.0
"""Presence logit of every level where no branch judges presence."""


class Integral(Localisation):
    """Encoder features -> centroids (B, 26, 3) as z, y, x voxel indices, as in the paper."""

    def __init__(self, settings: IntegralSettings) -> None:
        super().__init__(settings.widths)

    def forward(self, features: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """Expectations of the softmax of the maps."""
        return integral(super().forward(features))


class HeatMaps(Localisation):
    """Encoder features -> logits of one Gaussian heat map per level, (B, 26, z, y, x)."""

    def __init__(self, settings: IntegralSettings) -> None:
        super().__init__(settings.widths)
        # unlike the softmax, the sigmoid sees a constant per map
        self.background = nn.Parameter(torch.full((LEVELS, 1, 1, 1), RARE))

    def forward(self, features: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """Logits, near `RARE` before any training."""
        return super().forward(features) + self.background


class FullyConnected(nn.Module):
    """Encoder features -> centroids (B, 26, 3) as z, y, x voxel indices, without any map.

    Convolution on the deepest features, two fully connected layers; the answer 0 is the centre of the window.
    """

    def __init__(self, settings: IntegralSettings) -> None:
        super().__init__()
        voxels = int(torch.tensor(settings.window_zyx).div(8, rounding_mode="floor").prod())
        self.convolution = rectified(convolution(settings.widths[3], CLASS_CHANNELS, 3))
        self.layers = nn.Sequential(
            nn.Linear(CLASS_CHANNELS * voxels, FULLY_CONNECTED), nn.ReLU(), nn.Linear(FULLY_CONNECTED, 3 * LEVELS)
        )
        self.register_buffer("middle", torch.tensor(settings.window_zyx) / 2, persistent=False)

    def forward(self, features: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """Centroids, not confined to the window."""
        answer = self.layers(self.convolution(features[-1]).flatten(1)).unflatten(1, (LEVELS, 3))
        return (answer + 1) * self.middle - 0.5


class WithoutLstm(Classification):
    """The classifier with its Bi-LSTM taken out: pooled convolution features straight into the last layer."""

    def __init__(self, settings: IntegralSettings) -> None:
        super().__init__(settings)
        self.fully_connected = nn.Linear(self.lstm.input_size * (settings.window_zyx[0] // 8), LEVELS)
        del self.lstm

    def forward(self, deepest: Tensor) -> Tensor:
        """Deepest encoder features -> presence logits (B, 26)."""
        return self.fully_connected(self.convolutions(deepest).flatten(1))


def argmax(maps: Tensor) -> Tensor:
    """Index of the highest voxel of each map: (B, levels, z, y, x) -> (B, levels, 3) as z, y, x; no gradient."""
    highest = maps.flatten(2).argmax(-1)
    return torch.stack(torch.unravel_index(highest, maps.shape[2:]), dim=-1).float()


def _as_it_is(coordinates: Tensor) -> Tensor:
    return coordinates


@dataclass(frozen=True)
class Variant:
    """Which branches the encoder has; None: left out.

    localiser: encoder features -> what the loss is made of.  read: that -> centroids (B, 26, 3).
    classifier: deepest features -> presence logits.
    """

    localiser: Callable[[IntegralSettings], nn.Module] | None
    classifier: Callable[[IntegralSettings], nn.Module] | None
    read: Callable[[Tensor], Tensor] = _as_it_is


VARIANTS = {
    "joint": Variant(Integral, Classification),
    "heat-map": Variant(HeatMaps, Classification, argmax),
    "fully-connected": Variant(FullyConnected, Classification),
    "without-lstm": Variant(Integral, WithoutLstm),
    "localisation-only": Variant(Integral, None),
    "classification-only": Variant(None, Classification),
}
"""By name; "joint" is the network of the paper, parameter for parameter."""


class VariantNet(nn.Module):
    """(B, 1, z, y, x) normalised HU -> presence logits (B, 26), centroids (B, 26, 3): as `IntegralRegressionNet`.

    Without a classifier every level is certain; without a localiser every centroid is NaN.
    """

    def __init__(self, settings: IntegralSettings, variant: Variant) -> None:
        super().__init__()
        self.settings, self.read = settings, variant.read
        self.encoder = Encoder(1, settings.widths)
        self.localisation = variant.localiser(settings) if variant.localiser else None
        self.classification = variant.classifier(settings) if variant.classifier else None

    def branches(self, image: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """What the losses need: presence logits and the localiser's own output; None for a branch left out."""
        features = self.encoder(image)
        logits = self.classification(features[-1]) if self.classification else None
        return logits, self.localisation(features) if self.localisation else None

    def forward(self, image: Tensor) -> IntegralOutput:
        """What inference needs."""
        logits, located = self.branches(image)
        size = len(image), LEVELS
        logits = image.new_full(size, CERTAIN) if logits is None else logits
        nowhere = image.new_full((*size, 3), float("nan"))
        return IntegralOutput(logits, nowhere if located is None else self.read(located))
