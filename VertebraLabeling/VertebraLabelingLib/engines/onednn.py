"""Torch on the CPU with the convolutions of oneDNN, in the order of voxels that they are fast in.

By itself torch takes a slow convolution of its own for single windows, for kernels of one voxel on one thread and for
small grids, and keeps all channels apart, which oneDNN has to reorder before and after each layer.  Without both a
window takes about half of the time; the numbers agree to about 1e-4.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class _Convolution(nn.Module):
    """What an `nn.Conv3d` does, by oneDNN; inference only."""

    def __init__(self, like: nn.Conv3d) -> None:
        super().__init__()
        self.weight = nn.Parameter(like.weight.to(memory_format=torch.channels_last_3d), requires_grad=False)
        self.bias = like.bias
        self._arguments = (like.padding, like.stride, like.dilation, like.groups)

    def forward(self, image: Tensor) -> Tensor:
        """The convolution, channels last."""
        image = image.contiguous(memory_format=torch.channels_last_3d)
        return torch.mkldnn_convolution(image, self.weight, self.bias, *self._arguments)


def for_cpu(module: nn.Module) -> nn.Module:
    """A copy of the module with its 3-D convolutions replaced; itself where this torch has no oneDNN."""
    return _replaced(deepcopy(module)) if torch.backends.mkldnn.is_available() else module


def _replaced(module: nn.Module) -> nn.Module:
    for name, part in module.named_children():
        plain = isinstance(part, nn.Conv3d) and part.padding_mode == "zeros" and not isinstance(part.padding, str)
        setattr(module, name, _Convolution(part) if plain else _replaced(part))
    return module
