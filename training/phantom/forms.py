"""A real vertebra's shape made to measure for one vertebra of a phantom, and varied by a smooth deformation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage
from VertebraLabelingLib.core.anatomy import Level

from .body_frame import PointDistance, Vector, measure_body
from .canvas import Bone, Canvas
from .distances import Array, Distance, Formula, maximum
from .solids import in_frame
from .spine import Frame, Spine
from .surfaces import GRID_MM, Shape, Shapes
from .tables import VertebraSize, joins_sacrum

PATIENT_WAVES, OWN_WAVES = 3, 2
PATIENT_SD_MM, OWN_SD_MM = 1.2, 0.7
WAVE_LENGTH_MM = (45.0, 130.0)
MIDDLE_CHEST = (Level.T3, Level.T8)
"""Between these a vertebra may take the shape of a neighbour: nothing but its size tells them apart."""
WAVE_MARGIN_MM, BODY_MARGIN_MM = 2.0, 4.0
STRETCH = (0.75, 1.35)
"""How much more or less than the body the processes may be stretched to reach their drawn length."""


@dataclass(frozen=True)
class Wave:
    """One sine of the displacement: per_mm (3,) its direction times 2 pi / length; shift_mm (3,) its amplitude."""

    per_mm: Vector
    shift_mm: Vector
    phase: float


@dataclass(frozen=True)
class Form:
    """A shape in the frame of a phantom's vertebra: the middle of its body, after all deformation, is the origin.

    inner, outer: (3,) template mm per phantom mm within and beyond the body's half_mm (3,).  wedge: as of `Vertebra`.
    recentre_mm: (3,) added to a place before anything else.
    """

    shape: Shape
    mirrored: bool
    waves: tuple[Wave, ...]
    half_mm: Vector
    inner: Vector
    outer: Vector
    wedge: float
    recentre_mm: Vector

    @property
    def growth(self) -> float:
        """How much larger than its template the body is, on average."""
        return float(np.prod(self.inner) ** (-1 / 3))

    def distance_mm(self, u: Array, v: Array, w: Array) -> Array:
        """About the distance to the surface; see `distances.Distance`."""
        place = zip(self.template_mm(u, v, w), self.shape.corner_mm.tolist(), strict=True)
        return _sampled(self.shape.distance_mm, [(axis - corner) / GRID_MM for axis, corner in place]) * self.growth

    def body_distance(self, inset_mm: float) -> Distance:
        """Distance to what belongs to the body, all in front of its posterior wall, `inset_mm` below its surface."""
        wall_mm = float(self.half_mm[1])
        return Distance(lambda u, v, w: maximum(self.distance_mm(u, v, w) + inset_mm, v - wall_mm))

    def template_mm(self, u: Array, v: Array, w: Array) -> list[Array]:
        """The place in the template that comes to lie at u, v, w."""
        place = [axis + float(shift) for axis, shift in zip((u, v, w), self.recentre_mm, strict=True)]
        moved = list(place)
        for wave in self.waves:
            height = _sine(sum(axis * float(k) for axis, k in zip(place, wave.per_mm, strict=True)) + wave.phase)
            moved = [axis + height * float(shift) for axis, shift in zip(moved, wave.shift_mm, strict=True)]
        if self.wedge:
            depth = float(self.half_mm[1])
            lost = ((depth - moved[1]) * (self.wedge / (2 * depth))).clip(0, self.wedge)
            moved[2] = moved[2] / (1 - lost)
        slopes = zip(moved, self.half_mm.tolist(), self.inner.tolist(), self.outer.tolist(), strict=True)
        left, back, up = (_two_slopes(*values) for values in slopes)
        return [-left if self.mirrored else left, back, up]

    def reach_mm(self) -> Vector:
        """(2, 3) box of the form."""
        count = np.array(self.shape.distance_mm.shape[::-1])
        corners = np.stack([self.shape.corner_mm, self.shape.corner_mm + GRID_MM * (count - 1)])
        if self.mirrored:
            corners[:, 0] = -corners[::-1, 0]
        inside = corners.clip(-self.half_mm * self.inner, self.half_mm * self.inner)
        margin = np.array([[-WAVE_MARGIN_MM], [WAVE_MARGIN_MM]])
        return inside / self.inner + (corners - inside) / self.outer - self.recentre_mm + margin

    def body_reach_mm(self) -> Vector:
        """(2, 3) box of the body."""
        return np.stack([-self.half_mm - BODY_MARGIN_MM, self.half_mm + BODY_MARGIN_MM])

    def costal_tip_mm(self, side: float) -> Vector | None:
        """Where the transverse process ends on that side (-1 right, 1 left) if it stands out from the body."""
        tip = self.shape.tips_mm[int((side > 0) != self.mirrored)]
        if abs(tip[0]) < self.shape.size_mm[0] / 2 + 4:
            return None
        flip = np.array([-1.0 if self.mirrored else 1.0, 1.0, 1.0])
        place = flip * tip / self.inner
        for _ in range(20):
            reached = np.array(self.template_mm(*place)).ravel()
            place = place + flip * (tip - reached) / self.inner
        return place


def with_forms(spine: Spine, shapes: Shapes, rng: np.random.Generator) -> Spine:
    """The column with a form for every vertebra that has a shape; all share the deformation of one patient.

    Without one stay the sacrum, what has no similar shape, and a last vertebra that has joined the sacrum.
    """
    common = _draw_waves(PATIENT_WAVES, PATIENT_SD_MM, rng)
    mirrored, choice = bool(rng.random() < 0.5), float(rng.random())
    vertebrae = []
    for vertebra in spine.vertebrae:
        candidates = shapes.candidates(_template_level(vertebra.level, rng))
        waves = common + _draw_waves(OWN_WAVES, OWN_SD_MM, rng)
        lengths = np.exp(rng.normal(0, 0.07, 3))
        size, form = vertebra.size, None
        if candidates and not joins_sacrum(vertebra.level, size):
            shape = candidates[int(choice * len(candidates))]
            form = fit(shape, size, vertebra.height_mm, vertebra.wedge, mirrored, waves, lengths)
        vertebrae.append(replace(vertebra, form=form))
    return replace(spine, vertebrae=tuple(vertebrae))


def paint_form(canvas: Canvas, frame: Frame, form: Form, bone: Bone, arch: Bone, rng: np.random.Generator) -> None:
    """The whole bone as an arch, then the body over it, whose marrow goes on into that of the pedicles."""
    # laminae and joints of real scans are nearly solid
    dense = Bone(arch.core_hu + float(rng.uniform(0, 200)), arch.shell_hu * float(rng.uniform(0.95, 1.45)), 2.1)
    canvas.paint(in_frame(frame, Distance(form.distance_mm), form.reach_mm()), dense)
    for inset_mm, hu in ((0.0, bone.shell_hu), (bone.shell_mm, bone.core_hu)):
        canvas.paint(in_frame(frame, form.body_distance(inset_mm), form.body_reach_mm()), hu)


def _template_level(level: Level, rng: np.random.Generator) -> Level:
    """The level itself, in the middle of the chest sometimes a neighbour."""
    shift = int(rng.choice((-1, 0, 1), p=(0.2, 0.6, 0.2)))
    first, last = MIDDLE_CHEST
    return Level(min(max(level + shift, first), last)) if first <= level <= last else level


def fit(
    shape: Shape,
    size: VertebraSize,
    height_mm: float,
    wedge: float = 0.0,
    mirrored: bool = False,
    waves: tuple[Wave, ...] = (),
    lengths: Vector | None = None,
) -> Form:
    """The shape in the size of a vertebra; the middle of its body is found again after it was deformed.

    lengths: (3,) factors on the length of transverse processes, spinous process and articular processes.
    """
    wanted = np.array([size.width_mm, size.depth_mm, height_mm])
    inner = shape.size_mm / wanted
    mean = float(np.prod(inner) ** (1 / 3))
    half = wanted / 2
    drawn = np.array([size.process_span_mm / 2, size.depth_mm / 2 + size.spinous_mm, 0.0]) - half
    own = np.array([abs(shape.tips_mm[:, 0]).mean(), shape.spinous_mm, 0.0]) - shape.size_mm / 2
    # a vertebra whose processes hardly stand out, and the height of the joints, follow the body's scale
    scale = np.where((own > 8) & (drawn > 8), own / np.maximum(drawn, 1e-6), mean)
    outer = np.clip(scale / mean, 1 / STRETCH[1], 1 / STRETCH[0]) * mean / (1.0 if lengths is None else lengths)
    return _recentred(Form(shape, mirrored, waves, half, inner, outer, wedge, np.zeros(3)), wanted)


def _recentred(form: Form, wanted_mm: Vector) -> Form:
    """The form shifted so that the middle of its body lies at the origin of the frame."""
    for _ in range(4):
        body = measure_body(_at_points(form.distance_mm), np.zeros(3), wanted_mm)
        form = replace(form, recentre_mm=form.recentre_mm + body.middle_mm)
    return form


def _at_points(distance: Formula) -> PointDistance:
    return lambda points: distance(points[:, 0], points[:, 1], points[:, 2])


def _draw_waves(count: int, sd_mm: float, rng: np.random.Generator) -> tuple[Wave, ...]:
    """Waves in random directions whose sum has about this SD in each direction."""
    waves = []
    for _ in range(count):
        direction = rng.normal(size=3)
        per_mm = direction / np.linalg.norm(direction) * 2 * np.pi / rng.uniform(*WAVE_LENGTH_MM)
        waves.append(Wave(per_mm, rng.normal(0, sd_mm * np.sqrt(2 / count), 3), float(rng.uniform(0, 2 * np.pi))))
    return tuple(waves)


def _two_slopes(axis: Array, half_mm: float, inner: float, outer: float) -> Array:
    """`inner` times the axis up to `half_mm` from zero, and `outer` times what is beyond."""
    near = axis.clip(-half_mm, half_mm)
    return near * inner + (axis - near) * outer


def _sine(angle: Array) -> Array:
    return angle.sin() if hasattr(angle, "sin") else np.sin(angle)


def _sampled(values: Any, index_uvw: list[Array]) -> Array:
    """Linear interpolation of (nw, nv, nu) values at fractional indices; beyond the grid, its border."""
    u, v, w = index_uvw
    if not hasattr(u, "new_tensor"):
        return ndimage.map_coordinates(values, np.stack([w, v, u]), order=1, mode="nearest")
    import torch

    grid = u.new_tensor(values)
    scaled = [2 * axis / (count - 1) - 1 for axis, count in zip((u, v, w), values.shape[::-1], strict=True)]
    places = torch.stack(scaled, dim=-1).reshape(1, 1, 1, -1, 3)
    sampled = torch.nn.functional.grid_sample(grid[None, None], places, padding_mode="border", align_corners=True)
    return sampled.reshape(u.shape)
