"""The phantom that ships with the Slicer module, to try everything on: T6 to S2, small enough for the repository."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from VertebraLabelingLib.core.anatomy import Level

from .generate import Phantom, make_phantom
from .spec import PhantomSpec

SEED = 7
SPEC = PhantomSpec((3.0, 3.0, 3.0), first=Level.T6, last=Level.S2, width_mm=300.0, depth_mm=220.0)
HU_STEP = 8
"""The sample's HU are multiples of it: noise that nobody sees would double the size of the file."""

THUMBNAIL_PIXELS = (384, 256)
SHOWN_HU = {"coronal": (100.0, 900.0), "sagittal": (-200.0, 700.0)}


def make_sample() -> Phantom:
    """The phantom with rounded HU; the same on every call."""
    phantom = make_phantom(SEED, SPEC)
    rounded = np.round(phantom.scan.hu / HU_STEP) * HU_STEP
    return replace(phantom, scan=replace(phantom.scan, hu=rounded.astype(np.float32)))


def draw_thumbnail(phantom: Phantom) -> Figure:
    """Maximum projection from the front and the slice through the spine from the side, with the true points."""
    hu, geometry = phantom.scan.hu, phantom.scan.geometry
    points = np.array(list(phantom.centroids.values()))
    middle = round((float(np.median(points[:, 0])) - geometry.origin_lps_mm[0]) / geometry.spacing_xyz_mm[0])
    figure = Figure(figsize=[pixels / 100 for pixels in THUMBNAIL_PIXELS], dpi=100, facecolor="black")
    widths = [hu.shape[2], hu.shape[1]]
    grid = figure.add_gridspec(1, 2, left=0, right=1, bottom=0, top=1, wspace=0.02, width_ratios=widths)
    for column, view, picture in ((0, "coronal", hu.max(1)), (1, "sagittal", hu[:, :, middle])):
        _draw(figure.add_subplot(grid[0, column]), view, picture, column, phantom)
    return figure


def _draw(axes: Any, view: str, picture: np.ndarray, axis: int, phantom: Phantom) -> None:
    """One view, cranial end up; `axis` of LPS runs to the right."""
    geometry = phantom.scan.geometry
    (left, bottom), (step, height) = (
        (values[axis], values[2]) for values in (geometry.origin_lps_mm, geometry.spacing_xyz_mm)
    )
    extent = (left, left + step * picture.shape[1], bottom, bottom + height * picture.shape[0])
    low, high = SHOWN_HU[view]
    axes.imshow(picture, cmap="gray", vmin=low, vmax=high, origin="lower", extent=extent, interpolation="bicubic")
    axes.autoscale(False)
    for level, position in phantom.centroids.items():
        axes.plot(position[axis], position[2], "o", color=level.colour, markersize=4, markeredgecolor="black")
    axes.set_axis_off()
