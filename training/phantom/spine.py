"""The column as a chain of frames: where every vertebra is and how it is turned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level, Region

from . import tables
from .poses import Pose
from .spec import Anatomy, PhantomSpec
from .tables import Step, VertebraSize

if TYPE_CHECKING:
    from .forms import Form

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
    """One vertebra: level, frame with the body centroid as origin, height of the body, sizes already scaled.

    wedge: share of its front height that a fractured body has lost.  form: the shape of a real one, made to measure;
    None = composed of solids.
    """

    level: Level
    frame: Frame
    height_mm: float
    size: VertebraSize
    wedge: float = 0.0
    form: Form | None = None


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
    stature = _stature(spec, rng)
    steps = _draw_steps(levels, stature, spec.anatomy, rng)
    if spec.anatomy.pose:
        steps = _follow(steps, levels, spec.anatomy.pose)
    chain = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    chain -= (chain[levels.index(spec.first)] + chain[levels.index(spec.last)]) / 2
    turns_deg = rng.normal(0, 2) + 1.5 * _smooth_noise(len(chain), rng)
    frames = [Frame(chain[i], _turned(_axes(chain, i), turns_deg[i])) for i in range(len(chain))]
    sizes = _draw_sizes(levels, stature, spec, rng)
    heights = _body_heights(levels, np.linalg.norm(steps, axis=1), sizes)
    wedges = _draw_wedges(levels, spec.disease.fractures, rng)
    bodies = zip(levels, frames[: len(levels)], heights, sizes, wedges, strict=True)
    return Spine(tuple(Vertebra(*body) for body in bodies), tuple(frames[len(levels) :]), stature)


def _stature(spec: PhantomSpec, rng: np.random.Generator) -> float:
    """The common factor of size: that of the pose where there is one, else drawn."""
    drawn = float(np.clip(rng.normal(1.0, tables.STATURE_SD), *tables.STATURE_RANGE))
    part = _shared_part(spec.levels, spec.anatomy.pose) if spec.anatomy.pose else None
    if part is None:
        return drawn
    start, steps = part
    pairs = list(pairwise(spec.levels))[start : start + len(steps)]
    usual = sum(_step(above, below).length_mm for above, below in pairs)
    return float(np.clip(np.linalg.norm(steps, axis=1).sum() / usual, 0.7, 1.25))


def _shared_part(levels: tuple[Level, ...], pose: Pose) -> tuple[int, Vector] | None:
    """Index of the first step of the column that the pose gives, and its steps: the longest stretch both have."""
    wanted, given = list(pairwise(levels)), list(pairwise(pose.levels))
    best: tuple[int, int, int] = (0, 0, 0)
    for i, pair in enumerate(given):
        if pair in wanted and not (i and given[i - 1] in wanted):
            start, n = wanted.index(pair), 1
            while i + n < len(given) and start + n < len(wanted) and given[i + n] == wanted[start + n]:
                n += 1
            best = max(best, (n, start, i))
    n, start, first = best
    return (start, pose.steps_mm[first : first + n]) if n else None


def _follow(steps_mm: Vector, levels: tuple[Level, ...], pose: Pose) -> Vector:
    """The steps with those of the pose in place; those beyond turn towards it, less with each step away from it."""
    part = _shared_part(levels, pose)
    if part is None:
        return steps_mm
    start, real = part
    result = steps_mm.copy()
    result[start : start + len(real)] = real
    ends = ((range(start - 1, -1, -1), start), (range(start + len(real), len(steps_mm)), start + len(real) - 1))
    for beyond, end in ends:
        lean = _unit(result[end]) - _unit(steps_mm[end])
        for away, i in enumerate(beyond, start=1):
            length = np.linalg.norm(steps_mm[i])
            result[i] = length * _unit(_unit(steps_mm[i]) + lean * CARRY_OVER**away)
            result[i, 2] = min(result[i, 2], -0.25 * length)
    return result


CARRY_OVER = 0.75
"""Share of the lean of a column that its next step keeps."""


def _unit(vector: Vector) -> Vector:
    return vector / np.linalg.norm(vector)


def _draw_sizes(
    levels: tuple[Level, ...], stature: float, spec: PhantomSpec, rng: np.random.Generator
) -> list[VertebraSize]:
    """Sizes of all vertebrae with the disc below each; worn discs are thin."""
    sizes = [tables.SIZES[level].scaled(stature * float(rng.normal(1.0, 0.03))) for level in levels]
    wear = float(rng.uniform(0.65, 1.1))
    sizes = [replace(size, disc_mm=size.disc_mm * wear * float(rng.uniform(0.75, 1.15))) for size in sizes]
    last, s1 = levels.index(Level.S1) - 1, levels.index(Level.S1)
    if spec.anatomy.junction == "sacralised":
        wide = sizes[last].width_mm / tables.SIZES[levels[last]].width_mm * tables.SIZES[Level.S1].process_span_mm
        span = wide * float(rng.uniform(0.85, 0.98))
        sizes[last] = replace(sizes[last], process_span_mm=span, disc_mm=0.55 * sizes[last].disc_mm)
    if spec.anatomy.junction == "lumbarised":
        depth, width = sizes[last].lower_depth_mm, sizes[last].lower_width_mm
        span = sizes[s1].process_span_mm * 0.85
        sizes[s1] = replace(
            sizes[s1], lower_width_mm=0.92 * width, lower_depth_mm=0.9 * depth, process_span_mm=span,
            disc_mm=stature * float(rng.uniform(5, 9)),
        )  # fmt: skip
    return sizes


def _draw_wedges(levels: tuple[Level, ...], count: int, rng: np.random.Generator) -> list[float]:
    """Share of its front height that each body has lost; fractures prefer the thoracolumbar junction."""
    wedges = [0.0] * len(levels)
    candidates = [i for i, level in enumerate(levels) if Level.T4 <= level < Level.S1]
    weights = np.array([3.0 if Level.T11 <= levels[i] <= Level.L2 else 1.0 for i in candidates])
    for i in rng.choice(candidates, size=count, replace=False, p=weights / weights.sum()):
        wedges[int(i)] = float(rng.uniform(0.2, 0.55))
    return wedges


def _turned(axes: Vector, angle_deg: float) -> Vector:
    """The axes turned about their own up by this angle."""
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    left, back, up = axes
    return np.stack([cosine * left + sine * back, cosine * back - sine * left, up])


def _draw_steps(levels: tuple[Level, ...], stature: float, anatomy: Anatomy, rng: np.random.Generator) -> Vector:
    """(n + 2, 3) displacements between successive centroids, S3 to S5 included, LPS mm."""
    mean = [_step(above, below) for above, below in pairwise(levels)]
    mean += [Step(length, posterior, 0.03) for length, posterior in tables.SACRAL_TAIL_STEPS]
    length = np.array([step.length_mm * (1 + step.relative_sd * rng.normal()) for step in mean]) * stature
    posterior = np.array([step.posterior_mm for step in mean]) * stature
    posterior += _smooth_noise(len(mean), rng) * _bend_sd_mm(levels)
    posterior -= np.sin(np.radians(anatomy.pitch_deg)) * length
    left = _scoliosis(len(mean), anatomy.scoliosis_deg, rng) * length
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
