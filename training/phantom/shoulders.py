"""Clavicles, shoulder blades and arms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level

from .canvas import Bone, Canvas, paint_bone_tube
from .distances import Array, Distance, interpolated, maximum
from .profile import Profile
from .solids import Solid, tube
from .spec import PhantomSpec
from .spine import Spine
from .thorax import on_chest, sternum_z_mm
from .vertebra import SIDES

Vector = NDArray[np.float64]
BEHIND_CHEST_MM = 13.0
BLADE_MM = 2.2
"""Half the thickness of the blade of the scapula."""


def paint_shoulders(canvas: Canvas, spine: Spine, chest: Profile, bone: Bone, spec: PhantomSpec) -> None:
    """Clavicles, shoulder blades and the upper arms with their muscles, at the side or above the head."""
    t2, t3, t7 = (spine[level].frame.origin_lps_mm for level in (Level.T2, Level.T3, Level.T7))
    top, _ = sternum_z_mm(spine)
    scale = spine.stature
    front = on_chest(chest, 1.0, np.pi, top - 6)
    lift = 35.0 * scale if spec.arms_up else 0.0
    for side in SIDES:
        acromion = np.array([t2[0] + side * (142 * scale - 0.6 * lift), t2[1] - 6, t2[2] + 14 + lift])
        joint = acromion + np.array([side * 8, -6, -30 + lift])
        if spec.arms or spec.arms_up:
            _paint_arm(canvas, joint, side, scale, spec.arms_up)
        paint_bone_tube(canvas, joint + np.array([[0, 0, 0], [0.1, 0.1, -4.0]]), 23 * scale, bone)
        inner = np.array([front[0] + side * 18, front[1], top])
        bow = (inner + acromion) / 2 + np.array([-side * 12, -12, 6])
        paint_bone_tube(canvas, np.stack([inner, bow, acromion]), 5.5, bone)
        _paint_scapula(canvas, chest, side, (float(t7[2]) - 8, float(t3[2]) + 6), acromion, bone)


def _paint_arm(canvas: Canvas, joint: Vector, side: float, scale: float, up: bool) -> None:
    """Skin and fat, muscle and the humerus down to the elbow, or up to it beside the head."""
    way = np.array([side * 10, -30, 290]) if up else np.array([side * 32, 14, -300])
    elbow = joint + way * scale
    line = np.stack([joint - way * 0.02, joint + 0.2 * way, elbow])
    canvas.paint_all(tube(line, 50 * scale), -100.0)
    canvas.paint_all(tube(line, 40 * scale), 55.0)
    paint_bone_tube(canvas, np.stack([joint, elbow]), 11 * scale, Bone(0.0, 1000.0, 4.0))


def _paint_scapula(
    canvas: Canvas, chest: Profile, side: float, z_mm: tuple[float, float], acromion: Vector, bone: Bone
) -> None:
    """A thin triangular blade behind the chest, its neck towards the shoulder, and the spine of the scapula."""
    bottom, top = z_mm
    wall = chest.inset(-BEHIND_CHEST_MM)
    canvas.paint(_blade(wall, side, bottom, top), 0.75 * bone.shell_hu)
    neck = on_chest(wall, side, 1.2, top - 8)
    border = np.stack([on_chest(wall, side, angle, z) for angle, z in ((0.7, bottom + 4), (0.95, (bottom + top) / 2))])
    paint_bone_tube(canvas, np.concatenate([border, neck[None]]), 4.5, bone)
    paint_bone_tube(canvas, np.stack([neck, acromion + np.array([-side * 14, -2, -28])]), 9.0, bone)
    ridge = on_chest(wall, side, 0.66, top - 16)
    paint_bone_tube(canvas, np.stack([ridge, (ridge + acromion) / 2 + np.array([0, 12, 4]), acromion]), 5.0, bone)


def _blade(wall: Profile, side: float, bottom: float, top: float) -> Solid:
    """The part of the chest's mantle between two angles from behind; it narrows downwards."""
    distance = wall.distance()
    middle = np.array([bottom, top])
    corners = np.stack([on_chest(wall, side, angle, z) for angle in (0.55, 0.9, 1.25) for z in (bottom, top)])

    def blade(x: Array, y: Array, z: Array) -> Array:
        cx, cy = (interpolated(z, wall.z_mm, column) for column in (wall.centre_x_mm, wall.centre_y_mm))
        lateral, behind = side * (x - cx), y - cy
        share = ((z - bottom) / (top - bottom)).clip(0, 1)
        # angles as slopes: sideways per backwards, from the medial to the lateral border
        outer = lateral * 1.0 - behind * (0.75 + 1.45 * share)
        inner = behind * 0.55 - lateral
        sheet = abs(distance(x, y, z)) - BLADE_MM
        return maximum(
            maximum(sheet, maximum(0.6 * outer, 0.8 * inner)), abs(z - float(middle.mean())) - (top - bottom) / 2
        )

    return Solid(np.stack([corners.min(axis=0) - 12, corners.max(axis=0) + 12]), Distance(blade))
