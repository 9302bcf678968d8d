"""What a corridor network was trained for; no engine is needed to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..intensity import HuRanges


@dataclass(frozen=True)
class CorridorSettings:
    """What the weights were trained for; travels in the metadata of the weight file."""

    spacing_mm: float = 8.0
    window_zyx: tuple[int, int, int] = (48, 32, 40)
    hu_ranges: HuRanges = ((-1000.0, 1000.0), (-100.0, 500.0))
    widths: tuple[int, int, int, int] = (16, 32, 64, 64)

    @classmethod
    def from_metadata(cls, values: Mapping[str, Any]) -> CorridorSettings:
        """Settings from plain JSON values."""
        ranges = tuple((low, high) for low, high in values["hu_ranges"])
        sizes = {key: tuple(values[key]) for key in ("window_zyx", "widths")}
        return cls(**{**values, **sizes, "hu_ranges": ranges})

    def to_metadata(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
