"""What a phantom should look like: its field of view, anatomy, tissue and acquisition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from VertebraLabelingLib.core.anatomy import Level

THORACIC_COUNTS = (11, 12, 13)
LUMBAR_COUNTS = (4, 5, 6)


@dataclass(frozen=True)
class PhantomSpec:
    """Choices for one phantom; what is not chosen here (stature, curvature, noise per level) is drawn from the seed.

    first, last: uppermost and lowermost level in the field of view; the grid reaches cranial_mm above and caudal_mm
    below their centroids.  width_mm, depth_mm: size of the field of view in x and y.  off_centre_mm: how far the spine
    lies from the middle of the field of view to the (left, back).  fat_mm: subcutaneous layer.  bone_density: factor on
    the HU of the spongiosa.  vessel_hu: blood (45 plain, up to 400 with contrast).  noise_hu: SD of the noise.
    slice_mm: slice thickness, None = the slice spacing.  pitch_deg: forward lean of the column.
    """

    spacing_zyx_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)
    first: Level = Level.C1
    last: Level = Level.S2
    cranial_mm: float = 20.0
    caudal_mm: float = 20.0
    width_mm: float = 360.0
    depth_mm: float = 300.0
    off_centre_mm: tuple[float, float] = (0.0, 35.0)
    thoracic_count: int = 12
    lumbar_count: int = 5
    short_last_rib: bool = False
    scoliosis_deg: float = 3.0
    pitch_deg: float = 0.0
    fat_mm: float = 15.0
    bone_density: float = 1.0
    vessel_hu: float = 50.0
    calcified_aorta: bool = False
    arms: bool = False
    table: bool = True
    noise_hu: float = 15.0
    slice_mm: float | None = None
    circular_view: bool = False

    def __post_init__(self) -> None:
        if self.thoracic_count not in THORACIC_COUNTS or self.lumbar_count not in LUMBAR_COUNTS:
            raise ValueError(f"a phantom has {THORACIC_COUNTS} thoracic and {LUMBAR_COUNTS} lumbar vertebrae")
        missing = {self.first, self.last} - set(self.levels)
        if missing or self.first > self.last:
            raise ValueError(f"{self.first.name}-{self.last.name} is not a stretch of this phantom's column")
        if min(self.spacing_zyx_mm) <= 0 or min(self.width_mm, self.depth_mm) <= 0:
            raise ValueError("spacing and size of a phantom must be positive")

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels that this anatomy has, cranio-caudal; those outside the field of view too."""
        last_thoracic = Level[f"T{self.thoracic_count}"]
        last_lumbar = Level[f"L{self.lumbar_count}"]
        return tuple(
            level for level in Level if level <= last_thoracic or Level.L1 <= level <= last_lumbar or level >= Level.S1
        )


def random_spec(rng: np.random.Generator) -> PhantomSpec:
    """A training phantom: any stretch of at least four levels, 5 % with each anomaly, wide ranges for the rest."""
    thoracic = int(rng.choice(THORACIC_COUNTS, p=(0.05, 0.90, 0.05)))
    lumbar = int(rng.choice(LUMBAR_COUNTS, p=(0.05, 0.90, 0.05)))
    levels = PhantomSpec(thoracic_count=thoracic, lumbar_count=lumbar).levels
    first, last = _random_stretch(rng, len(levels))
    slice_mm = float(rng.choice((1.0, 2.0, 3.0, 5.0), p=(0.3, 0.35, 0.2, 0.15)))
    in_plane_mm = float(rng.uniform(0.8, 2.0))
    return PhantomSpec(
        spacing_zyx_mm=(max(slice_mm, 1.5), max(in_plane_mm, 1.2), max(in_plane_mm, 1.2)),
        first=levels[first],
        last=levels[last],
        cranial_mm=float(rng.uniform(0, 40)) if first else float(rng.uniform(5, 160)),
        caudal_mm=float(rng.uniform(0, 40)) if last < len(levels) - 1 else float(rng.uniform(5, 200)),
        width_mm=float(rng.uniform(160, 480)),
        depth_mm=float(rng.uniform(160, 400)),
        off_centre_mm=(float(rng.normal(0, 12)), float(rng.uniform(0, 60))),
        thoracic_count=thoracic,
        lumbar_count=lumbar,
        short_last_rib=bool(rng.random() < 0.15),
        scoliosis_deg=float(abs(rng.normal(0, 6))),
        pitch_deg=float(rng.normal(0, 4)),
        fat_mm=float(rng.uniform(4, 40)),
        bone_density=float(rng.uniform(0.45, 1.25)),
        vessel_hu=float(rng.choice((45.0, rng.uniform(100, 400)))),
        calcified_aorta=bool(rng.random() < 0.3),
        arms=bool(rng.random() < 0.4),
        table=bool(rng.random() < 0.8),
        noise_hu=float(rng.uniform(4, 45)),
        slice_mm=slice_mm,
        circular_view=bool(rng.random() < 0.3),
    )


def _random_stretch(rng: np.random.Generator, count: int) -> tuple[int, int]:
    """First and last index of a stretch of 4..count levels, both ends of the column as likely as its middle."""
    length = int(rng.integers(4, count + 1))
    start = int(rng.integers(-3, count - length + 4))
    first = min(max(start, 0), count - length)
    return first, first + length - 1
