"""A picture of the result: curved sagittal and coronal views through the labelled points."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .core.geometry import Geometry
from .core.labelling import LabelledPoint, Labelling
from .core.planes import PIXEL_MM, View, view_of
from .core.scan import Scan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .core.correction.column_point import ColumnPoint

HALF_WIDTH_MM = 75.0
MARGIN_Z_MM = 70.0
WINDOW_HU = (-200.0, 750.0)
LABEL_OFFSET_MM = {1: -26.0, 0: 34.0}  # by view axis: in front of the body, or to its left

_LONGEST_NAME = 50
_MM_PER_INCH = 55.0
_HEIGHT_INCHES = (5.0, 14.0)
_WIDTH_INCHES = (7.5, 11.0)
_TOP_INCHES, _BOTTOM_INCHES, _GAP_INCHES = 0.8, 0.5, 0.15
_BACKGROUND, _TEXT = "#0e1116", "#e8eaed"
FAINT = "#9aa3ad"


@dataclass(frozen=True)
class Curve:
    """A smooth line through the points, for every height: x and y in LPS mm as functions of z, constant beyond."""

    knots_xyz_mm: NDArray[np.float64]

    @classmethod
    def through(cls, points_lps_mm: NDArray[np.float64]) -> Curve:
        """Curve through (n, 3) points, n >= 1; points less than 2 mm apart in z are averaged into one knot."""
        ordered = points_lps_mm[np.argsort(points_lps_mm[:, 2])]
        group = np.concatenate([[0], np.cumsum(np.diff(ordered[:, 2]) >= 2.0)])
        return cls(np.array([ordered[group == g].mean(axis=0) for g in range(group[-1] + 1)]))

    def at(self, z_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """X and y, each of the shape of `z_mm`, by shape-preserving cubic interpolation."""
        x, y, z = self.knots_xyz_mm.T
        if len(z) == 1:
            return np.full_like(z_mm, x[0]), np.full_like(z_mm, y[0])
        from scipy.interpolate import PchipInterpolator

        clipped = np.clip(z_mm, z[0], z[-1])
        return PchipInterpolator(z, x)(clipped), PchipInterpolator(z, y)(clipped)


def draw_preview(path: Path, scan: Scan, labelling: Labelling, phantom: bool = False) -> None:
    """Write a PNG of the labelled points on curved views of the scan (any grid; HU).

    phantom: says in the picture that the scan is synthetic.  ValueError for a labelling without points.
    """
    if not labelling.points:
        raise ValueError("a labelling without points has no preview")
    points = np.array([p.position_lps_mm for p in labelling.points])
    z_mm = _heights(scan.geometry, points)
    curve = Curve.through(points)
    sagittal = curved_view(scan, curve, z_mm, points, axis=1)
    coronal = curved_view(scan, curve, z_mm, points, axis=0)
    figure = _figure(sagittal, coronal)
    left, right = figure.axes
    _draw_view(left, sagittal, labelling, 1, ("A", "P"))
    _draw_view(right, coronal, labelling, 0, ("R", "L"))
    _draw_scale_bar(left)
    _write_captions(figure, scan.name, labelling, phantom)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of the name: a box is drawn instead
        figure.savefig(path, dpi=130, facecolor=_BACKGROUND, format="png")


def _heights(geometry: Geometry, points_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Z of the picture's rows, top first: the points and a margin, as far as the scan goes."""
    scan_z = geometry.corners_lps_mm[:, 2]
    top = min(scan_z.max(), points_lps_mm[:, 2].max() + MARGIN_Z_MM)
    bottom = max(scan_z.min(), points_lps_mm[:, 2].min() - MARGIN_Z_MM)
    return np.arange(top - PIXEL_MM / 2, bottom, -PIXEL_MM)


def curved_view(
    scan: Scan, curve: Curve, z_mm: NDArray[np.float64], points_lps_mm: NDArray[np.float64], axis: int
) -> View:
    """The scan on the curved plane that follows the curve: axis 1 sagittal (columns y), 0 coronal (columns x).

    The plane is bent across `axis` only, so that heights and the shown axis are true millimetres; a thin slab is
    averaged against noise.
    """
    shown = points_lps_mm[:, axis]
    columns = np.arange(shown.min() - HALF_WIDTH_MM, shown.max() + HALF_WIDTH_MM, PIXEL_MM)
    across = curve.at(z_mm)[1 - axis]
    lps = np.empty((len(z_mm), len(columns), 3))
    lps[..., axis], lps[..., 1 - axis], lps[..., 2] = columns, across[:, None], z_mm[:, None]
    return view_of(scan, lps, np.eye(3)[1 - axis], columns, z_mm)


def _figure(left: View, right: View) -> Figure:
    """Axes for two views side by side at one scale, on a dark page.

    Figure without pyplot: no global state and no window system.
    """
    from matplotlib.figure import Figure

    rows_mm, columns_mm = left.size_mm[0], left.size_mm[1] + right.size_mm[1]
    inches = float(np.clip(rows_mm / _MM_PER_INCH, *_HEIGHT_INCHES)) / rows_mm
    inches = min(inches, (_WIDTH_INCHES[1] - 3 * _GAP_INCHES) / columns_mm)
    width = max(columns_mm * inches + 3 * _GAP_INCHES, _WIDTH_INCHES[0])
    height = rows_mm * inches + _TOP_INCHES + _BOTTOM_INCHES
    figure = Figure(figsize=(width, height), facecolor=_BACKGROUND)
    x = (width - columns_mm * inches - _GAP_INCHES) / 2
    for view in (left, right):
        columns = view.size_mm[1] * inches
        figure.add_axes((x / width, _BOTTOM_INCHES / height, columns / width, rows_mm * inches / height))
        x += columns + _GAP_INCHES
    return figure


def _draw_view(axes: Axes, view: View, labelling: Labelling, axis: int, sides: tuple[str, str]) -> None:
    low, high = WINDOW_HU
    axes.imshow(view.pixels, cmap="gray", vmin=low, vmax=high, extent=view.extent_mm, interpolation="bilinear")
    axes.set_axis_off()
    axes.autoscale(False)
    for point in labelling.points:
        _draw_point(axes, point, axis)
    for place, side, edge in zip((0.015, 0.985), sides, ("left", "right"), strict=True):
        axes.text(place, 0.985, side, transform=axes.transAxes, color=FAINT, fontsize=10, va="top", ha=edge)


def _draw_point(axes: Axes, point: LabelledPoint, axis: int) -> None:
    """Filled dot and name; an uncertain one is a ring and a name with a question mark."""
    from matplotlib.patheffects import withStroke

    across, z = point.position_lps_mm[axis], point.position_lps_mm[2]
    colour, doubt = point.level.colour, point.is_uncertain
    ring = {"markerfacecolor": "none", "markeredgecolor": colour, "markersize": 10.0, "markeredgewidth": 1.6}
    dot = {"markerfacecolor": colour, "markeredgecolor": "black", "markersize": 5.5, "markeredgewidth": 0.8}
    axes.plot(across, z, "o", **(ring if doubt else dot))
    axes.annotate(
        point_text(point.level.name, point),
        (across, z), xytext=(across + LABEL_OFFSET_MM[axis], z),
        ha="right" if axis == 1 else "left", va="center", fontsize=10, fontweight="bold", color=colour,
        path_effects=[withStroke(linewidth=2.2, foreground="black")],
    )  # fmt: skip


def point_text(name: str, point: LabelledPoint | ColumnPoint) -> str:
    """What stands beside a point in a picture: its name, an uncertain one's with a question mark."""
    return f"{name} ? {point.probability:.0%}" if point.is_uncertain else name


def _draw_scale_bar(axes: Axes, length_mm: float = 50.0) -> None:
    left, _, bottom, top = (*axes.get_xlim(), *axes.get_ylim())
    x, z = left + 6.0, bottom + 0.02 * (top - bottom) + 4.0
    axes.plot([x, x + length_mm], [z, z], color=_TEXT, linewidth=2.0, solid_capstyle="butt")
    axes.text(x + length_mm / 2, z + 2.0, f"{length_mm:.0f} mm", color=_TEXT, fontsize=8, ha="center", va="bottom")


def _write_captions(figure: Figure, name: str, labelling: Labelling, phantom: bool) -> None:
    height = figure.get_size_inches()[1]
    name = _in_one_line(name)
    title = f"PHANTOM (synthetic image) · {name}" if phantom else name
    # a name with dollar signs is no formula
    figure.text(
        0.02, 1 - 0.27 / height, title, color=_TEXT, fontsize=13, fontweight="bold", va="center", parse_math=False
    )
    figure.text(0.02, 1 - 0.55 / height, labelling.summary(), color=FAINT, fontsize=9.5, va="center")
    note = "VertebraLabeling · research tool, not for clinical use"
    legend = "ring and ?: uncertain" if any(p.is_uncertain for p in labelling.points) else ""
    figure.text(0.02, 0.25 / height, legend, color=FAINT, fontsize=8.5, va="center")
    figure.text(0.98, 0.25 / height, note, color=FAINT, fontsize=8.5, va="center", ha="right")


def _in_one_line(name: str) -> str:
    """The name of a file, which may hold anything but a slash, as a title that fits; its end is kept."""
    letters = "".join(letter if letter.isprintable() else "?" for letter in name)
    half = _LONGEST_NAME // 2
    return letters if len(letters) <= _LONGEST_NAME else f"{letters[:half]}…{letters[-half:]}"
