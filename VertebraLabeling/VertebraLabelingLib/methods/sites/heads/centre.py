"""Where is a vertebra of any level, and where exactly is its centre: two maps of one small head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...blocks import rectified
from ...trunk import convolution

_RARE = -3.0
"""First bias: positives are rare; without it the first steps only unlearn a grey map."""


class CentreHead(nn.Sequential):
    """Features (B, width, z, y, x) -> logits (B, 2, z, y, x): of being a body centre, and of the site expectation.

    The second map is weighed around each candidate by `integral.integral_regression`.
    """

    def __init__(self, width: int) -> None:
        super().__init__(rectified(convolution(width, width // 2, 3)), convolution(width // 2, 2, 1))
        nn.init.constant_(self[-1].bias, _RARE)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(centre, integral), each (B, z, y, x) in single precision."""
        centre, integral = torch.unbind(super().forward(features).float(), 1)
        return centre, integral
