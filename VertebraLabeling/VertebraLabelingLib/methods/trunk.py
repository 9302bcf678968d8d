"""The residual hourglass of Qin et al. (section II-B, Fig. 2), shared by all networks of this project.

Residual bottleneck modules 1-3-1 with GroupNorm(4) and ReLU; encoder of six modules and three max-pools; decoder of
three modules and three up-samplings; four skip branches with a convolution, added element by element.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import normalised, rectified


def convolution(inputs: int, outputs: int, kernel: int | tuple[int, int, int]) -> nn.Conv3d:
    """Same-size 3-D convolution."""
    sizes = (kernel,) * 3 if isinstance(kernel, int) else kernel
    return nn.Conv3d(inputs, outputs, sizes, padding=tuple(k // 2 for k in sizes))


def halving(inputs: int, outputs: int) -> nn.Conv3d:
    """Convolution to half the grid; its even kernel keeps voxel cells aligned, so that mirroring commutes with it."""
    return nn.Conv3d(inputs, outputs, 4, stride=2, padding=1)


class Residual(nn.Module):
    """Bottleneck module 1x1x1, 3x3x3, 1x1x1 with a jump: (B, inputs, z, y, x) -> (B, outputs, z, y, x)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 2
        self.body = nn.Sequential(
            rectified(convolution(inputs, middle, 1)),
            rectified(convolution(middle, middle, 3)),
            *normalised(convolution(middle, outputs, 1)),
        )
        self.jump = nn.Identity() if inputs == outputs else convolution(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Sum of the body and the jump, rectified."""
        return F.relu(self.body(x) + self.jump(x))


class Encoder(nn.Module):
    """Six residual modules and three max-pools.

    (B, inputs, z, y, x) -> features at 1, 1/2, 1/4 and 1/8 of the (stem's) grid, with `widths` channels each.
    stem_stride 2 first halves the grid with a strided convolution: fine voxels in, a quarter of the cost behind it.
    """

    def __init__(self, inputs: int, widths: tuple[int, int, int, int], stem_stride: int = 1) -> None:
        super().__init__()
        a, b, c, d = widths
        self.stem = rectified(halving(inputs, a)) if stem_stride == 2 else nn.Identity()
        self.stage1 = Residual(a if stem_stride == 2 else inputs, a)
        self.stage2 = Residual(a, b)
        self.stage3 = Residual(b, c)
        self.stage4 = nn.Sequential(Residual(c, d), Residual(d, d), Residual(d, d))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features, finest first."""
        f1 = self.stage1(self.stem(x))
        f2 = self.stage2(F.max_pool3d(f1, 2))
        f3 = self.stage3(F.max_pool3d(f2, 2))
        return f1, f2, f3, self.stage4(F.max_pool3d(f3, 2))


class Decoder(nn.Module):
    """Three residual modules and three up-samplings; skips pass a 1x1x1 convolution and are added.

    Features of `Encoder` -> features at 1/4, 1/2 and 1 of the grid, coarsest first; widths[2], widths[1], widths[0].
    """

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        a, b, c, d = widths
        self.skips = nn.ModuleList(convolution(w, w, 1) for w in widths)
        self.stage3, self.stage2, self.stage1 = Residual(d, c), Residual(c, b), Residual(b, a)

    def forward(self, features: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Features (1/4, 1/2, 1)."""
        s1, s2, s3, s4 = (skip(f) for skip, f in zip(self.skips, features, strict=True))
        d3 = upsampled(self.stage3(s4), s3)
        d2 = upsampled(self.stage2(d3), s2)
        return d3, d2, upsampled(self.stage1(d2), s1)


def upsampled(x: Tensor, skip: Tensor) -> Tensor:
    """`x` trilinearly on the grid of `skip`, plus `skip`."""
    return F.interpolate(x, size=skip.shape[2:], mode="trilinear", align_corners=False) + skip
