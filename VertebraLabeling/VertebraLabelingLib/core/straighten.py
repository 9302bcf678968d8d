"""The spine made straight (curved planar reformation): a frame that follows it, and the scan in that frame.

Straight mm: x to the patient's left, y to the back, z upwards along the spine's curve, 0 at the height of the first
body.  Where a point lies further from the curve than its radius of curvature, on the hollow side, the planes across
the curve meet, and one place in the patient is seen twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .errors import CorrectionError
from .geometry import Geometry
from .planes import PIXEL_MM, View, view_of
from .scan import Scan
from .spine_curve import arc_lengths_mm, curve_through

Array = NDArray[np.float64]

HALF_WIDTH_MM = 70.0
BEYOND_MM = 40.0
"""How far the picture goes on, straight, above the first and below the last body."""

_SMOOTHING_MM = 12.0
"""SD of the Gaussian along the curve: takes out the bends that points 2-4 mm off make, keeps lordosis and scoliosis."""
_SMOOTHING_REACH = 4
_ONE_BODY_MM = 5.0
"""Points nearer than this are one place: bodies are 15 mm apart and more."""
_END_MM = 30.0
"""The piece of the curve that says where its straight continuation goes."""
_LEAST_ACROSS = 0.2
_LEFT, _DOWN = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True)
class StraightSpine:
    """A frame along the spine, one row every `PIXEL_MM` of its curve, cranio-caudal.

    z_mm: (n,) straight mm of the rows.  centre_lps_mm: (n, 3) the curve.  left, back, up: (n, 3) LPS unit vectors;
    `up` is along the curve.
    """

    z_mm: Array
    centre_lps_mm: Array
    left: Array
    back: Array
    up: Array

    def lps_from_straight(self, points_mm: Array) -> Array:
        """LPS mm (..., 3) of straight mm (..., 3); beyond the ends straight on."""
        x, y, z = np.moveaxis(np.asarray(points_mm, float), -1, 0)
        row = (self.z_mm[0] - z) / PIXEL_MM
        centre, left, back = (_between_rows(values, row) for values in (self.centre_lps_mm, self.left, self.back))
        return np.asarray(centre + x[..., None] * left + y[..., None] * back)

    def straight_from_lps(self, points_lps_mm: Array) -> Array:
        """Straight mm (..., 3) of LPS mm (..., 3); in the plane where the curve is nearest, if several hold a point."""
        points = np.asarray(points_lps_mm, float)
        row = np.array([self._row(point) for point in points.reshape(-1, 3)]).reshape(points.shape[:-1])
        offset = points - _between_rows(self.centre_lps_mm, row)
        x, y = ((offset * _between_rows(axis, row)).sum(axis=-1) for axis in (self.left, self.back))
        return np.stack([x, y, self.z_mm[0] - PIXEL_MM * row], axis=-1)

    def _row(self, point_lps_mm: Array) -> float:
        """The row, with fraction, across which the point lies; beyond the ends in mm of the end's direction."""
        offset = point_lps_mm - self.centre_lps_mm
        below = -(offset * self.up).sum(axis=1)
        crossings = np.flatnonzero((below[:-1] >= 0) & (below[1:] < 0))
        if len(crossings) == 0:
            end = 0 if below[0] < 0 else len(below) - 1
            return float(end + below[end] / PIXEL_MM)
        row = crossings[np.linalg.norm(offset[crossings], axis=1).argmin()]
        return float(row + below[row] / (below[row] - below[row + 1]))


def straightened(geometry: Geometry, positions_lps_mm: Array) -> StraightSpine:
    """The frame along body centroids (n, 3), in their order from the head downwards, as far as the scan goes.

    The curve is smooth and passes within a few mm of the points; it goes on straight beyond them.  One point, or points
    in one place, give planes that are not bent.  CorrectionError without a point, for places that are no numbers, and
    for points that lie beside each other instead of along a spine.
    """
    bodies = _distinct(_checked(positions_lps_mm))
    centre = _even(_smoothed(_drawn_out(bodies)))
    centre = centre[_rows_in_view(geometry, centre, bodies)]
    up = _unit(-np.gradient(centre, axis=0))
    left = _left_axes(up)
    spine = StraightSpine(-PIXEL_MM * np.arange(len(centre), dtype=float), centre, left, np.cross(up, left), up)
    return replace(spine, z_mm=spine.z_mm - float(spine.straight_from_lps(bodies[0])[2]))


def straight_view(scan: Scan, spine: StraightSpine, axis: int) -> View:
    """The scan on the plane through the curve: axis 1 sagittal (columns y), 0 coronal (columns x); straight mm."""
    columns = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + PIXEL_MM / 2, PIXEL_MM)
    along, across = (spine.back, spine.left) if axis == 1 else (spine.left, spine.back)
    lps = spine.centre_lps_mm[:, None] + columns[:, None] * along[:, None]
    return view_of(scan, lps, across[:, None], columns, spine.z_mm)


def _checked(positions_lps_mm: Array) -> Array:
    points = np.asarray(positions_lps_mm, float).reshape(-1, 3)
    if len(points) == 0:
        raise CorrectionError("There is no point to straighten the spine along; label the scan first.")
    if not np.isfinite(points).all():
        raise CorrectionError("A point of the spine has no place; place or delete it.")
    return points


def _distinct(points: Array) -> Array:
    """Without points that lie where the one kept before them lies."""
    kept = [points[0]]
    for point in points[1:]:
        if np.linalg.norm(point - kept[-1]) >= _ONE_BODY_MM:
            kept.append(point)
    return np.array(kept)


def _drawn_out(bodies: Array) -> Array:
    """(m, 3) the curve through the bodies at steps of a pixel, with straight ends that outlast the smoothing."""
    curve, arc_mm = curve_through(bodies)
    inner = bodies if curve is None else curve(np.linspace(0.0, arc_mm[-1], max(2, round(arc_mm[-1] / PIXEL_MM) + 1)))
    step = _END_MM / PIXEL_MM
    tail = inner[-1] - inner[-min(len(inner), int(step) + 1)] if len(inner) > 1 else _DOWN
    head = inner[min(len(inner), int(step) + 1) - 1] - inner[0] if len(inner) > 1 else _DOWN
    mm = PIXEL_MM * np.arange(1, round((BEYOND_MM + _SMOOTHING_REACH * _SMOOTHING_MM) / PIXEL_MM) + 1)
    above, below = (mm[:, None] * _unit(way) for way in (head, tail))
    return np.concatenate([inner[0] - above[::-1], inner, inner[-1] + below])


def _smoothed(line: Array) -> Array:
    """The line without its small bends; its two straight ends, which the Gaussian cannot fill, are cut off."""
    from scipy.ndimage import gaussian_filter1d

    sd = _SMOOTHING_MM / PIXEL_MM
    cut = round(_SMOOTHING_REACH * sd)
    return np.asarray(gaussian_filter1d(line, sd, axis=0, truncate=_SMOOTHING_REACH)[cut:-cut])


def _even(line: Array) -> Array:
    """The line at equal steps of `PIXEL_MM` of its own length."""
    arc_mm = arc_lengths_mm(line)
    at_mm = np.arange(0.0, arc_mm[-1], PIXEL_MM)
    return np.column_stack([np.interp(at_mm, arc_mm, values) for values in line.T])


def _rows_in_view(geometry: Geometry, centre: Array, bodies: Array) -> slice:
    """Without rows beyond the bodies that lie outside the scan."""
    shown = geometry.contains_lps(centre)
    ends = [int(np.linalg.norm(centre - body, axis=1).argmin()) for body in (bodies[0], bodies[-1])]
    shown[max(min(ends) - 1, 0) : max(ends) + 2] = True
    rows = np.flatnonzero(shown)
    return slice(int(rows[0]), int(rows[-1]) + 1)


def _left_axes(up: Array) -> Array:
    """(n, 3) unit vectors across `up` that turn about it as little as can be, on the whole to the patient's left.

    The left axis projected across the curve, turned by the sum of what it twists from row to row against a frame that
    only follows the bend (double reflection: Wang et al., ACM Trans. Graph. 27(1), 2008).
    """
    projected = _LEFT - (up @ _LEFT)[:, None] * up
    if np.linalg.norm(projected, axis=1).min() < _LEAST_ACROSS:
        raise CorrectionError("The points lie beside each other, not along a spine; move or delete what is misplaced.")
    reference = _unit(projected)
    other = np.cross(up, reference)
    carried = _carried(reference[:-1], up[:-1], up[1:])
    twist = np.arctan2((carried * other[1:]).sum(axis=1), (carried * reference[1:]).sum(axis=1))
    angle = np.concatenate([[0.0], np.cumsum(twist)])
    weight = reference @ _LEFT
    angle -= np.arctan2(weight @ np.sin(angle), weight @ np.cos(angle))
    return np.asarray(np.cos(angle)[:, None] * reference + np.sin(angle)[:, None] * other)


def _carried(vectors: Array, old: Array, new: Array) -> Array:
    """Vectors (n, 3) across unit vectors `old`, after the smallest turn that brings each of them to `new`."""
    half = old + new
    return np.asarray(_mirrored(_mirrored(vectors, old), half))


def _mirrored(vectors: Array, normals: Array) -> Array:
    share = (vectors * normals).sum(axis=1) / (normals * normals).sum(axis=1)
    return np.asarray(vectors - 2 * share[:, None] * normals)


def _between_rows(values: Array, row: Array) -> Array:
    """Values (n, 3) at fractional rows (...), linear, also beyond the ends."""
    if len(values) == 1:
        return np.broadcast_to(values[0], (*np.shape(row), 3))
    low = np.clip(np.floor(row).astype(int), 0, len(values) - 2)
    share = (row - low)[..., None]
    return np.asarray(values[low] * (1 - share) + values[low + 1] * share)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), float)
