"""Mediastinum, heart, great vessels with their diseases, vessels of the lungs, oesophagus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level

from .canvas import Bone, Canvas
from .profile import Profile
from .solids import ellipsoid, tube
from .spec import PhantomSpec
from .spine import Spine
from .vertebra import SIDES

Vector = NDArray[np.float64]


def before(spine: Spine, level: Level, left: float, ahead: float, up: float = 0.0) -> Vector:
    """A point in front of the body of `level` (of the level above where this column lacks it), scaled by stature."""
    vertebra = spine[max(present for present in spine.levels if present <= level)]
    offset = np.array([left, -ahead, up]) * spine.stature
    return vertebra.frame.origin_lps_mm + offset - [0, vertebra.size.depth_mm / 2, 0]


def paint_mediastinum(canvas: Canvas, spine: Spine, spec: PhantomSpec, rng: np.random.Generator) -> None:
    """Fat, heart with its chambers, aorta with its arch, branch to the pelvis, venae cavae, lungs' vessels, gullet."""
    scale = spine.stature
    early, late = spec.vessel_hu * float(rng.uniform(0.85, 1.0)), spec.vessel_hu * float(rng.uniform(0.5, 1.0))
    heart = before(spine, Level.T7, 18, 56, -12)
    canvas.paint(ellipsoid(before(spine, Level.T5, 0, 48), np.array([30, 32, 52]) * scale), -85.0)
    canvas.paint(ellipsoid(heart, np.array([57, 45, 51]) * scale), -80.0)
    canvas.paint(ellipsoid(heart, np.array([54, 42, 48]) * scale), 55.0 + 0.25 * (late - 45.0))
    for offset, radii, hu in (((18, -2, -8), (24, 22, 30), early), ((-22, -10, -4), (18, 24, 30), late),
                              ((2, 26, 14), (28, 12, 16), early)):  # fmt: skip
        canvas.paint(ellipsoid(heart + np.array(offset) * scale, np.array(radii) * scale), hu)
    for side in SIDES:
        hilum = before(spine, Level.T6, side * 30, 40)
        for way in rng.normal((side * 45, 0, 0), (12, 25, 35), (4, 3)):
            canvas.paint_all(tube(np.stack([hilum, hilum + way * scale]), 4.5 * scale), late)
    _paint_veins(canvas, spine, late, rng)
    _paint_aorta(canvas, spine, spec, early, rng)
    gullet = np.stack([before(spine, level, 4, 6) for level in (Level.C7, Level.T3, Level.T6, Level.T10)])
    canvas.paint_all(tube(gullet, 6.0), 40.0)
    if rng.random() < 0.4:
        canvas.paint_all(tube(gullet[1:3], 3.5), -900.0)


def _paint_veins(canvas: Canvas, spine: Spine, hu: float, rng: np.random.Generator) -> None:
    """Venae cavae, the azygos, brachiocephalic veins; the upper ones sometimes full of undiluted contrast."""
    lower = [(Level.T9, -24, 34), (Level.T11, -20, 20), (Level.L1, -20, 12), (Level.L4, -16, 12)]
    canvas.paint_all(tube(np.stack([before(spine, *row) for row in lower]), 11.0 * spine.stature), hu)
    dense = float(rng.uniform(600, 2000)) if hu > 90 and rng.random() < 0.3 else hu
    upper = [(Level.T1, 40, 60), (Level.T3, -22, 58), (Level.T7, -24, 44)]
    canvas.paint_all(tube(np.stack([before(spine, *row) for row in upper]), 7.5 * spine.stature), dense)
    azygos = [(Level.T4, -8, 2), (Level.T8, -3, 2), (Level.T12, -5, 2)]
    canvas.paint_all(tube(np.stack([before(spine, *row) for row in azygos]), 3.5 * spine.stature), hu)
    for side in SIDES:
        neck = [(Level.C2, side * 26, 4), (Level.C5, side * 28, 14), (Level.T1, side * 30, 34)]
        canvas.paint_all(tube(np.stack([before(spine, *row) for row in neck]), 5.5 * spine.stature), hu)


def _paint_aorta(canvas: Canvas, spine: Spine, spec: PhantomSpec, hu: float, rng: np.random.Generator) -> None:
    scale = spine.stature
    rows = [(Level.T7, 6, 50), (Level.T5, -8, 48), (Level.T4, 2, 34, 4), (Level.T4, 16, 12, -2), (Level.T6, 18, 6)]
    rows += [(Level.T8, 18, 6), (Level.T10, 13, 10), (Level.T12, 7, 14), (Level.L2, 6, 13), (Level.L4, 3, 12)]
    aorta = np.stack([before(spine, *row) for row in rows])
    aorta[6:] += rng.normal(0, 3, (4, 3)) * [1.5, 1.0, 0.3]
    canvas.paint_all(tube(aorta, np.linspace(15, 9, len(aorta)) * scale), hu)
    for s in SIDES:
        iliac = [(Level.L4, 4, 14), (Level.S1, s * 28, 22), (Level.S2, s * 60, 60)]
        canvas.paint_all(tube(np.stack([before(spine, *row) for row in iliac]), 6.0 * scale), hu)
        carotid = [(Level.C2, s * 24, 8), (Level.C6, s * 22, 16), (Level.T2, s * 12, 36)]
        canvas.paint_all(tube(np.stack([before(spine, *row) for row in carotid]), 3.5 * scale), hu)
    if spec.disease.aneurysm_mm:
        _paint_aneurysm(canvas, spine, spec.disease.aneurysm_mm, hu, rng)
    if spec.disease.calcified_aorta:
        _paint_plaques(canvas, aorta, np.linspace(15, 9, len(aorta)) * scale, rng)


def _paint_aneurysm(canvas: Canvas, spine: Spine, radius_mm: float, hu: float, rng: np.random.Generator) -> None:
    """A sac that lies on the bodies: a calcified wall, thrombus along it and the bright lumen within."""
    level = (Level.T10, Level.L1, Level.L2, Level.L3)[int(rng.integers(4))]
    centre = before(spine, level, float(rng.normal(4, 8)), radius_mm / spine.stature - 1)
    radii = radius_mm * np.array([1.0, 1.0, float(rng.uniform(1.2, 2.2))])
    canvas.paint(ellipsoid(centre, radii), Bone(45.0, float(rng.choice((60.0, 300.0))), 1.2))
    lumen = float(rng.uniform(0.45, 0.95))
    canvas.paint(ellipsoid(centre + (1 - lumen) * rng.uniform(-0.6, 0.6, 3) * radii, lumen * radii), hu)


def _paint_plaques(canvas: Canvas, aorta: Vector, radii_mm: Vector, rng: np.random.Generator) -> None:
    """Calcified plaques on the wall at random places of the descending aorta."""
    for _ in range(int(rng.integers(4, 16))):
        i, share, angle = int(rng.integers(4, len(aorta) - 1)), rng.random(), rng.uniform(0, 2 * np.pi)
        centre = aorta[i] + share * (aorta[i + 1] - aorta[i])
        wall = centre + radii_mm[i] * np.array([np.cos(angle), np.sin(angle), 0.0])
        canvas.paint_all(tube(np.stack([wall, wall + rng.normal(0, 3, 3)]), float(rng.uniform(1, 2.2))), 900.0)


def paint_table(canvas: Canvas, trunk: Profile, fat_mm: float, prone: bool) -> None:
    """The couch under the patient: a carbon shell around foam, slightly bent upwards at the sides."""
    way = -1.0 if prone else 1.0
    surface = float(np.max(way * trunk.centre_y_mm + trunk.half_y_mm)) + fat_mm + 14
    axis_z = canvas.geometry.origin_lps_mm[2]
    low, high = axis_z - 30, axis_z + canvas.geometry.shape_zyx[0] * canvas.geometry.spacing_xyz_mm[2] + 30
    lines = [np.array([[x, way * (surface - (x / 60) ** 2), z] for z in (low, high)]) for x in np.arange(-200, 201, 16)]
    canvas.paint_bone([part for line in lines for part in tube(line, 11.0)], Bone(-880.0, 20.0, 1.5))
