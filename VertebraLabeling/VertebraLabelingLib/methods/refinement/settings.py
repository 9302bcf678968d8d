"""What a refinement network was trained for; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ..displacement.settings import DisplacementSettings
from ..metadata import Settings


@dataclass(frozen=True)
class RefinementSettings(Settings):
    """Travels in the metadata of the weight file.

    spacing_mm: of the input grid.  window_zyx: input voxels; two numbers for landmarks in a plane.  hu_ranges: one
    input channel per range, mapped to -1..1.  widths, blocks, presence_reach: as in `DisplacementSettings`.
    hint_sigma_mm: how far around its middle the window is told to be meant.
    """

    spacing_mm: float = 2.0
    window_zyx: tuple[int, ...] = (32, 32, 32)
    hu_ranges: tuple[tuple[float, float], ...] = ((-1000.0, 1000.0), (-100.0, 500.0))
    widths: tuple[int, ...] = (16, 32)
    blocks: int = 2
    presence_reach: float = 1.0
    hint_sigma_mm: float = 12.0

    @property
    def network(self) -> DisplacementSettings:
        """Of the network: one landmark, and one channel more than HU ranges, which says where the middle is."""
        channels = len(self.hu_ranges) + 1
        dimensions = len(self.window_zyx)
        return DisplacementSettings(
            dimensions, 1, channels, self.spacing_mm, self.widths, self.blocks, presence_reach=self.presence_reach
        )

    @property
    def extent_zyx_mm(self) -> NDArray[np.float64]:
        """Outer size of the window."""
        return np.array(self.window_zyx) * self.spacing_mm

    def hint(self) -> NDArray[np.float32]:
        """Of the shape of the window: highest in its middle, because the landmark there is meant, not its neighbour."""
        axes = [(np.arange(n) + 0.5 - n / 2) * self.spacing_mm for n in self.window_zyx]
        falls = [np.exp(axis**2 / (-2 * self.hint_sigma_mm**2)) for axis in axes]
        return reduce(np.multiply.outer, falls).astype(np.float32)
