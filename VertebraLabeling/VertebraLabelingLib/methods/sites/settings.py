"""What a `sites` network was trained for; no engine is needed to read it."""

from __future__ import annotations

from dataclasses import dataclass

from ..metadata import Settings


@dataclass(frozen=True)
class SitesSettings(Settings):
    """What the weights were trained for; travels in the metadata of the weight file.

    spacing_mm: of the input grid; the centre map has twice, the level logits four times that spacing.
    window_zyx: input voxels.  hu_ranges: one input channel per range, mapped to -1..1.
    integral_radius_mm: neighbourhood of the integral regression.
    neck_magnification: how much finer the voxels of the second look at the neck are; 1: there is none.
    column_head: whether the weights have a head along the ordered sites, which only training runs.
    score_calibration: (slope, offset) from the logit of a peak's height to the logit of its being a vertebra.
    """

    spacing_mm: float = 2.0
    window_zyx: tuple[int, int, int] = (128, 64, 112)
    hu_ranges: tuple[tuple[float, float], ...] = ((-1000.0, 1000.0), (-100.0, 500.0))
    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    levels: int = 26
    integral_radius_mm: float = 10.0
    neck_magnification: float = 1.0
    column_head: bool = False
    score_calibration: tuple[float, float] = (1.0, 0.0)

    @property
    def centre_spacing_mm(self) -> float:
        """Grid of the centre map."""
        return 2 * self.spacing_mm
