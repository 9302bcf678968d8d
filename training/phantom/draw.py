"""Random specs for training: how often each thing occurs and how far it ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from VertebraLabelingLib.core.anatomy import Level

from .poses import Pose, counts, draw_pose
from .spec import IMPLANTS, JUNCTIONS, LUMBAR_COUNTS, THORACIC_COUNTS, Acquisition, Anatomy, Disease, Pair, PhantomSpec
from .surfaces import Shapes

COUNT_SHARES = (0.06, 0.88, 0.06)
"""How often one vertebra too few, the regular number, one too many."""
LAST_RIB_MM = ((0.03, 0.0, 0.0), (0.17, 8.0, 38.0), (0.25, 38.0, 90.0), (0.33, 90.0, 150.0), (0.22, 150.0, 200.0))
"""(share, shortest, longest): rudimentary ones occur in an eighth of patients; every length counts alike here."""

VESSEL_HU = ((35.0, 60.0), (90.0, 250.0), (250.0, 500.0))
"""Blood without contrast, in a late phase, in the arterial phase."""


def random_spec(
    rng: np.random.Generator, spines: Sequence[Pose] | None = None, shapes: Shapes | None = None
) -> PhantomSpec:
    """A training phantom: any stretch of at least four levels, rare anatomy often enough to be learned.

    spines: poses of real columns (`read_poses`); with them nine of ten phantoms follow one.
    shapes: of real vertebrae; with them the field of view begins no higher than they do.
    """
    pose = draw_pose(spines, rng) if spines and rng.random() < 0.9 else None
    anatomy = replace(_random_anatomy(rng, pose), shapes=shapes)
    levels = PhantomSpec(anatomy=anatomy).levels
    first, last = _junction_stretch(rng, levels) if rng.random() < 0.4 else _random_stretch(rng, len(levels))
    if shapes:
        uppermost = next((i for i, level in enumerate(levels) if shapes.candidates(level)), 0)
        first, last = max(first, uppermost), max(last, min(uppermost + 3, len(levels) - 1))
    slice_mm = float(rng.choice((0.5, 1.0, 2.0, 3.0, 5.0, 8.0), p=(0.08, 0.27, 0.25, 0.2, 0.15, 0.05)))
    in_plane_mm = float(rng.uniform(0.8, 2.0))
    arms = float(rng.random())
    return PhantomSpec(
        spacing_zyx_mm=(max(slice_mm, 1.5), max(in_plane_mm, 1.2), max(in_plane_mm, 1.2)),
        first=levels[first],
        last=levels[last],
        cranial_mm=float(rng.uniform(0, 40)) if first else float(rng.uniform(5, 160)),
        caudal_mm=float(rng.uniform(0, 40)) if last < len(levels) - 1 else float(rng.uniform(5, 200)),
        width_mm=float(rng.uniform(160, 480)),
        depth_mm=float(rng.uniform(160, 400)),
        off_centre_mm=(float(rng.normal(0, 12)), float(rng.uniform(0, 60))),
        fat_mm=float(rng.uniform(4, 45)),
        vessel_hu=float(rng.uniform(*VESSEL_HU[int(rng.choice(3, p=(0.4, 0.4, 0.2)))])),
        arms=arms < 0.25,
        arms_up=arms > 0.6,
        table=bool(rng.random() < 0.8),
        prone=bool(rng.random() < 0.06),
        anatomy=anatomy,
        disease=_random_disease(rng),
        acquisition=_random_acquisition(rng, slice_mm),
    )  # fmt: skip


def _random_stretch(rng: np.random.Generator, count: int) -> tuple[int, int]:
    """First and last index of a stretch of 4..count levels, both ends of the column as likely as its middle."""
    length = int(rng.integers(4, count + 1))
    start = int(rng.integers(-3, count - length + 4))
    first = min(max(start, 0), count - length)
    return first, first + length - 1


def _junction_stretch(rng: np.random.Generator, levels: Sequence[Level]) -> tuple[int, int]:
    """First and last index of a stretch over the thoracolumbar junction, where naming is hardest."""
    l1, end = levels.index(Level.L1), len(levels) - 1
    return l1 - int(rng.integers(2, 9)), min(l1 + int(rng.integers(1, 10)), end)


def _random_anatomy(rng: np.random.Generator, pose: Pose | None) -> Anatomy:
    """Numbers of vertebrae as the pose tells them, else drawn; ribs of every length at both ends of the thorax."""
    thoracic, lumbar = (int(rng.choice(options, p=COUNT_SHARES)) for options in (THORACIC_COUNTS, LUMBAR_COUNTS))
    known = counts(pose) if pose else (None, None)
    lumbar_rib = _pair(rng, rng.uniform(5, 60), 0.5) if rng.random() < 0.03 else (0.0, 0.0)
    cervical_rib = _pair(rng, rng.uniform(8, 50), 0.5) if rng.random() < 0.02 else (0.0, 0.0)
    return Anatomy(
        thoracic_count=known[0] or thoracic,
        lumbar_count=known[1] or lumbar,
        pose=pose,
        scoliosis_deg=float(abs(rng.normal(0, 6))),
        pitch_deg=float(rng.normal(0, 4)),
        last_rib_mm=_random_last_rib(rng),
        lumbar_rib_mm=lumbar_rib,
        cervical_rib_mm=cervical_rib,
        junction=str(rng.choice(JUNCTIONS, p=(0.86, 0.07, 0.07))),
    )


def _random_last_rib(rng: np.random.Generator) -> Pair:
    shares = [share for share, _, _ in LAST_RIB_MM]
    _, low, high = LAST_RIB_MM[int(rng.choice(len(LAST_RIB_MM), p=shares))]
    return _pair(rng, float(rng.uniform(low, high)), 0.03)


def _pair(rng: np.random.Generator, length_mm: float, one_sided: float) -> Pair:
    """Right and left length: alike within a tenth, or absent on one side with this probability."""
    right, left = (float(length_mm * np.exp(rng.normal(0, 0.1))) for _ in range(2))
    if rng.random() < one_sided:
        return (right, 0.0) if rng.random() < 0.5 else (0.0, left)
    return right, left


def _random_disease(rng: np.random.Generator) -> Disease:
    """Bone from osteoporotic to young, and everything that stands before, on and in the spine of the old."""
    density = float(rng.uniform(0.3, 1.35))
    return Disease(
        bone_density=density,
        osteophytes=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.3 else 0.0,
        fractures=int(rng.integers(1, 4)) if rng.random() < (0.3 if density < 0.7 else 0.08) else 0,
        implants=str(rng.choice(IMPLANTS, p=(0.88, 0.06, 0.02, 0.04))),
        aneurysm_mm=float(rng.uniform(16, 42)) if rng.random() < 0.12 else 0.0,
        calcified_aorta=bool(rng.random() < 0.35),
    )


def _random_acquisition(rng: np.random.Generator, slice_mm: float) -> Acquisition:
    """Protocols from low dose to high resolution; one in twelve with a contrast that no scanner gives."""
    circular = bool(rng.random() < 0.3)
    return Acquisition(
        noise_hu=float(rng.uniform(4, 45)),
        slice_mm=slice_mm,
        kernel=float(rng.uniform(-1, 1)),
        streaks_hu=float(rng.uniform(5, 40)) if rng.random() < 0.25 else 0.0,
        gain=float(rng.normal(1.0, 0.06)),
        offset_hu=float(rng.normal(0, 8)),
        random_contrast=bool(rng.random() < 0.08),
        circular_view=circular,
        view_mm=float(rng.uniform(80, 250)) if circular and rng.random() < 0.4 else None,
        tilt_deg=float(rng.normal(0, 10)) if rng.random() < 0.15 else 0.0,
    )
