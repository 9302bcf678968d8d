"""The vertebrae as compositions of implicit solids in their own frames: left u, back v, up w in mm from the body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level, Region

from .solids import Array, Bone, Canvas, Distance, capsule, in_frame, tube, union, without
from .spine import Spine, Vertebra
from .tables import trabecular_hu

SIDES = (-1.0, 1.0)


def paint_column(canvas: Canvas, spine: Spine, bone_density: float, rng: np.random.Generator) -> None:
    """Canal, discs and all vertebrae above the sacrum; every vertebra a little denser or looser than the next."""
    paint_canal(canvas, spine)
    mobile = [vertebra for vertebra in spine.vertebrae if vertebra.level.region is not Region.SACRAL]
    for vertebra, below in zip(mobile[1:], spine.vertebrae[2:], strict=False):
        paint_disc(canvas, vertebra, below, rng)
    for vertebra in mobile:
        core_hu = trabecular_hu(vertebra.level) * bone_density * float(rng.normal(1.0, 0.06))
        shell_hu = 420.0 + 240.0 * bone_density
        paint_vertebra(canvas, vertebra, Bone(core_hu, shell_hu, 1.1), _arch_bone(core_hu, bone_density), rng)


def _arch_bone(core_hu: float, bone_density: float) -> Bone:
    """Arches and processes are mostly cortical: far brighter than the bodies at CT resolution."""
    return Bone(core_hu + 140.0 * bone_density, 500.0 + 280.0 * bone_density, 1.7)


def paint_canal(canvas: Canvas, spine: Spine) -> None:
    """Dural sac with fat around it, and the cord down to L1."""
    middle = np.array([canal_centre_lps_mm(vertebra) for vertebra in spine.vertebrae])
    radii = np.array([min(v.size.canal_width_mm, v.size.canal_depth_mm) / 2 for v in spine.vertebrae])
    canvas.paint_all(tube(middle, radii), -20.0)
    canvas.paint_all(tube(middle, 0.8 * radii), 15.0)
    cord = [i for i, level in enumerate(spine.levels) if level <= Level.L1]
    canvas.paint_all(tube(middle[cord], 4.5), 38.0)


def canal_centre_lps_mm(vertebra: Vertebra) -> NDArray[np.float64]:
    """Middle of the vertebral canal at the height of the body."""
    if vertebra.level is Level.C1:
        return vertebra.frame.to_lps((0.0, 6.0, 0.0))
    return vertebra.frame.to_lps((0.0, (vertebra.size.depth_mm + vertebra.size.canal_depth_mm) / 2, 0.0))


def paint_disc(canvas: Canvas, above: Vertebra, below: Vertebra, rng: np.random.Generator) -> None:
    """The whole gap between two bodies, later covered by them; sometimes narrow with gas in it."""
    gap = below.frame.origin_lps_mm - above.frame.origin_lps_mm
    middle = (above.frame.to_lps((0, 0, -above.height_mm / 2)) + below.frame.to_lps((0, 0, below.height_mm / 2))) / 2
    frame = type(above.frame)(middle, above.frame.axes)
    half = np.array([above.size.lower_width_mm / 2 - 0.5, above.size.lower_depth_mm / 2 - 0.5, 0.0])
    half[2] = float(np.linalg.norm(gap)) / 2 - 0.35 * above.height_mm
    distance = body(half[0], half[1], half[0], half[1], half[2], waist=0.0)
    # thin discs look denser than they are: uncovertebral joints and curved endplates reach into them
    hu = float(rng.uniform(65, 110)) + (0.0 if above.level >= Level.T11 else 50.0)
    canvas.paint(in_frame(frame, distance, np.stack([-half - 1, half + 1])), hu)
    if above.level >= Level.L3 and rng.random() < 0.15:
        gas = capsule((-half[0] / 2, 0, 0), (half[0] / 2, 0, 0), 1.5)
        canvas.paint(in_frame(frame, gas, np.stack([-half, half])), -300.0)


def paint_vertebra(canvas: Canvas, vertebra: Vertebra, bone: Bone, arch: Bone, rng: np.random.Generator) -> None:
    """One vertebra C1..L6 around its canal: the arch with its processes, then the body."""
    box = _reach(vertebra)
    if vertebra.level is Level.C1:
        canvas.paint(in_frame(vertebra.frame, _atlas(vertebra), box), arch)
        return
    processes = {Region.CERVICAL: _cervical, Region.THORACIC: _thoracic, Region.LUMBAR: _lumbar}
    canal = _canal(vertebra)
    distance = without(union(processes[vertebra.level.region](vertebra, rng)), canal)
    canvas.paint(in_frame(vertebra.frame, distance, box), arch)
    if vertebra.level is Level.C2:
        canvas.paint(in_frame(vertebra.frame, union(_dens(vertebra)), box), arch)
    canvas.paint(in_frame(vertebra.frame, without(_body(vertebra), canal), box), bone)


def body(upper_u: float, upper_v: float, lower_u: float, lower_v: float, half_height: float, waist: float) -> Distance:
    """A vertebral body: a squarish cylinder between two hollow endplates (half axes), narrower by `waist` halfway."""
    rise = np.float32(1.0 / (2.0 * half_height))

    def distance(u: Array, v: Array, w: Array) -> Array:
        share = np.clip(w * rise + 0.5, 0, 1)
        narrow = 1 - waist * (1 - (2 * share - 1) ** 2)
        a = (lower_u + (upper_u - lower_u) * share) * narrow
        b = (lower_v + (upper_v - lower_v) * share) * narrow
        radius = ((u / a) ** 4 + 1.6 * (u * v / (a * b)) ** 2 + (v / b) ** 4) ** np.float32(0.25)
        hollow = 12 * waist * np.clip(1 - radius**2, 0, 1)
        return np.maximum((radius - 1) * np.minimum(a, b), np.abs(w) + hollow - np.float32(half_height))

    return distance


def _body(vertebra: Vertebra) -> Distance:
    waist = {Region.CERVICAL: 0.03, Region.THORACIC: 0.05, Region.LUMBAR: 0.09}[vertebra.level.region]
    size = vertebra.size
    halves = (size.upper_width_mm, size.upper_depth_mm, size.lower_width_mm, size.lower_depth_mm)
    return body(*(value / 2 for value in halves), vertebra.height_mm / 2, waist)


def _canal(vertebra: Vertebra) -> Distance:
    """The canal as an upright elliptic cylinder."""
    a, b = vertebra.size.canal_width_mm / 2, vertebra.size.canal_depth_mm / 2
    middle = vertebra.size.depth_mm / 2 + b - 1.5  # the posterior wall is hollow
    return lambda u, v, w: (np.sqrt((u / a) ** 2 + ((v - middle) / b) ** 2) - 1) * min(a, b) + 0 * w


def _reach(vertebra: Vertebra) -> NDArray[np.float64]:
    """Local box (2, 3) that holds every part."""
    size, height = vertebra.size, vertebra.height_mm
    side = max(size.process_span_mm, size.width_mm) / 2 + 6
    back = size.depth_mm / 2 + size.spinous_mm + 8
    rise = 26.0 if vertebra.level is Level.C2 else 0.5 * height + 16
    return np.array([[-side, -size.depth_mm / 2 - 8, -1.4 * height - 18], [side, back, rise]])


def _arch(
    vertebra: Vertebra, lamina_mm: float, lamina_height: float, pedicle_w: float, pedicle_mm: float
) -> list[Distance]:
    """Pedicles (radius pedicle_mm, at height pedicle_w) and laminae, `lamina_height` times higher than thick."""
    size = vertebra.size
    side, front = size.canal_width_mm / 2, size.depth_mm / 2
    back = front + size.canal_depth_mm
    parts: list[Distance] = []
    for s in SIDES:
        start, stop = (s * (side + 1), front - 5, pedicle_w), (s * (side + 3), front + 9, pedicle_w)
        parts.append(capsule(start, stop, pedicle_mm, (1.0, 1.0, 1.5)))
        parts.append(
            capsule(
                (s * (side + 3), back - 0.5 * size.canal_depth_mm, 0.3 * pedicle_w),
                (0.0, back + 2.5, -0.15 * vertebra.height_mm),
                lamina_mm / 2,
                (1.0, 1.0, lamina_height),
            )
        )
    return parts


def _facets(vertebra: Vertebra, out_mm: float, radius_mm: float, up: float, down: float) -> list[Distance]:
    """Joint pillars beside the canal from `up` above to `down` below the middle of the body."""
    size = vertebra.size
    u, v = size.canal_width_mm / 2 + out_mm, (size.depth_mm + size.canal_depth_mm) / 2 + 2
    return [capsule((s * u, v - 1, up), (s * u, v + 3, -down), radius_mm) for s in SIDES]


def _spinous(vertebra: Vertebra, drop_mm: float, half_height_mm: float, thickness_mm: float) -> Distance:
    """Spinous process as a blade that drops by `drop_mm` to its tip."""
    size = vertebra.size
    root = (0.0, size.depth_mm / 2 + size.canal_depth_mm + 2, -0.15 * vertebra.height_mm)
    tip = (0.0, size.depth_mm / 2 + size.spinous_mm - 3, -0.15 * vertebra.height_mm - drop_mm)
    return capsule(root, tip, thickness_mm, (1.0, 1.0, half_height_mm / thickness_mm))


def _cervical(vertebra: Vertebra, rng: np.random.Generator) -> list[Distance]:
    size, height = vertebra.size, vertebra.height_mm
    v_side = size.depth_mm / 2 - 3
    parts = [*_arch(vertebra, 5.0, 1.5, 0.0, 2.8), *_facets(vertebra, 4.5, 5.0, 5.0, 6.0)]
    for s in SIDES:
        tip = (s * size.process_span_mm / 2 - s * 4, v_side + rng.uniform(-1, 3), -2.0)
        process = capsule((s * size.width_mm / 2, v_side, 0.0), tip, 3.8)
        foramen_u = s * (size.width_mm / 2 + 5)
        foramen = capsule((foramen_u, v_side, -20.0), (foramen_u, v_side, 20.0), 2.4)
        parts.append(without(process, foramen))
    drop = 3.0 if vertebra.level <= Level.C5 else 6.0
    parts.append(_spinous(vertebra, drop, 6.0 if vertebra.level is Level.C2 else 4.5, 3.0))
    if vertebra.level <= Level.C6:  # bifid tips
        v_tip, w_tip = size.depth_mm / 2 + size.spinous_mm - 5, -0.15 * height - drop
        parts += [capsule((0, v_tip, w_tip), (s * 5.0, v_tip + 5, w_tip - 2), 2.6) for s in SIDES]
    return parts


def _thoracic(vertebra: Vertebra, rng: np.random.Generator) -> list[Distance]:
    size, height = vertebra.size, vertebra.height_mm
    fall = np.interp(vertebra.level, [Level.T1, Level.T3, Level.T6, Level.T8, Level.T10, Level.T12], _THORACIC_FALL)
    parts = [
        *_arch(vertebra, 6.5, 1.9, 0.2 * height, 3.2),
        *_facets(vertebra, 3.0, 3.8, 0.55 * height, 0.6 * height),
        _spinous(vertebra, float(fall) * (size.spinous_mm - size.canal_depth_mm), 6.0, 3.2),
    ]
    for s in SIDES:
        root = (s * (size.canal_width_mm / 2 + 3), costal_v_mm(vertebra) - 8, 0.2 * height)
        tip = (s * (size.process_span_mm / 2 - 4), costal_v_mm(vertebra) + rng.normal(0, 1.5), 0.3 * height)
        parts.append(capsule(root, tip, 4.2))
    return parts


_THORACIC_FALL = (0.35, 0.6, 1.0, 1.0, 0.65, 0.25)


def costal_v_mm(vertebra: Vertebra) -> float:
    """How far behind the body centroid the tip of a thoracic transverse process lies."""
    return vertebra.size.depth_mm / 2 + vertebra.size.canal_depth_mm * 0.7 + 8


def _lumbar(vertebra: Vertebra, rng: np.random.Generator) -> list[Distance]:
    size, height = vertebra.size, vertebra.height_mm
    parts = [
        *_arch(vertebra, 7.5, 2.0, 0.2 * height, 4.4 if vertebra.level < Level.L5 else 6.5),
        *_facets(vertebra, 5.0, 6.0, 0.5 * height, 0.75 * height),
        _spinous(vertebra, 5.0 + rng.normal(0, 1.5), 10.5 if vertebra.level < Level.L5 else 7.0, 4.2),
    ]
    thick = 4.5 if vertebra.level < Level.L5 else 6.5
    for s in SIDES:
        root = (s * size.canal_width_mm / 2, size.depth_mm / 2 + 4, 0.15 * height)
        length = size.process_span_mm / 2 * float(rng.normal(1.0, 0.08)) - thick
        tip = (s * length, size.depth_mm / 2 + 9 + rng.normal(0, 2), 0.2 * height + rng.normal(0, 2))
        parts.append(capsule(root, tip, thick, (1.0, 0.75, 1.25)))
    return parts


def _dens(vertebra: Vertebra) -> list[Distance]:
    """Dens of the axis and the shoulders that carry the atlas."""
    w = vertebra.height_mm / 2
    parts = [capsule((0, 0.5, w - 4), (0, 1.5, w + 12.5), 5.0)]
    return parts + [capsule((s * 9, 0.5, w - 6), (s * 15, 2.0, w - 1), 6.0, (1.0, 1.0, 0.8)) for s in SIDES]


def _atlas(vertebra: Vertebra) -> Distance:
    """The ring of C1: lateral masses, anterior and posterior arch, transverse processes."""
    factor = vertebra.size.canal_width_mm / 26.6
    angles = np.linspace(0, 2 * np.pi, 25)
    ring = np.stack([21 * np.sin(angles), -18 * np.cos(angles), 0.8 * np.cos(2 * angles)], axis=1) * factor
    parts = [capsule(ring[i], ring[i + 1], 3.2 * factor, (1.0, 1.0, 1.35)) for i in range(24)]
    for s in SIDES:
        parts.append(capsule((s * 20, -6, -1), (s * 20, 2, 1), 7.0 * factor, (1.0, 1.0, 1.1)))
        parts.append(capsule((s * 24, -1, 0), (s * 33, 1, 0), 3.8 * factor))
    return union(parts)
