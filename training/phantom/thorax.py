"""Ribs on their joints, sternum, clavicles and shoulder blades."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level, Region

from . import tables
from .profile import Profile
from .solids import Bone, Canvas, paint_bone_tube, tube
from .spine import Spine, Vertebra
from .vertebra import SIDES, costal_v_mm

Vector = NDArray[np.float64]

SHORT_RIB_MM = 30.0
LAST_STERNAL_RIB = 7


def rib_numbers(spine: Spine) -> dict[int, Vertebra]:
    """Rib number and the vertebra that gives it its name; one pair per thoracic vertebra, none below."""
    thoracic = [vertebra for vertebra in spine.vertebrae if vertebra.level.region is Region.THORACIC]
    return dict(enumerate(thoracic, start=1))


def paint_ribs(
    canvas: Canvas, spine: Spine, chest: Profile, bone: Bone, short_last: bool, rng: np.random.Generator
) -> None:
    """All ribs, the cartilage of the upper ten, and the sternum."""
    ribs = rib_numbers(spine)
    factor = {number: spine.stature * float(rng.normal(1.0, 0.05)) for number in ribs}
    factor[len(ribs)] *= float(rng.uniform(0.6, 1.4))
    cartilage_hu = float(rng.uniform(80, 200))
    for side in SIDES:
        previous_end = _sternal_point(spine, chest, 1, side)
        for number, vertebra in ribs.items():
            length = tables.RIB_LENGTHS_MM[number - 1] * factor[number]
            if short_last and number == len(ribs):
                length = SHORT_RIB_MM
            path = rib_path_lps_mm(spine, number, vertebra, side, chest, length)
            paint_bone_tube(canvas, path, 4.6 if number < 11 else 4.0, bone)
            if number <= 10:
                goal = _sternal_point(spine, chest, number, side) if number <= LAST_STERNAL_RIB else previous_end
                canvas.paint_all(tube(np.stack([path[-1], goal]), 4.5), cartilage_hu)
                previous_end = (path[-1] + 2 * goal) / 3
    _paint_sternum(canvas, spine, chest, bone)


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
    """Axis of a rib (n, 3): head, neck along the transverse process, angle, then round the chest, falling steadily."""
    joint = rib_joint_lps_mm(spine, number, vertebra, side)
    up = 0.5 * vertebra.height_mm
    tubercle = vertebra.frame.to_lps((side * (vertebra.size.process_span_mm / 2 - 1), costal_v_mm(vertebra) - 5, up))
    points, travelled = [joint, tubercle], float(np.linalg.norm(tubercle - joint))
    slope = tables.RIB_SLOPES[number - 1]
    for angle in _angles(chest, tubercle):
        point = _on_chest(chest, side, angle, tubercle[2] - slope * (travelled + 6))
        travelled += float(np.linalg.norm(point - points[-1]))
        points.append(point)
    return _cut(np.array(points), length_mm)


def _cut(line: Vector, length_mm: float) -> Vector:
    """The first `length_mm` of a polyline (n, 3), all of it when it is shorter."""
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    end = min(length_mm, arc[-1])
    last = np.array([np.interp(end, arc, line[:, axis]) for axis in range(3)])
    return np.concatenate([line[arc < end], last[None]])


def _angles(chest: Profile, tubercle_lps_mm: Vector) -> Vector:
    """Angles round the chest from behind (0) to the front (pi), beginning beside the tubercle."""
    centre_x, _, half_x, _ = (float(value) for value in chest.at(float(tubercle_lps_mm[2])))
    start = np.arcsin(min(abs(tubercle_lps_mm[0] - centre_x) * 1.35 / half_x, 0.95))
    return np.arange(start, 0.94 * np.pi, 0.09)


def _on_chest(chest: Profile, side: float, angle: float, z_mm: float) -> Vector:
    """The point of the chest's surface at this angle from behind and this height."""
    x, y, a, b = (float(value) for value in chest.at(z_mm))
    power = 2 / chest.power
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.array([x + side * a * abs(sine) ** power, y + b * np.sign(cosine) * abs(cosine) ** power, z_mm])


def _sternal_point(spine: Spine, chest: Profile, number: int, side: float) -> Vector:
    """Notch of a sternal rib."""
    top, bottom = _sternum_z_mm(spine)
    z = top + (bottom - top) * (0.12 + 0.8 * (number - 1) / (LAST_STERNAL_RIB - 1))
    x, y, _, b = (float(value) for value in chest.at(z))
    return np.array([x + side * 16, y - b + 3, z])


def _sternum_z_mm(spine: Spine) -> tuple[float, float]:
    """Heights of the sternal notch and of the xiphoid: about T2/T3 and T9/T10."""
    return float(spine[Level.T3].frame.origin_lps_mm[2]) + 8, float(spine[Level.T9].frame.origin_lps_mm[2]) - 10


def _paint_sternum(canvas: Canvas, spine: Spine, chest: Profile, bone: Bone) -> None:
    top, bottom = _sternum_z_mm(spine)
    heights = np.linspace(top, bottom, 10)
    x, y, _, b = chest.at(heights)
    for offset in (-9.0, 0.0, 9.0):
        line = np.stack([x + offset, y - b + 1, heights], axis=1)
        canvas.paint_all(tube(line, 5.5), bone.shell_hu * 0.7)
    for offset in (-9.0, 0.0, 9.0):
        line = np.stack([x + offset, y - b + 1, heights], axis=1)
        canvas.paint_all(tube(line, 4.5), bone.core_hu * 0.7)


def paint_shoulders(canvas: Canvas, spine: Spine, chest: Profile, bone: Bone, arms: bool) -> None:
    """Clavicles, shoulder blades and, with the arms at the side, the upper arms with their muscles."""
    t2, t3, t7 = (spine[level].frame.origin_lps_mm for level in (Level.T2, Level.T3, Level.T7))
    top, _ = _sternum_z_mm(spine)
    scale = spine.stature
    front = _on_chest(chest, 1.0, np.pi, top - 6)
    for side in SIDES:
        acromion = np.array([t2[0] + side * 142 * scale, t2[1] - 6, t2[2] + 14])
        joint = acromion + np.array([side * 8, -6, -30])
        if arms:
            _paint_arm(canvas, joint, side, scale)
        paint_bone_tube(canvas, joint + np.array([[0, 0, 0], [0.1, 0.1, -4.0]]), 23 * scale, bone)
        inner = np.array([front[0] + side * 18, front[1], top])
        bow = (inner + acromion) / 2 + np.array([-side * 12, -12, 6])
        paint_bone_tube(canvas, np.stack([inner, bow, acromion]), 5.5, bone)
        _paint_scapula(canvas, chest, side, float(t3[2]) + 6, float(t7[2]) - 8, acromion, bone)


def _paint_arm(canvas: Canvas, joint: Vector, side: float, scale: float) -> None:
    elbow = joint + np.array([side * 32, 14, -300]) * scale
    line = np.stack([joint + np.array([0, 0, 6]), joint + np.array([side * 10, 4, -60]), elbow])
    canvas.paint_all(tube(line, 50 * scale), -100.0)
    canvas.paint_all(tube(line, 40 * scale), 55.0)
    paint_bone_tube(canvas, np.stack([joint, elbow]), 11 * scale, Bone(0.0, 1000.0, 4.0))


def _paint_scapula(
    canvas: Canvas, chest: Profile, side: float, top: float, bottom: float, acromion: Vector, bone: Bone
) -> None:
    """A thin blade behind the chest as a fan of rods, its neck towards the shoulder, and the spine of the scapula."""
    blade = Bone(bone.shell_hu * 0.7, bone.shell_hu * 0.8, 1.0)
    wall = chest.inset(-13.0)
    for share in np.linspace(0, 1, 12):
        z = top + (bottom - top) * share
        width = 0.62 - 0.5 * share
        line = np.stack([_on_chest(wall, side, angle, z) for angle in np.linspace(0.62, 0.62 + width, 4)])
        canvas.paint_all(tube(line, 3.4), blade.core_hu)
    neck = _on_chest(wall, side, 1.2, top - 8)
    paint_bone_tube(canvas, np.stack([neck, acromion + np.array([-side * 14, -2, -28])]), 9.0, bone)
    ridge = _on_chest(wall, side, 0.66, top - 16)
    paint_bone_tube(canvas, np.stack([ridge, (ridge + acromion) / 2 + np.array([0, 12, 4]), acromion]), 5.0, bone)
