"""What a corridor network was trained for; no engine is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..intensity import HuRanges
from ..metadata import with_tuples


@dataclass(frozen=True)
class CorridorSettings:
    """What the weights were trained for; travels in the metadata of the weight file."""

    spacing_mm: float = 8.0
    window_zyx: tuple[int, int, int] = (48, 32, 40)
    hu_ranges: HuRanges = ((-1000.0, 1000.0), (-100.0, 500.0))
    widths: tuple[int, int, int, int] = (16, 32, 64, 64)

    @classmethod
    def from_metadata(cls, values: Mapping[str, Any]) -> CorridorSettings:
        """Settings from plain JSON values; TypeError or KeyError when they do not fit."""
        return cls(**with_tuples(values, sizes=("window_zyx", "widths"), ranges=("hu_ranges",)))

    def to_metadata(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
