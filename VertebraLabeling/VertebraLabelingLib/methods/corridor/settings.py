"""What a corridor network was trained for; no engine is needed to read it."""

from __future__ import annotations

from dataclasses import dataclass

from ..intensity import HuRanges
from ..metadata import Settings


@dataclass(frozen=True)
class CorridorSettings(Settings):
    """What the weights were trained for; travels in the metadata of the weight file."""

    spacing_mm: float = 8.0
    window_zyx: tuple[int, int, int] = (48, 32, 40)
    hu_ranges: HuRanges = ((-1000.0, 1000.0), (-100.0, 500.0))
    widths: tuple[int, int, int, int] = (16, 32, 64, 64)
