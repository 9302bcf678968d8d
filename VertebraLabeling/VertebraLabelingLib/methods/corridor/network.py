"""The small network that sees at 8 mm where the spine runs."""

from __future__ import annotations

from torch import Tensor, nn

from ..trunk import Decoder, Encoder, convolution
from .settings import CorridorSettings


class CorridorNet(nn.Module):
    """(B, channels, z, y, x) normalised HU -> (B, z, y, x) logits, high within about 12 mm of the column's axis."""

    def __init__(self, settings: CorridorSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = Encoder(len(settings.hu_ranges), settings.widths)
        self.decoder = Decoder(settings.widths)
        self.head = convolution(settings.widths[0], 1, 1)
        nn.init.constant_(self.head.bias, -3.0)

    def forward(self, image: Tensor) -> Tensor:
        """Dense logits of each window."""
        return self.head(self.decoder(self.encoder(image))[-1])[:, 0].float()
