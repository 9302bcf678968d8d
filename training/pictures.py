"""A window with its true and its found points, from the side and from the front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.methods.sites.network import SitesOutput
from VertebraLabelingLib.methods.sites.reading import find_sites, read_at

from .sampling import Window
from .tasks import Task

SLAB_MM = 20.0
HU_SHOWN = (-200.0, 700.0)
LEAST_SHOWN = 0.5
"""Least probability of a point that is drawn."""


@dataclass(frozen=True)
class Points:
    """levels: (n,) `Level` values.  points_mm: (n, 3) z, y, x from the window's corner."""

    levels: NDArray[np.int64]
    points_mm: NDArray[np.float64]


def of_sites(output: SitesOutput, task: Task) -> Points:
    """Peaks of the first window's centre map, each with the most likely level."""
    centre, integral, maps = (
        values[0].float().cpu().numpy() for values in (output.centre.sigmoid(), output.integral, output.levels)
    )
    points, scores = find_sites(centre, integral, task.settings)
    points = points[scores > LEAST_SHOWN]
    channels = read_at(maps, points, task.windows.extent_zyx_mm).argmax(1)
    return Points(np.array(REGULAR_LEVELS)[channels], points)


def of_levels(output: tuple[torch.Tensor, torch.Tensor], task: Task) -> Points:
    """The levels that are present in the first window: logits (B, 26), centroids (B, 26, 3) as voxel indices."""
    logits, coordinates = (values[0].float().cpu() for values in output)
    present = (logits.sigmoid() > LEAST_SHOWN).numpy()
    points = (coordinates.double().numpy() + 0.5) * task.windows.spacing_mm
    return Points(np.array(REGULAR_LEVELS)[present], points[present])


READERS: dict[str, Callable[[Any, Any], Points]] = {"sites": of_sites, "integral-regression": of_levels}
"""From the output of a network and its task to points, by the task's `model_id`; the others name nothing."""


def draw_window_picture(window: Window, found: Points, spacing_mm: float) -> Figure:
    """Two slabs, the maximum over `SLAB_MM` around the true points: sagittal and coronal, cranial end up."""
    visible = window.present(window.points_mm)
    truth = Points(window.levels[visible], window.points_mm[visible])
    middle = truth.points_mm.mean(0) if len(truth.levels) else window.extent_zyx_mm / 2
    figure = Figure(figsize=(9, 6), layout="tight")
    for across, axes in zip((2, 1), figure.subplots(1, 2), strict=True):
        _draw_slab(axes, window, across, float(middle[across]), spacing_mm)
        _draw_points(axes, truth, 3 - across, "o", "lime", -7)
        _draw_points(axes, found, 3 - across, "x", "orange", 7)
        axes.set_title(f"{'sagittal' if across == 2 else 'coronal'}: o true, x found")
    return figure


def _draw_slab(axes: Any, window: Window, across: int, middle_mm: float, spacing_mm: float) -> None:
    """Maximum of the HU across an axis (1: y, 2: x) over the slab around `middle_mm`."""
    limits = np.round((middle_mm + np.array([-0.5, 0.5]) * SLAB_MM) / spacing_mm).astype(int)
    low, high = (int(n) for n in np.clip(limits, 0, window.hu.shape[across]))
    slab = window.hu.narrow(across, low, high - low).amax(across)
    depth, width = window.extent_zyx_mm[0], window.extent_zyx_mm[3 - across]
    low_hu, high_hu = HU_SHOWN
    axes.imshow(slab.numpy(), "gray", origin="lower", extent=(0, width, 0, depth), vmin=low_hu, vmax=high_hu)
    axes.set(xlim=(0, width), ylim=(0, depth), xlabel="mm", ylabel="mm")


def _draw_points(axes: Any, points: Points, along: int, marker: str, colour: str, offset: int) -> None:
    """Markers, with the names of their levels `offset` typographic points to the right."""
    across_mm, up_mm = points.points_mm[:, along], points.points_mm[:, 0]
    axes.plot(across_mm, up_mm, marker, color=colour, markerfacecolor="none", markersize=6)
    style = {"textcoords": "offset points", "color": colour, "va": "center", "weight": "bold", "fontsize": 8}
    for level, x, z in zip(points.levels, across_mm, up_mm, strict=True):
        axes.annotate(Level(level).name, (x, z), (offset, 0), ha="left" if offset > 0 else "right", **style)
