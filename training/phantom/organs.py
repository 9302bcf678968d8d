"""Soft tissue: trunk with fat, lungs, abdominal organs, bowel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level

from .canvas import Canvas
from .distances import Array, Distance, interpolated, maximum
from .profile import Profile
from .solids import Solid, ellipsoid, tube
from .spec import PhantomSpec
from .spine import Spine
from .vertebra import SIDES

Vector = NDArray[np.float64]


def paint_trunk(canvas: Canvas, spine: Spine, trunk: Profile, spec: PhantomSpec, field: Array) -> None:
    """Skin and fat, muscles with fat between them, and the fat-filled belly."""
    neck = (trunk.z_mm > spine[Level.C7].frame.origin_lps_mm[2]) * 0.5
    thick = spec.fat_mm * (1 - neck)
    hull = Profile(*(trunk.z_mm, trunk.centre_x_mm, trunk.centre_y_mm), trunk.half_x_mm + thick,
                   trunk.half_y_mm + thick, trunk.power)  # fmt: skip
    canvas.paint(hull.solid(), 10.0)
    canvas.paint(hull.inset(2.0).solid(), -100.0)
    muscle = (52.0 + 5.0 * field).clip(-90, 80)
    muscle[field < -1.6] = -70.0
    canvas.paint(trunk.solid(), muscle)


def paint_lungs(canvas: Canvas, spine: Spine, chest: Profile, field: Array) -> None:
    """Both lungs: inside the ribs, beside the mediastinum and the spine, above the domes of the diaphragm."""
    inner = chest.inset(8.0).distance()
    height = {level: float(spine[level].frame.origin_lps_mm[2]) for level in (Level.T1, Level.T4, Level.T10)}
    apex, dome = height[Level.T1] - 2, height[Level.T10] + 6
    centroids = spine.centroids_lps_mm()[::-1]
    reach = np.interp(np.array([height[Level.T1], height[Level.T4], dome]), centroids[:, 2], centroids[:, 2])
    depth = 1.7 * float(chest.at(dome)[3])
    lung = (-845.0 + 35.0 * field).clip(-930, -650)
    for side in SIDES:
        width = np.array([26.0, 32.0, 62.0 if side > 0 else 40.0]) * spine.stature

        def distance(x: Array, y: Array, z: Array, side: float = side, width: Vector = width) -> Array:
            spine_x, spine_y = (interpolated(z, centroids[:, 2], centroids[:, axis]) for axis in (0, 1))
            lateral, ahead = side * (x - spine_x), spine_y - y
            middle = interpolated(z, reach[::-1], width[::-1])
            # the mediastinum is narrow beside the spine and behind the sternum, widest halfway
            share = ((ahead - 18) / depth).clip(0, 1)
            wall = 20 + (middle - 20) * 4 * share * (1 - share) - lateral
            vault = dome - ((lateral - 70) / 9) ** 2 * 0.6 - (26 - ahead).clip(0, None) * 0.75 - z
            return maximum(maximum(inner(x, y, z), wall), maximum(vault, z - apex))

        box = chest.solid().box_lps_mm
        canvas.paint(Solid(box, Distance(distance)), lung)


def paint_abdomen(canvas: Canvas, spine: Spine, trunk: Profile, rng: np.random.Generator, field: Array) -> None:
    """Belly fat with bowel loops and gas, liver, spleen, stomach, kidneys, psoas, bladder."""
    scale = spine.stature
    centroids = spine.centroids_lps_mm()[::-1]
    ceiling = float(spine[Level.T10].frame.origin_lps_mm[2])
    floor = float(spine.tail[-1].origin_lps_mm[2]) - 10
    wall = trunk.inset(24.0).distance()

    def cavity(x: Array, y: Array, z: Array) -> Array:
        spine_x, spine_y = (interpolated(z, centroids[:, 2], centroids[:, axis]) for axis in (0, 1))
        behind = y - spine_y + 24 - (abs(x - spine_x) - 30).clip(0, 50) * 1.0
        return maximum(maximum(wall(x, y, z), behind), abs(z - (ceiling + floor) / 2) - (ceiling - floor) / 2)

    filling = (28 + 9 * field).clip(10, 60)
    filling[field < rng.uniform(-0.3, 1.0)] = -95.0
    filling[field > rng.uniform(1.7, 2.6)] = -900.0
    if rng.random() < 0.25:  # swallowed contrast
        filling[(field > 1.1) & (field < 1.7)] = float(rng.uniform(150, 500))
    canvas.paint(Solid(trunk.solid().box_lps_mm, Distance(cavity)), filling)

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
