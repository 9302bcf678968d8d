"""Ribs on their joints, with their cartilage, and the sternum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level, Region
from VertebraLabelingLib.core.spine_curve import arc_lengths_mm

from . import tables
from .canvas import Bone, Canvas, paint_bone_tube
from .profile import Profile
from .solids import tube
from .spec import Anatomy
from .spine import Spine, Vertebra
from .vertebra import SIDES, costal_v_mm

Vector = NDArray[np.float64]

LAST_STERNAL_RIB = 7


def rib_numbers(spine: Spine) -> dict[int, Vertebra]:
    """Rib number and the vertebra that gives it its name; one pair per thoracic vertebra, none below."""
    thoracic = [vertebra for vertebra in spine.vertebrae if vertebra.level.region is Region.THORACIC]
    return dict(enumerate(thoracic, start=1))


def paint_ribs(
    canvas: Canvas, spine: Spine, chest: Profile, bone: Bone, anatomy: Anatomy, rng: np.random.Generator
) -> None:
    """All ribs, those of C7 and L1 too, the cartilage of the upper ten, and the sternum."""
    ribs = rib_numbers(spine)
    lengths = rib_lengths_mm(spine, anatomy, rng)
    cartilage_hu, thick = float(rng.uniform(80, 250)), float(rng.uniform(0.9, 1.15))
    for side, length_mm in zip(SIDES, lengths, strict=True):
        previous_end = _sternal_point(spine, chest, 1, side)
        for number, vertebra in ribs.items():
            path = rib_path_lps_mm(spine, number, vertebra, side, chest, length_mm[number])
            if len(path) < 2:
                continue
            paint_bone_tube(canvas, path, thick * (3.7 if number < 11 else 3.2), bone, 1.5)
            if number <= 10:
                goal = _sternal_point(spine, chest, number, side) if number <= LAST_STERNAL_RIB else previous_end
                canvas.paint_all(tube(np.stack([path[-1], goal]), 4.5), cartilage_hu)
                previous_end = (path[-1] + 2 * goal) / 3
    _paint_extra_ribs(canvas, spine, chest, bone, anatomy)
    _paint_sternum(canvas, spine, chest, bone)


def rib_lengths_mm(spine: Spine, anatomy: Anatomy, rng: np.random.Generator) -> tuple[dict[int, float], ...]:
    """Bony length of every rib by its number, right and left side; as the spec has it for the last pair."""
    numbers = rib_numbers(spine)
    usual = {n: tables.RIB_LENGTHS_MM[n - 1] * spine.stature * float(rng.normal(1.0, 0.05)) for n in numbers}
    last = max(numbers)
    if anatomy.thoracic_count == 13:  # the pair above a thirteenth one is an ordinary last one
        usual[12] *= float(rng.uniform(0.8, 1.6))
    usual[11] *= float(rng.uniform(0.6, 1.35))
    usual[last] *= float(rng.uniform(0.6, 1.4))
    sides = (dict(usual), dict(usual))
    for side, length_mm in zip(sides, anatomy.last_rib_mm or (usual[last],) * 2, strict=True):
        side[last] = length_mm
    return sides


def _paint_extra_ribs(canvas: Canvas, spine: Spine, chest: Profile, bone: Bone, anatomy: Anatomy) -> None:
    """Ribs where none should be: on L1, shaped like a last rib, and on C7, shaped like a first one."""
    for level, number, pair in (
        (Level.L1, 12, anatomy.lumbar_rib_mm),
        (Level.C7, 1, anatomy.cervical_rib_mm),
    ):
        for side, length_mm in zip(SIDES, pair, strict=True):
            path = rib_path_lps_mm(spine, number, spine[level], side, chest, length_mm)
            if len(path) > 1:
                paint_bone_tube(canvas, path, 3.2, bone, 1.3)


def rib_joint_lps_mm(spine: Spine, number: int, vertebra: Vertebra, side: float) -> Vector:
    """Where a rib's head sits: at the disc above its vertebra for ribs 2..9, on the body for the first and the last."""
    size, height = vertebra.size, vertebra.height_mm
    above = spine.vertebrae[spine.levels.index(vertebra.level) - 1]
    gap = float(np.linalg.norm(above.frame.origin_lps_mm - vertebra.frame.origin_lps_mm))
    up = gap / 2 if 2 <= number <= 9 else {1: 0.3, 10: 0.35}.get(number, 0.15) * height
    return vertebra.frame.to_lps((side * (size.width_mm / 2 + 2), size.depth_mm * 0.36, up))


def rib_path_lps_mm(
    spine: Spine, number: int, vertebra: Vertebra, side: float, chest: Profile, length_mm: float
) -> Vector:
    """Axis of a rib (n, 3): head, neck along the transverse process, angle, then round the chest, falling steadily.

    The path has a single point when the length is 0, and ends earlier when the rib reaches the front.
    """
    joint = rib_joint_lps_mm(spine, number, vertebra, side)
    tubercle = _tubercle_lps_mm(vertebra, side)
    points, travelled = [joint, tubercle], float(np.linalg.norm(tubercle - joint))
    slope = tables.RIB_SLOPES[number - 1]
    for angle in _angles(chest, tubercle):
        point = on_chest(chest, side, angle, tubercle[2] - slope * (travelled + 6))
        travelled += float(np.linalg.norm(point - points[-1]))
        points.append(point)
    return _cut(np.array(points), length_mm)


def _tubercle_lps_mm(vertebra: Vertebra, side: float) -> Vector:
    """Where a rib leans on the transverse process: before its tip."""
    tip = vertebra.form.costal_tip_mm(side) if vertebra.form else None
    if tip is not None:
        return vertebra.frame.to_lps(tip + [-side, -5.0, 2.0])
    out = min(vertebra.size.process_span_mm, 75.0) / 2 - 1
    return vertebra.frame.to_lps((side * out, costal_v_mm(vertebra) - 5, 0.5 * vertebra.height_mm))


def _cut(line: Vector, length_mm: float) -> Vector:
    """The first `length_mm` of a polyline (n, 3), all of it when it is shorter."""
    arc = arc_lengths_mm(line)
    if length_mm <= 0:
        return line[:1]
    end = min(length_mm, arc[-1])
    last = np.array([np.interp(end, arc, line[:, axis]) for axis in range(3)])
    return np.concatenate([line[arc < end], last[None]])


def _angles(chest: Profile, tubercle_lps_mm: Vector) -> Vector:
    """Angles round the chest from behind (0) to the front (pi), beginning beside the tubercle."""
    centre_x, _, half_x, _ = (float(value) for value in chest.at(float(tubercle_lps_mm[2])))
    start = np.arcsin(min(abs(tubercle_lps_mm[0] - centre_x) * 1.35 / half_x, 0.95))
    return np.arange(start, 0.94 * np.pi, 0.09)


def on_chest(chest: Profile, side: float, angle: float, z_mm: float) -> Vector:
    """The point of the chest's surface at this angle from behind and this height."""
    x, y, a, b = (float(value) for value in chest.at(z_mm))
    power = 2 / chest.power
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.array([x + side * a * abs(sine) ** power, y + b * np.sign(cosine) * abs(cosine) ** power, z_mm])


def _sternal_point(spine: Spine, chest: Profile, number: int, side: float) -> Vector:
    """Notch of a sternal rib."""
    top, bottom = sternum_z_mm(spine)
    z = top + (bottom - top) * (0.12 + 0.8 * (number - 1) / (LAST_STERNAL_RIB - 1))
    x, y, _, b = (float(value) for value in chest.at(z))
    return np.array([x + side * 16, y - b + 3, z])


def sternum_z_mm(spine: Spine) -> tuple[float, float]:
    """Heights of the sternal notch and of the xiphoid: about T2/T3 and T9/T10."""
    return float(spine[Level.T3].frame.origin_lps_mm[2]) + 8, float(spine[Level.T9].frame.origin_lps_mm[2]) - 10


def _paint_sternum(canvas: Canvas, spine: Spine, chest: Profile, bone: Bone) -> None:
    top, bottom = sternum_z_mm(spine)
    heights = np.linspace(top, bottom, 10)
    x, y, _, b = chest.at(heights)
    lines = [np.stack([x + offset, y - b + 1, heights], axis=1) for offset in (-9.0, 0.0, 9.0)]
    thin = Bone(bone.core_hu * 0.7, bone.shell_hu * 0.7, 1.0)
    canvas.paint_bone([part for line in lines for part in tube(line, 5.5)], thin)
