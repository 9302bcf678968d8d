"""The column as a chain of frames: where every vertebra is and how it is turned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level, Region

from . import tables
from .spec import PhantomSpec
from .tables import Step, VertebraSize

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """Frame of one vertebra: origin_lps_mm (3,); axes (3, 3), rows are the unit vectors to its left, back and top."""

    origin_lps_mm: Vector
    axes: Vector

    def to_lps(self, local_mm: Vector | tuple[float, ...] | list[tuple[float, ...]]) -> Vector:
        """LPS mm of points (..., 3) given as (left, back, up) in this frame."""
        return np.asarray(local_mm, float) @ self.axes + self.origin_lps_mm


@dataclass(frozen=True)
class Vertebra:
    """One vertebra: level, frame with the body centroid as origin, height of the body, sizes already scaled."""

    level: Level
    frame: Frame
    height_mm: float
    size: VertebraSize


@dataclass(frozen=True)
class Spine:
    """The column, cranio-caudal.  tail: frames of S3, S4, S5.  stature: the scan's common factor of size."""

    vertebrae: tuple[Vertebra, ...]
    tail: tuple[Frame, ...]
    stature: float

    def __getitem__(self, level: Level) -> Vertebra:
        return next(vertebra for vertebra in self.vertebrae if vertebra.level == level)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Levels present, cranio-caudal."""
        return tuple(vertebra.level for vertebra in self.vertebrae)

    def centroids_lps_mm(self) -> Vector:
        """(n, 3) body centroids, cranio-caudal."""
        return np.array([vertebra.frame.origin_lps_mm for vertebra in self.vertebrae])


def build_spine(spec: PhantomSpec, rng: np.random.Generator) -> Spine:
    """Draw a column; the centroid of the middle of the field of view lies near the origin of LPS."""
    levels = spec.levels
    stature = float(np.clip(rng.normal(1.0, tables.STATURE_SD), *tables.STATURE_RANGE))
    steps = _draw_steps(levels, stature, spec, rng)
    chain = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    chain -= (chain[levels.index(spec.first)] + chain[levels.index(spec.last)]) / 2
    frames = [Frame(chain[i], _axes(chain, i)) for i in range(len(chain))]
    sizes = [tables.SIZES[level].scaled(stature * float(rng.normal(1.0, 0.03))) for level in levels]
    wear = float(rng.uniform(0.65, 1.1))
    sizes = [replace(size, disc_mm=size.disc_mm * wear * float(rng.uniform(0.85, 1.15))) for size in sizes]
    heights = _body_heights(levels, np.linalg.norm(steps, axis=1), sizes)
    bodies = zip(levels, frames[: len(levels)], heights, sizes, strict=True)
    return Spine(tuple(Vertebra(*body) for body in bodies), tuple(frames[len(levels) :]), stature)


def _draw_steps(levels: tuple[Level, ...], stature: float, spec: PhantomSpec, rng: np.random.Generator) -> Vector:
    """(n + 2, 3) displacements between successive centroids, S3 to S5 included, LPS mm."""
    mean = [_step(above, below) for above, below in pairwise(levels)]
    mean += [Step(length, posterior, 0.03) for length, posterior in tables.SACRAL_TAIL_STEPS]
    length = np.array([step.length_mm * (1 + step.relative_sd * rng.normal()) for step in mean]) * stature
    posterior = np.array([step.posterior_mm for step in mean]) * stature
    posterior += _smooth_noise(len(mean), rng) * _bend_sd_mm(levels)
    posterior -= np.sin(np.radians(spec.pitch_deg)) * length
    left = _scoliosis(len(mean), spec.scoliosis_deg, rng) * length
    down = np.sqrt(np.maximum(length**2 - posterior**2 - left**2, (0.3 * length) ** 2))
    steps = np.stack([left, posterior, -down], axis=1)
    return steps * (length / np.linalg.norm(steps, axis=1))[:, None]


def _step(above: Level, below: Level) -> Step:
    """Mean step between two neighbours, also where the numbering skips or adds a level."""
    if (above, below) == (Level.L5, Level.L6):
        return tables.L5_TO_L6
    if (above, below) == (Level.T11, Level.L1):
        return tables.T11_TO_L1
    if (above, below) == (Level.L4, Level.S1):
        return tables.STEPS[Level.L5]
    return tables.STEPS[above]


def _bend_sd_mm(levels: tuple[Level, ...]) -> Vector:
    """SD of the posterior shift per step: a neck moves more than a chest; the sacrum hardly at all."""
    by_region = {Region.CERVICAL: 2.5, Region.THORACIC: 1.6, Region.LUMBAR: 2.2, Region.SACRAL: 0.8}
    return np.array([by_region[level.region] for level in levels] + [0.8, 0.8])


def _smooth_noise(count: int, rng: np.random.Generator) -> Vector:
    """Unit-variance noise whose neighbours agree (correlation about 0.7)."""
    value, values = rng.normal(), []
    for _ in range(count):
        values.append(value)
        value = 0.7 * value + 0.71 * rng.normal()
    return np.array(values)


def _scoliosis(count: int, angle_deg: float, rng: np.random.Generator) -> Vector:
    """Sideways slope of each step: one or two bends whose steepest step leans by `angle_deg`."""
    place = np.linspace(0, 1, count)
    bend = np.sin(2 * np.pi * (place * rng.uniform(0.7, 1.6) + rng.random()))
    return np.sin(np.radians(angle_deg)) * (bend - bend.mean()) + rng.normal(0, 0.012, count)


def _axes(chain_lps_mm: Vector, i: int) -> Vector:
    """Axes of the i-th frame: up along the chain of its neighbours, left in the coronal plane."""
    last = len(chain_lps_mm) - 1
    above, below = max(i - 1, 0), min(i + 1, last)
    if i <= 1:  # the ring of C1 lies behind the body of C2, so the chain says nothing about their tilt
        above, below = 1, 3
    up = chain_lps_mm[above] - chain_lps_mm[below]
    up /= np.linalg.norm(up)
    back = np.cross(up, [1.0, 0.0, 0.0])
    back /= np.linalg.norm(back)
    return np.stack([np.cross(back, up), back, up])


def _body_heights(levels: tuple[Level, ...], spacings_mm: Vector, sizes: list[VertebraSize]) -> list[float]:
    """Height of each body: what the discs leave of the spacing above and below."""
    free = [float(spacings_mm[i]) - sizes[i].disc_mm for i in range(len(levels))]
    heights = [(free[max(i - 1, 0)] + free[i]) / 2 for i in range(len(levels))]
    heights[levels.index(Level.C2)] = free[levels.index(Level.C2)]
    heights[levels.index(Level.C1)] = 10.0
    for i in range(1, len(levels) - 1):
        lacking = 0.6 * sizes[i].disc_mm - (float(spacings_mm[i]) - (heights[i] + heights[i + 1]) / 2)
        if lacking > 0:  # a short spacing between long ones would let two bodies touch
            heights[i] -= lacking
            heights[i + 1] -= lacking
    return heights
