"""Sacrum, hip bones and the upper ends of the femora, hung on the sacral frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.spine_curve import arc_lengths_mm

from . import tables
from .canvas import Bone, Canvas, paint_bone_tube
from .solids import Solid, ellipsoid, in_frame, rod, tube
from .spine import Frame, Spine
from .vertebra import SIDES, body

CREST = ((44, 46, -14), (57, 41, 18), (78, 21, 42), (100, -14, 49), (118, -48, 30), (121, -76, -4))
BRIM = ((42, 37, -34), (46, 25, -42), (53, 9, -50), (63, -8, -63), (82, -22, -79), (97, -47, -66))
"""Upper and lower border of the ilium: (away from the midline, back, up) from S1, mm."""

HEAD = np.array([88.0, -24.0, -98.0])
RODS = (
    (((82, -2, -88), (70, 22, -128), (66, 22, -150)), 14.0),
    (((80, -42, -88), (50, -62, -102), (14, -72, -116)), 8.5),
    (((14, -70, -120), (34, -42, -142), (62, 10, -154)), 6.5),
    (((98, -18, -104), (126, -8, -122)), 15.0),
    (((128, -6, -120), (140, 4, -112)), 15.0),
)
"""Ischium, both branches of the pubis, femoral neck and greater trochanter: points as above, radius in mm."""


def paint_sacrum(canvas: Canvas, spine: Spine, bone_density: float) -> None:
    """S1 to S5 with rudimentary discs (a whole one below a lumbarised S1), wings, foramina and the median crest."""
    bone = Bone(140.0 * bone_density, 480.0 + 220.0 * bone_density, 1.3)
    frames = [spine[Level.S1].frame, spine[Level.S2].frame, *spine.tail]
    sizes = [_body_size(spine, index) for index in range(5)]
    disc_mm = spine[Level.S1].size.disc_mm
    for index, frame in enumerate(frames):
        width, depth, _ = sizes[index]
        gap = _gap_mm(frames, index)
        below = sizes[min(index + 1, 4)]
        taken = disc_mm if disc_mm > WHOLE_DISC_MM and index < 2 else 0.0
        reach = np.array([width / 2 + 2, depth / 2 + 2, gap / 2 + 0.5 - taken / 2])
        distance = body(width / 2, depth / 2, below[0] / 2 + 1, below[1] / 2 + 1, float(reach[2]), 0.0)
        solid = in_frame(frame, distance, np.stack([-reach, reach]))
        canvas.paint_bone([solid, *_wings(frame, sizes[index], gap), *_crest(frame, depth, gap)], bone)
    _paint_disc_remnant(canvas, frames[0], frames[1], sizes[1], disc_mm)
    for upper, lower in pairwise(frames[:4]):
        _paint_foramina(canvas, upper, lower, spine.stature)


WHOLE_DISC_MM = 4.0
"""A disc S1/S2 thicker than this parts the two bodies."""


def _body_size(spine: Spine, index: int) -> tuple[float, float, float]:
    """Body width, body depth and outer width of a sacral segment, mm."""
    if index < 2:
        size = spine[(Level.S1, Level.S2)[index]].size
        return size.upper_width_mm, size.upper_depth_mm, size.process_span_mm
    width, depth, outer = (spine.stature * value for value in tables.SACRAL_TAIL_SIZES[index - 2])
    return width, depth, outer


def _gap_mm(frames: list[Frame], index: int) -> float:
    """Height that a segment may take: the distance to the next centroid (the last one: from the one above)."""
    above = min(index, len(frames) - 2)
    return float(np.linalg.norm(frames[above + 1].origin_lps_mm - frames[above].origin_lps_mm))


def _wings(frame: Frame, size: tuple[float, float, float], gap: float) -> list[Solid]:
    width, depth, outer = size
    radius = 0.36 * gap
    ends = [((s * width * 0.3, 0.15 * depth, 0), (s * (outer / 2 - radius), 0.5 * depth, -0.1 * gap)) for s in SIDES]
    return [rod(frame, *pair, radius, (1, 1.4, 1)) for pair in ends]


def _crest(frame: Frame, depth: float, gap: float) -> list[Solid]:
    """Roof of the sacral canal and the stumps of the spinous processes."""
    back = depth / 2 + 0.5 * depth
    starts = [(s * 14, depth / 2 + 1, 0) for s in SIDES]
    roof = [rod(frame, start, (0, back + 3, -2), 2.2, (1, 1, 0.25 * gap)) for start in starts]
    return [*roof, rod(frame, (0, back + 3, -2), (0, back + 9, -5), 2.5, (1, 1, 1.8))]


def _paint_disc_remnant(
    canvas: Canvas, upper: Frame, lower: Frame, size: tuple[float, float, float], disc_mm: float
) -> None:
    """What is left of the disc S1/S2: a thin, short plate, or the whole disc."""
    middle = (upper.origin_lps_mm + lower.origin_lps_mm) / 2
    axes = (upper.axes + lower.axes) / 2
    frame = Frame(middle, axes / np.linalg.norm(axes, axis=1, keepdims=True))
    radii = np.array([0.4 * size[0], 0.4 * size[1], 1.6])
    if disc_mm > WHOLE_DISC_MM:
        radii = np.array([0.5 * size[0], 0.5 * size[1], disc_mm / 2])
    canvas.paint(ellipsoid(frame.origin_lps_mm, radii, frame.axes), 90.0)


def _paint_foramina(canvas: Canvas, upper: Frame, lower: Frame, stature: float) -> None:
    """The anterior foramina on both sides of the joint between two segments, filled with fat and a nerve."""
    for s in SIDES:
        start = (upper.to_lps((s * 19 * stature, -14, 0)) + lower.to_lps((s * 19 * stature, -12, 0))) / 2
        stop = (upper.to_lps((s * 17 * stature, 14, 0)) + lower.to_lps((s * 15 * stature, 12, 0))) / 2
        canvas.paint_all(tube(np.stack([start, stop]), 4.0 * stature), -40.0)


def paint_pelvis(canvas: Canvas, spine: Spine, bone_density: float) -> None:
    """Both hip bones with the sacroiliac joints, femoral heads, necks and shafts."""
    origin, scale = spine[Level.S1].frame.origin_lps_mm, spine.stature
    bone = Bone(150.0 * bone_density, 480.0 + 260.0 * bone_density, 1.8)
    for s in SIDES:
        mirror = np.array([s, 1.0, 1.0]) * scale
        _paint_ilium(canvas, origin, mirror, bone)
        head = origin + HEAD * mirror
        canvas.paint(ellipsoid(head, (31 * scale,) * 3), bone)
        canvas.paint(ellipsoid(head, (26.5 * scale,) * 3), 70.0)
        for points, radius in RODS:
            paint_bone_tube(canvas, origin + np.array(points) * mirror, radius * scale, bone)
        canvas.paint(ellipsoid(head, (24 * scale,) * 3), Bone(260.0 * bone_density, bone.shell_hu, 1.5))
        shaft = origin + np.array([(134, -4, -130), (128, -6, -260), (118, -6, -420)]) * mirror
        paint_bone_tube(canvas, shaft, 15.0 * scale, Bone(-40.0, 1100.0, 5.0))


def _paint_ilium(canvas: Canvas, origin: NDArray[np.float64], mirror: NDArray[np.float64], bone: Bone) -> None:
    """The blade as a fan of rods from brim to crest; they overlap, so the shells are painted before the cores."""
    crest, brim = _resampled(CREST, 26), _resampled(BRIM, 26)
    hollows_mm = np.linspace(-8.0, 7.0, len(crest))  # flat against the sacrum, hollow in front
    fans = [
        origin + np.stack([low, 0.5 * (low + high) + [hollow, 0.6 * hollow, 0.0], high]) * mirror
        for low, high, hollow in zip(brim, crest, hollows_mm, strict=True)
    ]
    radii = np.array([7.5, 5.0, 6.5])
    for fan in fans:
        canvas.paint_all(tube(fan, radii), bone.shell_hu)
    for fan in fans:
        canvas.paint_all(tube(fan, radii - bone.shell_mm), bone.core_hu)


def _resampled(points: tuple[tuple[int, int, int], ...], count: int) -> NDArray[np.float64]:
    """`count` points equally spread over a polyline."""
    line = np.array(points, float)
    place = arc_lengths_mm(line)
    wanted = np.linspace(0, place[-1], count)
    return np.stack([np.interp(wanted, place, line[:, axis]) for axis in range(3)], axis=1)
