"""Pieces that the networks of this project are made of, in the plane and in space."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

Convolution = nn.Conv2d | nn.Conv3d
GROUPS = 4


def normalised(convolution: Convolution, groups: int = GROUPS) -> nn.Sequential:
    """Convolution, GroupNorm."""
    return nn.Sequential(convolution, nn.GroupNorm(groups, convolution.out_channels))


def rectified(convolution: Convolution) -> nn.Sequential:
    """Convolution, GroupNorm(4), ReLU."""
    return normalised(convolution).append(nn.ReLU(inplace=True))


class BasicBlock(nn.Module):
    """Basic residual block: a ReLU between two convolutions, a jump around them, a ReLU behind the sum.

    jump: what brings the input to the channels of the second; None where they are the same.
    """

    def __init__(self, first: nn.Module, second: nn.Module, jump: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.second, self.jump = first, second, jump or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Sum of the body and the jump, rectified."""
        return F.relu(self.second(F.relu(self.first(x))) + self.jump(x))
