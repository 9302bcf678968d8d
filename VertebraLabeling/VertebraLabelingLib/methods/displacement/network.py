"""The fully convolutional network that regresses displacements and classifies presence, patch by patch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..blocks import BasicBlock, normalised
from .settings import DisplacementSettings

_CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True)
class DisplacementOutput:
    """Of a batch of images, on the grid of the cells.

    displacements_mm: (B, landmarks, dimensions, *cells) from the centre of the cell to the landmark, in the order of
    the image axes.  presence: (B, landmarks, *cells) logits.
    """

    displacements_mm: Tensor
    presence: Tensor


class DisplacementNet(nn.Module):
    """(B, channels, *pixels) -> `DisplacementOutput`; sizes are multiples of `DisplacementSettings.cell_pixels`.

    Residual modules as in the paper's ResNet, far fewer of them; GroupNorm(4), as everywhere in this project.
    """

    def __init__(self, settings: DisplacementSettings) -> None:
        super().__init__()
        self.settings = settings
        convolution = _CONVOLUTION[settings.dimensions]
        stages: list[nn.Module] = []
        inputs = settings.channels
        for width in settings.widths:
            # an even kernel keeps pixels aligned with cells, so that mirroring commutes with the halving
            stages += [normalised(convolution(inputs, width, 4, stride=2, padding=1)), nn.ReLU(inplace=True)]
            stages += [_block(convolution, width)]
            inputs = width
        self.body = nn.Sequential(*stages, *(_block(convolution, inputs) for _ in range(settings.blocks)))
        self.displacement = convolution(inputs, settings.landmarks * settings.dimensions, 1)
        self.presence = convolution(inputs, settings.landmarks, 1)
        # rare positives: start near "absent", or the first steps only unlearn a grey map
        nn.init.constant_(self.presence.bias, -3.0)

    def forward(self, image: Tensor) -> DisplacementOutput:
        """What every cell says of every landmark."""
        features = self.body(image)
        settings = self.settings
        displacement = self.displacement(features).float() * settings.cell_mm
        return DisplacementOutput(
            displacement.unflatten(1, (settings.landmarks, settings.dimensions)), self.presence(features).float()
        )


def _block(convolution: type[nn.Conv2d] | type[nn.Conv3d], width: int) -> BasicBlock:
    return BasicBlock(*(normalised(convolution(width, width, 3, padding=1)) for _ in range(2)))
