"""The vertebrae as compositions of implicit solids in their own frames: left u, back v, up w in mm from the body."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level, Region

from .canvas import Bone, Canvas
from .distances import Array, Distance, elliptic_cylinder, maximum, turned
from .forms import paint_form
from .solids import Solid, cut_out, in_frame, rod, tube
from .spec import PhantomSpec
from .spine import Frame, Spine, Vertebra
from .tables import joins_sacrum, trabecular_hu

SIDES = (-1.0, 1.0)


def paint_column(canvas: Canvas, spine: Spine, spec: PhantomSpec, rng: np.random.Generator) -> None:
    """Canal, discs and all vertebrae above the sacrum; every vertebra a little denser or looser than the next."""
    density = spec.disease.bone_density
    paint_canal(canvas, spine)
    mobile = [vertebra for vertebra in spine.vertebrae if vertebra.level < Level.S1]
    for vertebra, below in pairwise(spine.vertebrae[1 : len(mobile) + 1]):
        paint_disc(canvas, vertebra, below, rng)
    shell_hu, arch_core = float(rng.uniform(0.85, 1.3)), float(rng.uniform(60, 150))
    for vertebra in mobile:
        core_hu = trabecular_hu(vertebra.level) * density * float(rng.normal(1.0, 0.06)) + 150 * vertebra.wedge
        body_bone = Bone(core_hu, shell_hu * (420.0 + 240.0 * density), 1.25)
        # arches and processes are mostly cortical: far brighter than the bodies at CT resolution
        arch = Bone(core_hu + arch_core * density, shell_hu * (500.0 + 280.0 * density), 1.7)
        paint_vertebra(canvas, vertebra, body_bone, arch, rng)
    if spec.disease.osteophytes:
        paint_osteophytes(canvas, mobile[1:], spec.disease.osteophytes, 500.0 + 200.0 * density, rng)


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
    frame = Frame(middle, above.frame.axes)
    half = np.array([above.size.lower_width_mm / 2 - 0.5, above.size.lower_depth_mm / 2 - 0.5, 0.0])
    half[2] = float(np.linalg.norm(gap)) / 2 - 0.35 * above.height_mm
    distance = body(half[0], half[1], half[0], half[1], half[2], waist=0.0)
    # thin discs look denser than they are: uncovertebral joints and curved endplates reach into them
    hu = float(rng.uniform(65, 110)) + (0.0 if above.level >= Level.T11 else 50.0)
    canvas.paint(in_frame(frame, distance, np.stack([-half - 1, half + 1])), hu)
    if above.level >= Level.T12 and rng.random() < 0.12:
        canvas.paint(rod(frame, (-half[0] / 2, 0, 0), (half[0] / 2, 0, 0), 1.5), -300.0)


def paint_vertebra(canvas: Canvas, vertebra: Vertebra, bone: Bone, arch: Bone, rng: np.random.Generator) -> None:
    """One vertebra C1..L6 around its canal: the arch with its processes, then the body."""
    if vertebra.form:
        paint_form(canvas, vertebra.frame, vertebra.form, bone, arch, rng)
        return
    if vertebra.level is Level.C1:
        canvas.paint_bone(_atlas(vertebra), arch)
        return
    processes = {Region.CERVICAL: _cervical, Region.THORACIC: _thoracic, Region.LUMBAR: _lumbar}
    canal = turned(vertebra.frame, _canal(vertebra))
    canvas.paint_bone(cut_out(processes[vertebra.level.region](vertebra, rng), canal), arch)
    if vertebra.level is Level.C2:
        canvas.paint_bone(_dens(vertebra), arch)
    (solid,) = cut_out([_body(vertebra, rng)], canal)
    canvas.paint(solid, bone)


def body(
    upper_u: float,
    upper_v: float,
    lower_u: float,
    lower_v: float,
    half_height: float,
    waist: float,
    wedge: float = 0.0,
    skew: float = 0.0,
) -> Distance:
    """A vertebral body: a squarish cylinder between two hollow endplates (half axes).

    waist: how much narrower it is halfway.  wedge: share of its height lost in front.  skew: sideways lean of its axis.
    """  # fmt: skip
    mean_u, mean_v = (upper_u + lower_u) / 2, (upper_v + lower_v) / 2
    more_u, more_v = (upper_u - lower_u) / (4 * half_height), (upper_v - lower_v) / (4 * half_height)
    thinnest = 1 - waist
    walls = (mean_u, more_u * 2, mean_v, more_v * 2, thinnest, waist / half_height**2, skew)
    plates = (min(mean_u, mean_v) * thinnest, 12 * waist, half_height)
    return Distance(_body_distance, (*walls, *plates, *((wedge, wedge / (2 * mean_v)) if wedge else ())))


def _body_distance(u: Array, v: Array, w: Array, *numbers: Array) -> Array:
    mean_u, slope_u, mean_v, slope_v, thinnest, bend, skew, smallest, hollow, half_height, *wedge = numbers
    narrow = thinnest + bend * w * w
    a, b = (mean_u + slope_u * w) * narrow, (mean_v + slope_v * w) * narrow
    u2, v2 = ((u - skew * w) / a) ** 2, (v / b) ** 2
    radius2 = (u2 * u2 + 1.6 * u2 * v2 + v2 * v2) ** 0.5
    side = (radius2**0.5 - 1) * smallest
    roof = abs(w) + hollow * (1 - radius2).clip(0, 1) - half_height
    if wedge:
        lost, slope = wedge
        roof = roof + half_height * (slope * (mean_v - v)).clip(0, None).clip(None, lost)
    return maximum(side, roof)


def _body(vertebra: Vertebra, rng: np.random.Generator) -> Solid:
    waist = {Region.CERVICAL: 0.03, Region.THORACIC: 0.05, Region.LUMBAR: 0.09}[vertebra.level.region]
    size = vertebra.size
    halves = [size.upper_width_mm, size.upper_depth_mm, size.lower_width_mm, size.lower_depth_mm]
    halves = [value / 2 * float(rng.normal(1.0, 0.03)) for value in halves]
    skew = float(rng.normal(0, 0.03))
    distance = body(*halves, vertebra.height_mm / 2, waist * float(rng.uniform(0.6, 1.5)), vertebra.wedge, skew)
    reach = np.array([max(halves[0], halves[2]) + 2, max(halves[1], halves[3]) + 1, vertebra.height_mm / 2])
    return in_frame(vertebra.frame, distance, np.stack([-reach, reach]))


def paint_osteophytes(
    canvas: Canvas, bodies: list[Vertebra], amount: float, hu: float, rng: np.random.Generator
) -> None:
    """Spurs at the front and the sides of the endplates; where they are large they bridge the disc."""
    for above, below in pairwise(bodies):
        for angle in np.radians([-80, -45, -10, 25, 60]):
            if rng.random() > 0.25 + 0.6 * amount:
                continue
            ends = [
                vertebra.frame.to_lps((
                    np.sin(angle) * (vertebra.size.width_mm / 2 + 1),
                    -np.cos(angle) * (vertebra.size.depth_mm / 2 + 1),
                    -way * (vertebra.height_mm / 2 - 4),
                ))
                for vertebra, way in ((above, 1), (below, -1))
            ]  # fmt: skip
            middle = (ends[0] + ends[1]) / 2 + 3 * amount * above.frame.to_lps((np.sin(angle), -np.cos(angle), 0.0))
            middle -= 3 * amount * above.frame.origin_lps_mm
            reach = float(rng.uniform(0.3, 0.6 + amount))
            radius = float(rng.uniform(1.0, 1.5 + 2 * amount))
            if reach >= 1:
                canvas.paint_all(tube(np.stack([ends[0], middle, ends[1]]), radius), hu)
                continue
            for end in ends:
                canvas.paint_all(tube(np.stack([end, end + reach * (middle - end)]), radius), hu)


def _canal(vertebra: Vertebra) -> Distance:
    """The canal as an upright elliptic cylinder."""
    a, b = vertebra.size.canal_width_mm / 2, vertebra.size.canal_depth_mm / 2
    middle = vertebra.size.depth_mm / 2 + b - 1.5  # the posterior wall is hollow
    return elliptic_cylinder(a, b, middle)


def _arch(
    vertebra: Vertebra, lamina_mm: float, lamina_height: float, pedicle_w: float, pedicle_mm: float
) -> list[Solid]:
    """Pedicles (radius pedicle_mm, at height pedicle_w) and laminae, `lamina_height` times higher than thick."""
    size, frame = vertebra.size, vertebra.frame
    side, front = size.canal_width_mm / 2, size.depth_mm / 2
    back, drop = front + size.canal_depth_mm, -0.15 * vertebra.height_mm
    parts: list[Solid] = []
    for s in SIDES:
        start, stop = (s * (side + 1), front - 5, pedicle_w), (s * (side + 3), front + 9, pedicle_w)
        parts.append(rod(frame, start, stop, pedicle_mm, (1.0, 1.0, 1.5)))
        start = (s * (side + 3), back - 0.5 * size.canal_depth_mm, 0.3 * pedicle_w)
        parts.append(rod(frame, start, (0.0, back + 2.5, drop), lamina_mm / 2, (1.0, 1.0, lamina_height)))
    return parts


def _facets(vertebra: Vertebra, out_mm: float, radius_mm: float, up: float, down: float) -> list[Solid]:
    """Joint pillars beside the canal from `up` above to `down` below the middle of the body."""
    size = vertebra.size
    u, v = size.canal_width_mm / 2 + out_mm, (size.depth_mm + size.canal_depth_mm) / 2 + 2
    return [rod(vertebra.frame, (s * u, v - 1, up), (s * u, v + 3, -down), radius_mm) for s in SIDES]


def _spinous(
    vertebra: Vertebra, drop_mm: float, half_height_mm: float, thickness_mm: float, rng: np.random.Generator
) -> Solid:
    """Spinous process as a blade that drops by about `drop_mm` to its tip, a little long, short or crooked."""
    size = vertebra.size
    root = (0.0, size.depth_mm / 2 + size.canal_depth_mm + 2, -0.15 * vertebra.height_mm)
    length = size.spinous_mm * float(rng.normal(1.0, 0.06)) - 3
    tip = (float(rng.normal(0, 2)), size.depth_mm / 2 + length, root[2] - drop_mm * float(rng.normal(1.0, 0.1)))
    return rod(vertebra.frame, root, tip, thickness_mm, (1.0, 1.0, half_height_mm / thickness_mm))


def _cervical(vertebra: Vertebra, rng: np.random.Generator) -> list[Solid]:
    size, height, frame = vertebra.size, vertebra.height_mm, vertebra.frame
    v_side = size.depth_mm / 2 - 3
    parts = [*_arch(vertebra, 5.0, 1.5, 0.0, 2.8), *_facets(vertebra, 4.5, 5.0, 5.0, 6.0)]
    for s in SIDES:
        # front and back bar of the transverse process with the foramen of the artery between them
        tip = (s * size.process_span_mm / 2 - s * 4, v_side + rng.uniform(-1, 3), -2.0)
        for root_v in (v_side - 3.5, v_side + 3.5):
            parts.append(rod(frame, (s * size.width_mm / 2, root_v, 0.0), tip, 2.4))
    drop = 3.0 if vertebra.level <= Level.C5 else 6.0
    parts.append(_spinous(vertebra, drop, 6.0 if vertebra.level is Level.C2 else 4.5, 3.0, rng))
    if vertebra.level <= Level.C6:  # bifid tips
        v_tip, w_tip = size.depth_mm / 2 + size.spinous_mm - 5, -0.15 * height - drop
        parts += [rod(frame, (0, v_tip, w_tip), (s * 5.0, v_tip + 5, w_tip - 2), 2.6) for s in SIDES]
    return parts


def _thoracic(vertebra: Vertebra, rng: np.random.Generator) -> list[Solid]:
    size, height = vertebra.size, vertebra.height_mm
    fall = np.interp(vertebra.level, [Level.T1, Level.T3, Level.T6, Level.T8, Level.T10, Level.T12], _THORACIC_FALL)
    parts = [
        *_arch(vertebra, 6.5, 1.9, 0.2 * height, 3.2),
        *_facets(vertebra, 3.0, 3.8, 0.55 * height, 0.6 * height),
        _spinous(vertebra, float(fall) * (size.spinous_mm - size.canal_depth_mm), 6.0, 3.2, rng),
    ]
    for s in SIDES:
        root = (s * (size.canal_width_mm / 2 + 3), costal_v_mm(vertebra) - 8, 0.2 * height)
        tip = (s * (size.process_span_mm / 2 - 4), costal_v_mm(vertebra) + rng.normal(0, 1.5), 0.3 * height)
        parts.append(rod(vertebra.frame, root, tip, 4.2))
    return parts


_THORACIC_FALL = (0.35, 0.6, 1.0, 1.0, 0.65, 0.25)


def costal_v_mm(vertebra: Vertebra) -> float:
    """How far behind the body centroid the tip of a thoracic transverse process lies."""
    return vertebra.size.depth_mm / 2 + vertebra.size.canal_depth_mm * 0.7 + 8


def _lumbar(vertebra: Vertebra, rng: np.random.Generator) -> list[Solid]:
    height = vertebra.height_mm
    lowest = vertebra.level >= Level.L5
    parts = [
        *_arch(vertebra, 7.5, 2.0, 0.2 * height, 6.5 if lowest else 4.4),
        *_facets(vertebra, 5.0, 6.0, 0.5 * height, 0.75 * height),
        _spinous(vertebra, 5.0, 7.0 if lowest else 10.5, 4.2, rng),
    ]
    for s in SIDES:
        parts.append(_costal_process(vertebra, s, rng))
    return parts


def _costal_process(vertebra: Vertebra, side: float, rng: np.random.Generator) -> Solid:
    """Transverse process of a lumbar vertebra: slender at L1 to L3, rising at L4, stout at the last one."""
    size, height = vertebra.size, vertebra.height_mm
    root = (side * size.canal_width_mm / 2, size.depth_mm / 2 + 4, 0.15 * height)
    if joins_sacrum(vertebra.level, size):
        thick = float(rng.uniform(8, 12))
        tip = (side * (size.process_span_mm / 2 - thick), size.depth_mm / 2 + 2, -0.35 * height)
        return rod(vertebra.frame, root, tip, thick, (1.0, 0.9, 1.2))
    thick, rise = {Level.L4: (4.0, 0.35), Level.L5: (6.5, 0.3), Level.L6: (6.5, 0.2)}.get(vertebra.level, (4.2, 0.2))
    length = size.process_span_mm / 2 * float(np.clip(rng.normal(1.0, 0.14), 0.6, 1.4)) - thick
    back = float(rng.normal({Level.L1: 10, Level.L2: 8, Level.L3: 6}.get(vertebra.level, 4), 2.5))
    tip = (side * length, size.depth_mm / 2 + back, rise * height + float(rng.normal(0, 3)))
    return rod(vertebra.frame, root, tip, thick, (1.0, 0.75, 1.25))


def _dens(vertebra: Vertebra) -> list[Solid]:
    """Dens of the axis and the shoulders that carry the atlas."""
    w, frame = vertebra.height_mm / 2, vertebra.frame
    parts = [rod(frame, (0, 0.5, w - 4), (0, 1.5, w + 12.5), 5.0)]
    return parts + [rod(frame, (s * 9, 0.5, w - 6), (s * 15, 2.0, w - 1), 6.0, (1.0, 1.0, 0.8)) for s in SIDES]


def _atlas(vertebra: Vertebra) -> list[Solid]:
    """The ring of C1: lateral masses, anterior and posterior arch, transverse processes."""
    factor, frame = vertebra.size.canal_width_mm / 26.6, vertebra.frame
    angles = np.linspace(0, 2 * np.pi, 17)
    ring = np.stack([21 * np.sin(angles), -18 * np.cos(angles), 0.8 * np.cos(2 * angles)], axis=1) * factor
    parts = [rod(frame, *ends, 3.2 * factor, (1.0, 1.0, 1.35)) for ends in pairwise(ring.tolist())]
    for s in SIDES:
        parts.append(rod(frame, (s * 20, -6, -1), (s * 20, 2, 1), 7.0 * factor, (1.0, 1.0, 1.1)))
        parts.append(rod(frame, (s * 24, -1, 0), (s * 33, 1, 0), 3.8 * factor))
    return parts
