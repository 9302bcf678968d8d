"""Skull, jaws and airway above the neck, hung on C1 and C2."""

from __future__ import annotations

import numpy as np
from VertebraLabelingLib.core.anatomy import Level

from .canvas import Bone, Canvas, paint_bone_tube
from .distances import without
from .solids import Solid, ellipsoid, tube
from .spine import Spine
from .vertebra import SIDES

CRANIUM = np.array([0.0, 2.0, 78.0])
CRANIUM_RADII = np.array([72.0, 92.0, 68.0])


def paint_head(canvas: Canvas, spine: Spine, bone_density: float) -> None:
    """Soft tissue, skull base and vault, brain, face, teeth and mandible."""
    frame, scale = spine[Level.C1].frame, spine.stature
    origin = frame.origin_lps_mm
    bone = Bone(300.0 * bone_density, 1100.0, 2.5)
    paint_face_tissue(canvas, origin, scale)
    centre = origin + CRANIUM * scale
    canvas.paint(ellipsoid(centre, (CRANIUM_RADII + 4) * scale), 40.0)
    _paint_face(canvas, origin, scale, bone)
    outer, inner = (ellipsoid(centre, (CRANIUM_RADII - inset) * scale) for inset in (0.0, 7.0))
    canvas.paint(Solid(outer.box_lps_mm, without(outer.distance_mm, inner.distance_mm)), bone)
    canvas.paint(inner, 34.0)
    _paint_base(canvas, origin, scale, bone)


def paint_face_tissue(canvas: Canvas, origin: np.ndarray, scale: float) -> None:
    """Muscle and fat of cheeks, tongue and nape."""
    canvas.paint(ellipsoid(origin + np.array([0, -44, 6]) * scale, np.array([70, 74, 78]) * scale), -80.0)
    canvas.paint(ellipsoid(origin + np.array([0, -44, 6]) * scale, np.array([62, 67, 72]) * scale), 50.0)
    canvas.paint(ellipsoid(origin + np.array([0, 34, 2]) * scale, np.array([56, 44, 50]) * scale), 50.0)


def _paint_base(canvas: Canvas, origin: np.ndarray, scale: float, bone: Bone) -> None:
    """Occipital condyles, clivus, petrous bones with mastoids, and the great foramen."""

    def rod(points: list[tuple[float, float, float]], radius: float, material: Bone) -> None:
        paint_bone_tube(canvas, origin + np.array(points) * scale, radius * scale, material)

    canvas.paint_all(tube(origin + np.array([(0, 6, 8), (0, 4, 30)]) * scale, 14.0 * scale), 25.0)
    canvas.paint_all(tube(origin + np.array([(0, 6, 0), (0, 4, 30)]) * scale, 5.5 * scale), 36.0)
    rod([(0, -16, 15), (0, -30, 42)], 8.0, bone)
    mastoid = Bone(-250.0, 900.0, 2.5)
    for s in SIDES:
        rod([(s * 19, -6, 12), (s * 20, 4, 12)], 6.5, bone)
        rod([(s * 16, -24, 28), (s * 55, 2, 24)], 9.0, Bone(900.0, 1300.0, 2.0))
        rod([(s * 52, 8, 22), (s * 54, 8, 0)], 10.0, mastoid)
        rod([(s * 21, 6, 13), (s * 40, 26, 16), (s * 20, 44, 16), (0, 50, 14)], 3.5, bone)


def _paint_face(canvas: Canvas, origin: np.ndarray, scale: float, bone: Bone) -> None:
    """Maxilla with sinuses, nasal cavity, orbits, teeth and mandible."""
    angles = np.linspace(-1.35, 1.35, 13)
    arch = np.stack([27 * np.sin(angles), -44 - 44 * np.cos(angles), 0 * angles], axis=1)
    paint_bone_tube(canvas, origin + (arch + np.array([0, 0, 6])) * scale, 8.0 * scale, bone)
    for s in SIDES:
        canvas.paint(ellipsoid(origin + np.array([s * 26, -66, 26]) * scale, np.array([15, 18, 16]) * scale), bone)
        canvas.paint(ellipsoid(origin + np.array([s * 26, -66, 26]) * scale, np.array([12, 15, 13]) * scale), -950.0)
        canvas.paint(ellipsoid(origin + np.array([s * 30, -76, 58]) * scale, np.array([18, 22, 17]) * scale), -60.0)
        canvas.paint(ellipsoid(origin + np.array([s * 30, -80, 58]) * scale, np.full(3, 12.0) * scale), 15.0)
        jaw = np.array([(s * 50, -14, 20), (s * 46, -22, -24), (s * 36, -52, -34), (s * 14, -86, -36), (0, -90, -36)])
        paint_bone_tube(canvas, origin + jaw * scale, 7.5 * scale, bone)
    canvas.paint(ellipsoid(origin + np.array([0, -64, 32]) * scale, np.array([12, 36, 20]) * scale), -900.0)
    canvas.paint_all(tube(origin + (arch + np.array([0, 1, -4])) * scale, 5.0 * scale), 1400.0)
    canvas.paint_all(tube(origin + (arch * 0.98 + np.array([0, 1, -18])) * scale, 5.5 * scale), 1300.0)


def paint_airway(canvas: Canvas, spine: Spine) -> None:
    """Pharynx, larynx with hyoid and thyroid cartilage, trachea to its fork at T5 and the main bronchi."""

    def before(level: Level, ahead: float) -> np.ndarray:
        vertebra = spine[level]
        return vertebra.frame.origin_lps_mm + np.array([0, -(vertebra.size.depth_mm / 2 + ahead), 0]) * spine.stature

    hyoid, cricoid = before(Level.C3, 34), before(Level.C6, 20)
    canvas.paint_all(tube(np.stack([before(Level.C1, 22), before(Level.C3, 12), before(Level.C5, 14)]), 8.0), -950.0)
    for s in SIDES:
        horn = np.array([(s * 18, 16, 2), (s * 15, 2, 0), (0, -6, 0)])
        canvas.paint_all(tube(hyoid + horn * spine.stature, 2.8), 380.0)
        plate = np.array([(s * 17, 8, 14), (0, -10, 10)])
        canvas.paint_all(tube(cricoid + plate * spine.stature, 3.5), 170.0)
    fork = before(Level.T5, 18)
    wind = np.stack([before(Level.C5, 16), cricoid, before(Level.T1, 18), before(Level.T3, 18), fork])
    canvas.paint_all(tube(wind[1:], 10.0 * spine.stature), 80.0)
    canvas.paint_all(tube(wind, 8.0 * spine.stature), -980.0)
    for s in SIDES:
        bronchus = np.stack([fork, fork + np.array([s * 40, -8, -32]) * spine.stature])
        canvas.paint_all(tube(bronchus, 6.5 * spine.stature), -980.0)
