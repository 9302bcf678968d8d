"""What a phantom should look like: its field of view, anatomy, disease and acquisition."""

from __future__ import annotations

from dataclasses import dataclass

from VertebraLabelingLib.core.anatomy import Level

from .poses import Pose
from .surfaces import Shapes

THORACIC_COUNTS = (11, 12, 13)
LUMBAR_COUNTS = (4, 5, 6)
JUNCTIONS = ("regular", "sacralised", "lumbarised")
IMPLANTS = ("none", "screws", "cage", "cement")
Pair = tuple[float, float]


@dataclass(frozen=True)
class Anatomy:
    """The skeleton's choices.

    pose: part of a real column that this one follows; the levels beyond it continue it with the tables' means.
    last_rib_mm: (right, left) bony length of the last pair of ribs, None = drawn; 0 = none.  lumbar_rib_mm,
    cervical_rib_mm: the same for ribs of L1 and C7.  junction: "sacralised" (the last lumbar vertebra joins the
    sacrum), "lumbarised" (S1 looks lumbar) or "regular"; the names of the levels do not change.
    shapes: of real vertebrae, which then replace the composed ones wherever one fits, deformed by chance.
    scoliosis_deg, pitch_deg: sideways and forward lean, used without a pose only.
    """

    thoracic_count: int = 12
    lumbar_count: int = 5
    pose: Pose | None = None
    shapes: Shapes | None = None
    scoliosis_deg: float = 3.0
    pitch_deg: float = 0.0
    last_rib_mm: Pair | None = None
    lumbar_rib_mm: Pair = (0.0, 0.0)
    cervical_rib_mm: Pair = (0.0, 0.0)
    junction: str = "regular"

    def __post_init__(self) -> None:
        if self.thoracic_count not in THORACIC_COUNTS or self.lumbar_count not in LUMBAR_COUNTS:
            raise ValueError(f"a phantom has {THORACIC_COUNTS} thoracic and {LUMBAR_COUNTS} lumbar vertebrae")
        if self.junction not in JUNCTIONS:
            raise ValueError(f"the lumbosacral junction of a phantom is one of {JUNCTIONS}")


@dataclass(frozen=True)
class Disease:
    """What age and surgeons leave.

    bone_density: factor on the HU of the spongiosa.  osteophytes: 0 none .. 1 bridges in front of the discs (DISH).
    fractures: how many bodies are wedged.  implants: one of IMPLANTS.  aneurysm_mm: largest radius of the abdominal
    aorta, 0 = healthy.  calcified_aorta: plaques.
    """

    bone_density: float = 1.0
    osteophytes: float = 0.0
    fractures: int = 0
    implants: str = "none"
    aneurysm_mm: float = 0.0
    calcified_aorta: bool = False

    def __post_init__(self) -> None:
        if self.implants not in IMPLANTS:
            raise ValueError(f"the implants of a phantom are one of {IMPLANTS}")


@dataclass(frozen=True)
class Acquisition:
    """The scanner's choices.

    slice_mm: slice thickness, None = the slice spacing.  kernel: -1 soft .. 1 sharp with edge enhancement.
    noise_hu: SD of the noise; streaks_hu: SD of the streaks of shoulders and metal.  gain, offset_hu: calibration of
    everything denser than fat.  random_contrast: tissues get HU that no scanner gives.  circular_view: corners without
    data; view_mm: radius of that circle, None = the ellipse that fills the slice.  tilt_deg: of the end slices.
    """

    noise_hu: float = 15.0
    slice_mm: float | None = None
    kernel: float = 0.0
    streaks_hu: float = 0.0
    gain: float = 1.0
    offset_hu: float = 0.0
    random_contrast: bool = False
    circular_view: bool = False
    view_mm: float | None = None
    tilt_deg: float = 0.0


@dataclass(frozen=True)
class PhantomSpec:
    """Choices for one phantom; what is not chosen here (stature, curvature, noise per level) is drawn from the seed.

    first, last: uppermost and lowermost level in the field of view; the grid reaches cranial_mm above and caudal_mm
    below their centroids.  width_mm, depth_mm: size of the field of view in x and y.  off_centre_mm: how far the spine
    lies from the middle of the field of view to the (left, back).  fat_mm: subcutaneous layer.  vessel_hu: blood (45
    plain, up to 500 with contrast).  arms: at the side; arms_up: above the head.  prone: the couch is before the belly.
    """

    spacing_zyx_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)
    first: Level = Level.C1
    last: Level = Level.S2
    cranial_mm: float = 20.0
    caudal_mm: float = 20.0
    width_mm: float = 360.0
    depth_mm: float = 300.0
    off_centre_mm: tuple[float, float] = (0.0, 35.0)
    fat_mm: float = 15.0
    vessel_hu: float = 50.0
    arms: bool = False
    arms_up: bool = False
    table: bool = True
    prone: bool = False
    anatomy: Anatomy = Anatomy()
    disease: Disease = Disease()
    acquisition: Acquisition = Acquisition()

    def __post_init__(self) -> None:
        missing = {self.first, self.last} - set(self.levels)
        if missing or self.first > self.last:
            raise ValueError(f"{self.first.name}-{self.last.name} is not a stretch of this phantom's column")
        if min(self.spacing_zyx_mm) <= 0 or min(self.width_mm, self.depth_mm) <= 0:
            raise ValueError("spacing and size of a phantom must be positive")

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels that this anatomy has, cranio-caudal; those outside the field of view too."""
        last_thoracic = Level[f"T{self.anatomy.thoracic_count}"]
        last_lumbar = Level[f"L{self.anatomy.lumbar_count}"]
        return tuple(
            level for level in Level if level <= last_thoracic or Level.L1 <= level <= last_lumbar or level >= Level.S1
        )
