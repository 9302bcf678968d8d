"""What a global network of the vertebrae was trained for; no engine is needed to read it."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.anatomy import REGULAR_LEVELS
from ..displacement.settings import DisplacementSettings
from ..metadata import Settings


@dataclass(frozen=True)
class GlobalToLocalSettings(Settings):
    """Travels in the metadata of the weight file; the landmarks are the 26 regular levels.

    spacing_mm: of the input grid.  window_zyx: input voxels, multiples of the cell.  hu_ranges: one input channel per
    range, mapped to -1..1.  widths, blocks, presence_reach: as in `DisplacementSettings`.
    score_calibration: (slope, offset) from the logit of a level's presence to the logit of its being a vertebra.
    level_temperature: divides the log-probabilities of the names, so that the decoder doubts what is often wrong; both
    from `python -m training calibrate`.
    The defaults: cells of 16 mm, so that blocks on them see far at little cost; a level is present in all cells around
    its centre, so that eight of them vote.
    """

    spacing_mm: float = 4.0
    window_zyx: tuple[int, int, int] = (96, 48, 48)
    hu_ranges: tuple[tuple[float, float], ...] = ((-1000.0, 1000.0), (-100.0, 500.0))
    widths: tuple[int, ...] = (16, 64)
    blocks: int = 6
    presence_reach: float = 1.0
    score_calibration: tuple[float, float] = (1.0, 0.0)
    level_temperature: float = 1.0

    @property
    def network(self) -> DisplacementSettings:
        """Of the network."""
        return DisplacementSettings(
            3, len(REGULAR_LEVELS), len(self.hu_ranges), self.spacing_mm, self.widths, self.blocks, self.presence_reach
        )
