"""Finding and naming apart, on the residual trunk of Qin et al.

One centre map for all levels, integral regression in the neighbourhood of each candidate (a *site*), and level logits
that are read at the sites from a wide context; each head has a file of its own in `heads`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..trunk import Decoder, Encoder
from .heads.centre import CentreHead
from .heads.column import ColumnHead
from .heads.level import LevelHead
from .settings import SitesSettings


@dataclass(frozen=True)
class SitesOutput:
    """Of one batch of windows.

    centre: (B, z/2, y/2, x/2) logits, high at body centres.  integral: same shape, the logits of the site expectation.
    levels: (B, levels, z/4, y/4, x/4) logits.
    """

    centre: Tensor
    integral: Tensor
    levels: Tensor


class SitesNet(nn.Module):
    """(B, channels, z, y, x) normalised HU -> `SitesOutput`; window sizes are multiples of 16 voxels."""

    def __init__(self, settings: SitesSettings) -> None:
        super().__init__()
        a, b, _, _ = settings.widths
        self.settings = settings
        self.encoder = Encoder(len(settings.hu_ranges), settings.widths, stem_stride=2)
        self.decoder = Decoder(settings.widths)
        self.centre_head = CentreHead(a)
        self.level_head = LevelHead(b, settings.levels)
        self.column_head = ColumnHead(settings.levels) if settings.column_head else None

    def forward(self, image: Tensor) -> SitesOutput:
        """Dense logits of each window."""
        _, half, full = self.decoder(self.encoder(image))
        return SitesOutput(*self.centre_head(full), self.level_head(half))
