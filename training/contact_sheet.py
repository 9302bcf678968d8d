"""Many labelled scans on one page, for judging them by eye: which pseudo-labels to keep, which results are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.files import atomic_write
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint, positions_of
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.preview import HALF_WIDTH_MM as PREVIEW_HALF_WIDTH_MM
from VertebraLabelingLib.preview import PIXEL_MM, WINDOW_HU, Curve, View, curved_view

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

SCANS_PER_PAGE = 20
MARGIN_Z_MM = 35.0
HALF_WIDTH_MM = 55.0
HALF_SLAB_MM = 6.0
NAME_OFFSET_MM = {1: -22.0, 0: 24.0}  # by view axis: in front of the body, or to its left

_PREVIEW_HALF_SLAB_MM = 3.0
_TILE_INCHES = (3.6, 3.6)
_REMARK_CHARACTERS = 75
_DPI = 130
_BACKGROUND, _TEXT, _FAINT = "#0e1116", "#e8eaed", "#9aa3ad"


@dataclass(frozen=True)
class Item:
    """One tile: a scan on any grid, its named points in LPS mm (none is allowed), and what to write above it."""

    title: str
    scan: Scan
    points: tuple[LabelledPoint, ...]
    remark: str = ""


def contact_sheet(items: Iterable[Item], path: Path, columns: int = 5) -> list[Path]:
    """Write PNG pages of at most 20 tiles, `columns` abreast; the paths: ``a.png``, ``a-2.png``, ``a-3.png`` ...

    Items are taken one page at a time, so that a generator that reads scans never has more than a page in memory.
    ValueError without any item.
    """
    pages = []
    for number, page in enumerate(_pages(items), start=1):
        target = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        with atomic_write(target) as temporary:
            _figure(page, columns).savefig(temporary, dpi=_DPI, facecolor=_BACKGROUND, format="png")
        pages.append(target)
    if not pages:
        raise ValueError("a contact sheet needs at least one scan")
    return pages


def slab_views(scan: Scan, points_lps_mm: NDArray[np.float64]) -> tuple[View, View]:
    """Sagittal and coronal mean over +-6 mm around the curve through points (n, 3), bent with it, not straightened.

    Without points the planes through the middle of the scan.
    """
    spine = points_lps_mm if len(points_lps_mm) else scan.geometry.corners_lps_mm.mean(axis=0, keepdims=True)
    z_mm = _heights(scan.geometry, points_lps_mm)
    curve = Curve.through(spine)
    return _slab(scan, curve, z_mm, spine, axis=1), _slab(scan, curve, z_mm, spine, axis=0)


def _pages(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while page := list(islice(rest, SCANS_PER_PAGE)):
        yield page


def _heights(geometry: Geometry, points_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Z of the rows, top first: the points and a margin as far as the scan goes; the whole scan without points."""
    bottom, top = geometry.corners_lps_mm[:, 2].min(), geometry.corners_lps_mm[:, 2].max()
    if len(points_lps_mm):
        top = min(top, points_lps_mm[:, 2].max() + MARGIN_Z_MM)
        bottom = max(bottom, points_lps_mm[:, 2].min() - MARGIN_Z_MM)
    return np.arange(top - PIXEL_MM / 2, bottom, -PIXEL_MM)


def _slab(scan: Scan, curve: Curve, z_mm: NDArray[np.float64], spine: NDArray[np.float64], axis: int) -> View:
    """Two of the preview's slabs of +-3 mm side by side."""
    offset = np.zeros(3)
    offset[1 - axis] = HALF_SLAB_MM - _PREVIEW_HALF_SLAB_MM
    sides = [curved_view(scan, Curve(curve.knots_xyz_mm + s * offset), z_mm, spine, axis) for s in (-1, 1)]
    return _narrowed(View((sides[0].pixels + sides[1].pixels) / 2, sides[0].extent_mm))


def _narrowed(view: View) -> View:
    """Without the outer columns that a tile has no room for."""
    cut = int((PREVIEW_HALF_WIDTH_MM - HALF_WIDTH_MM) / PIXEL_MM)
    left, right, bottom, top = view.extent_mm
    return View(view.pixels[:, cut:-cut], (left + cut * PIXEL_MM, right - cut * PIXEL_MM, bottom, top))


def _figure(page: list[Item], columns: int) -> Figure:
    """Figure without pyplot: no global state and no window system."""
    from matplotlib.figure import Figure

    columns = min(columns, len(page))
    rows = -(-len(page) // columns)
    width, height = columns * _TILE_INCHES[0], rows * _TILE_INCHES[1]
    figure = Figure(figsize=(width, height), facecolor=_BACKGROUND)
    tiles = figure.subfigures(rows, columns, squeeze=False).ravel()
    for tile, item in zip(tiles, page, strict=False):
        tile.set_facecolor(_BACKGROUND)
        _draw_tile(tile, item)
    return figure


def _draw_tile(tile: SubFigure, item: Item) -> None:
    views = slab_views(item.scan, positions_of(item.points))
    widths = [view.size_mm[1] for view in views]
    grid = {"left": 0.01, "right": 0.99, "top": 0.88, "bottom": 0.01, "wspace": 0.02, "width_ratios": widths}
    left, right = tile.subplots(1, 2, gridspec_kw=grid)
    _draw_view(left, views[0], item.points, axis=1)
    _draw_view(right, views[1], item.points, axis=0)
    tile.text(0.02, 0.965, item.title, color=_TEXT, fontsize=9, fontweight="bold", va="center")
    tile.text(0.02, 0.935, fill(item.remark, _REMARK_CHARACTERS), color=_FAINT, fontsize=6.5, va="top")


def _draw_view(axes: Axes, view: View, points: tuple[LabelledPoint, ...], axis: int) -> None:
    low, high = WINDOW_HU
    axes.imshow(view.pixels, cmap="gray", vmin=low, vmax=high, extent=view.extent_mm, interpolation="bilinear")
    axes.set_axis_off()
    axes.autoscale(False)
    for point in points:
        across, z = point.position_lps_mm[axis], point.position_lps_mm[2]
        doubt = point.is_uncertain
        face = "none" if doubt else point.level.colour
        axes.plot(across, z, "o", markersize=3.0, markerfacecolor=face, markeredgecolor=point.level.colour)
        axes.text(
            across + NAME_OFFSET_MM[axis], z, f"{point.level.name} ?" if doubt else point.level.name,
            ha="right" if axis == 1 else "left", va="center", fontsize=6.5, fontweight="bold",
            color=point.level.colour, clip_on=True,
        )  # fmt: skip
