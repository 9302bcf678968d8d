"""Soft tissue: trunk with fat, lungs, heart and vessels, abdominal organs, bowel, table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level

from .profile import Profile
from .solids import Array, Canvas, Solid, ellipsoid, tube
from .spec import PhantomSpec
from .spine import Spine
from .vertebra import SIDES

Vector = NDArray[np.float64]


def smooth_field(shape_zyx: tuple[int, int, int], cells: float, rng: np.random.Generator) -> Array:
    """Unit-variance noise on a grid whose features are about `cells` voxels wide."""
    field = rng.standard_normal([int(n / cells) + 4 for n in shape_zyx], dtype=np.float32)
    for axis, count in enumerate(shape_zyx):
        weights = _interpolation(count, field.shape[axis], cells, float(rng.random()))
        field = np.moveaxis(np.tensordot(weights, field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field)


def _interpolation(fine: int, coarse: int, cells: float, shift: float) -> Array:
    """(fine, coarse) linear interpolation, each row scaled to keep the variance of independent samples."""
    place = np.arange(fine)[:, None] / cells + 1 + shift
    weights = np.clip(1 - np.abs(place - np.arange(coarse)), 0, 1)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


def paint_trunk(canvas: Canvas, spine: Spine, trunk: Profile, spec: PhantomSpec, field: Array) -> None:
    """Skin and fat, muscles with fat between them, and the fat-filled belly."""
    neck = (trunk.z_mm > spine[Level.C7].frame.origin_lps_mm[2]) * 0.5
    thick = spec.fat_mm * (1 - neck)
    hull = Profile(*(trunk.z_mm, trunk.centre_x_mm, trunk.centre_y_mm), trunk.half_x_mm + thick,
                   trunk.half_y_mm + thick, trunk.power)  # fmt: skip
    canvas.paint(hull.solid(), 10.0)
    canvas.paint(hull.inset(2.0).solid(), -100.0)
    muscle = np.clip(52.0 + 5.0 * field, -90, 80)
    muscle[field < -1.6] = -70.0
    canvas.paint(trunk.solid(), muscle)


def paint_lungs(canvas: Canvas, spine: Spine, chest: Profile, field: Array) -> None:
    """Both lungs: inside the ribs, beside the mediastinum and the spine, above the domes of the diaphragm."""
    inner = chest.inset(8.0).distance()
    height = {level: float(spine[level].frame.origin_lps_mm[2]) for level in (Level.T1, Level.T4, Level.T10)}
    apex, dome = height[Level.T1] - 2, height[Level.T10] + 6
    centroids = spine.centroids_lps_mm()[::-1]
    reach = np.interp(np.array([height[Level.T1], height[Level.T4], dome]), centroids[:, 2], centroids[:, 2])
    depth = np.float32(1.7 * float(chest.at(dome)[3]))
    lung = np.clip(-845.0 + 35.0 * field, -930, -650)
    for side in SIDES:
        width = np.array([26.0, 32.0, 62.0 if side > 0 else 40.0]) * spine.stature

        def distance(x: Array, y: Array, z: Array, side: float = side, width: Vector = width) -> Array:
            spine_x = np.interp(z, centroids[:, 2], centroids[:, 0]).astype(np.float32)
            spine_y = np.interp(z, centroids[:, 2], centroids[:, 1]).astype(np.float32)
            lateral, ahead = side * (x - spine_x), spine_y - y
            middle = np.interp(z, reach[::-1], width[::-1]).astype(np.float32)
            # the mediastinum is narrow beside the spine and behind the sternum, widest halfway
            belly = np.sin(np.pi * np.clip((ahead - 18) / depth, 0, 1))
            wall = np.where(ahead > 18, 20 + (middle - 20) * belly, np.float32(22)) - lateral
            vault = dome - ((lateral - 70) / 9) ** 2 * 0.6 - np.clip(26 - ahead, 0, None) * 0.75 - z
            return np.maximum(np.maximum(inner(x, y, z), wall), np.maximum(vault, z - apex))

        box = chest.solid().box_lps_mm
        canvas.paint(Solid(box, distance), lung)


def paint_mediastinum(canvas: Canvas, spine: Spine, spec: PhantomSpec) -> None:
    """Heart, aorta with its arch, branch to the pelvis, vena cava, oesophagus."""
    scale = spine.stature

    def at(level: Level, left: float, ahead: float, up: float = 0.0) -> Vector:
        vertebra = spine[max(present for present in spine.levels if present <= level)]
        return vertebra.frame.origin_lps_mm + np.array([left, -ahead - vertebra.size.depth_mm / 2, up]) * scale

    heart = at(Level.T7, 18, 56, -12)
    canvas.paint(ellipsoid(heart, np.array([56, 44, 50]) * scale), -80.0)
    canvas.paint(ellipsoid(heart, np.array([52, 40, 46]) * scale), 45.0 + 0.8 * (spec.vessel_hu - 45.0))
    aorta = [at(Level.T7, 6, 50), at(Level.T5, -8, 48), at(Level.T4, 2, 34, 4), at(Level.T4, 16, 12, -2)]
    aorta += [at(level, 18, 6) for level in (Level.T6, Level.T8)]
    aorta += [at(Level.T10, 13, 10), at(Level.T12, 7, 14), at(Level.L2, 6, 13), at(Level.L4, 3, 12)]
    canvas.paint_all(tube(np.stack(aorta), np.linspace(15, 9, len(aorta)) * scale), spec.vessel_hu)
    cava = [at(Level.T9, -24, 34), at(Level.T11, -20, 20), at(Level.L1, -20, 12), at(Level.L4, -16, 12)]
    canvas.paint_all(tube(np.stack(cava), 11.0 * scale), 0.85 * spec.vessel_hu)
    for s in SIDES:
        iliac = [at(Level.L4, 4, 14), at(Level.S1, s * 28, 22), at(Level.S2, s * 60, 60)]
        canvas.paint_all(tube(np.stack(iliac), 6.0 * scale), spec.vessel_hu)
    gullet = np.stack([at(level, 4, 6) for level in (Level.C7, Level.T3, Level.T6)])
    canvas.paint_all(tube(gullet, 6.0), 40.0)
    if spec.calcified_aorta:
        for i in range(5, len(aorta) - 1):
            plaque = np.stack([aorta[i] + [8, 4, 0], aorta[i] + [9, -2, -9]])
            canvas.paint_all(tube(plaque, 2.0), 700.0)


def paint_abdomen(canvas: Canvas, spine: Spine, trunk: Profile, rng: np.random.Generator, field: Array) -> None:
    """Belly fat with bowel loops and gas, liver, spleen, stomach, kidneys, psoas, bladder."""
    scale = spine.stature
    centroids = spine.centroids_lps_mm()[::-1]
    ceiling = float(spine[Level.T10].frame.origin_lps_mm[2])
    floor = float(spine.tail[-1].origin_lps_mm[2]) - 10
    wall = trunk.inset(24.0).distance()

    def cavity(x: Array, y: Array, z: Array) -> Array:
        spine_x = np.interp(z, centroids[:, 2], centroids[:, 0]).astype(np.float32)
        spine_y = np.interp(z, centroids[:, 2], centroids[:, 1]).astype(np.float32)
        behind = y - spine_y + 24 - np.clip(np.abs(x - spine_x) - 34, 0, 45) * 0.9
        return np.maximum(np.maximum(wall(x, y, z), behind), np.maximum(z - ceiling, floor - z))

    filling = np.where(field > rng.uniform(-0.8, 0.6), np.clip(28 + 9 * field, 10, 60), np.float32(-95))
    filling[field > rng.uniform(1.7, 2.6)] = -900.0
    canvas.paint(Solid(trunk.solid().box_lps_mm, cavity), filling)

    def near(level: Level, left: float, ahead: float, up: float = 0.0) -> Vector:
        present = max(candidate for candidate in spine.levels if candidate <= level)
        return spine[present].frame.origin_lps_mm + np.array([left, -ahead, up]) * scale

    canvas.paint(ellipsoid(near(Level.T11, -58, 46), np.array([74, 74, 72]) * scale), float(rng.uniform(45, 110)))
    canvas.paint(ellipsoid(near(Level.T11, 82, 6), np.array([30, 44, 50]) * scale), float(rng.uniform(42, 110)))
    stomach = near(Level.T12, 50, 78)
    canvas.paint(ellipsoid(stomach, np.array([48, 42, 46]) * scale), 35.0)
    gas = np.array([38, 14, 38]) * scale * float(rng.uniform(0.3, 1.0))
    canvas.paint(ellipsoid(stomach - [0, 26 * scale, 0], gas), -920.0)
    for s in SIDES:
        psoas = [near(Level.L1, s * 26, 2), near(Level.L3, s * 38, 2), near(Level.L5, s * 50, 14)]
        psoas.append(near(Level.S2, s * 72, 60, -20))
        canvas.paint_all(tube(np.stack(psoas), np.array([12.0, 19.0, 21.0, 18.0]) * scale), 55.0)
        kidney = near(Level.L1, s * 62, 2, -22 if s < 0 else -8)
        canvas.paint(ellipsoid(kidney, np.array([31, 30, 57]) * scale), -95.0)
        canvas.paint(ellipsoid(kidney, np.array([25, 24, 50]) * scale), float(rng.uniform(32, 150)))
    canvas.paint(ellipsoid(near(Level.S2, 0, 110, -55), np.array([42, 38, 34]) * scale), 8.0)


def paint_table(canvas: Canvas, trunk: Profile, fat_mm: float) -> None:
    """The couch below the back: a carbon shell around foam, slightly bent upwards at the sides."""
    back = float(np.max(trunk.centre_y_mm + trunk.half_y_mm)) + fat_mm + 14
    axis_z = canvas.axes_xyz_mm[2]
    low, high = float(axis_z[0]) - 30, float(axis_z[-1]) + 30
    for x in np.arange(-200, 201, 16.0):
        line = np.array([[x, back - (x / 60) ** 2, z] for z in (low, high)])
        canvas.paint_all(tube(line, 11.0), 20.0)
    for x in np.arange(-200, 201, 16.0):
        line = np.array([[x, back - (x / 60) ** 2, z] for z in (low, high)])
        canvas.paint_all(tube(line, 9.5), -880.0)
