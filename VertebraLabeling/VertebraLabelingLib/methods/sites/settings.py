"""What a `sites` network was trained for; no engine is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..metadata import with_tuples


@dataclass(frozen=True)
class SitesSettings:
    """What the weights were trained for; travels in the metadata of the weight file.

    spacing_mm: of the input grid; the centre map has twice, the level logits four times that spacing.
    window_zyx: input voxels.  hu_ranges: one input channel per range, mapped to -1..1.
    integral_radius_mm: neighbourhood of the integral regression.
    neck_magnification: how much finer the voxels of the second look at the neck are; 1: there is none.
    score_calibration: (slope, offset) from the logit of a peak's height to the logit of its being a vertebra.
    """

    spacing_mm: float = 2.0
    window_zyx: tuple[int, int, int] = (128, 64, 112)
    hu_ranges: tuple[tuple[float, float], ...] = ((-1000.0, 1000.0), (-100.0, 500.0))
    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    levels: int = 26
    integral_radius_mm: float = 10.0
    neck_magnification: float = 1.0
    score_calibration: tuple[float, float] = (1.0, 0.0)

    @classmethod
    def from_metadata(cls, values: Mapping[str, Any]) -> SitesSettings:
        """Settings from plain JSON values; TypeError or KeyError when they do not fit."""
        sizes, later = ("window_zyx", "widths", "score_calibration"), ("score_calibration",)
        return cls(**with_tuples(values, sizes, ranges=("hu_ranges",), optional=later))

    def to_metadata(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @property
    def centre_spacing_mm(self) -> float:
        """Grid of the centre map."""
        return 2 * self.spacing_mm
