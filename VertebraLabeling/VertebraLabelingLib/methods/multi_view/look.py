"""One look at a volume from all sides: projections, their peaks and level maps, and the points that these make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ...core.progress import Progress
from ...engines.network import Network
from ..level_evidence import calibrated
from .geometry import Views
from .matching import match_views
from .peaks import Peaks, find_peaks
from .settings import MultiViewSettings
from .voting import bagged, read_levels, view_weights, vote

Floats = NDArray[np.float64]
Project = Callable[[NDArray[np.float32], Views, str], NDArray[np.float32]]
"""HU (z, y, x), views, device -> network input (K, channels, rows, columns)."""

PIXELS_AT_ONCE = 2**20
"""Of all projections that are made, and in the network, at the same time; four of a whole body, a thread for each."""
BEYOND_MM = 5.0
"""How far outside its volume a point may lie, as far as peaks may disagree, for its views still to be asked."""
LEAST_CENTRALITY = 0.02
SPINE_MM = 100.0
"""How far off the axis of the orbit a spine may be for the images of a whole scan to hold all of it."""


@dataclass(frozen=True)
class Look:
    """What the network says of each view.  peaks: one per view.  levels: (K, 26, h', w') logits."""

    views: Views
    peaks: tuple[Peaks, ...]
    levels: NDArray[np.float32]

    def majority(self) -> Look:
        """The views that show the most usual number of vertebrae; the larger number where two are as usual."""
        counts = np.array([len(found) for found in self.peaks])
        usual = np.bincount(counts)
        kept = np.flatnonzero(counts == len(usual) - 1 - usual[::-1].argmax())
        return Look(_some(self.views, kept), tuple(self.peaks[view] for view in kept), self.levels[kept])


@dataclass(frozen=True)
class Found:
    """Points from cranial to caudal.

    points_zyx_mm: (n, 3) from the middle of the volume.  probabilities: (n, 26) of the levels.  scores: (n,) 0..1.
    """

    points_zyx_mm: Floats
    probabilities: Floats
    scores: Floats


def drr_projection(hu: NDArray[np.float32], views: Views, device: str) -> NDArray[np.float32]:
    """The projections that the network was trained on; see `Project`."""
    import torch

    from .drr import drr

    with torch.inference_mode():
        return drr(torch.from_numpy(hu)[None].to(device), views, views.settings)[0].cpu().numpy()


def look_from_all_sides(
    network: Network, project: Project, hu: NDArray[np.float32], views: Views, progress: Progress
) -> Look:
    """Projections of a volume (z, y, x) through the network, a few at a time; reports in between.

    network: gives "heat" and "levels", see `network.MultiViewOutput`.
    """
    settings = views.settings
    rows, columns = settings.image_hw
    at_once = max(1, PIXELS_AT_ONCE // (rows * columns))
    peaks, levels = [], []
    for first in range(0, len(views), at_once):
        progress("labelling", first / len(views))
        some = _some(views, np.arange(first, min(first + at_once, len(views))))
        output = network(project(hu, some, network.device))
        peaks += [find_peaks(expit(heat), settings.heat_sigma_mm / settings.pixel_mm) for heat in output["heat"]]
        levels.append(output["levels"])
    return Look(views, tuple(peaks), np.concatenate(levels))


def found_in(look: Look, extent_zyx_mm: Floats, voting: bool = True) -> Found:
    """The points that several views agree on, with the levels that the views vote for.

    voting: False takes the level that most views say.
    """
    matches = match_views(look.views, look.peaks, extent_zyx_mm)
    order = np.argsort(-matches.points_zyx_mm[:, 0], kind="stable")
    points = matches.points_zyx_mm[order]
    scores = calibrated(matches.scores[order], look.views.settings.score_calibration)
    return Found(points, voted_names([look], points[None], extent_zyx_mm, voting), scores)


def voted_names(looks: Sequence[Look], points_zyx_mm: Floats, extent_zyx_mm: Floats, voting: bool = True) -> Floats:
    """(n, 26): what the views of all looks say of points from cranial to caudal, together.

    points_zyx_mm: (looks, n, 3) the same points from the middle of the volume of each look.  A volume counts the more,
    the more central a point is along its z axis, since a network sees least at the end of its window; and not at all
    for points outside.  voting: as for `found_in`.
    """
    half_mm = np.asarray(extent_zyx_mm, float) / 2
    read = [read_levels(look.levels, look.views, points) for look, points in zip(looks, points_zyx_mm, strict=True)]
    inside = (np.abs(points_zyx_mm) <= half_mm + BEYOND_MM).all(2)
    central = (1 - np.abs(points_zyx_mm[..., 0]) / half_mm[0]).clip(LEAST_CENTRALITY)
    views = [len(look.views) for look in looks]
    probabilities = np.concatenate([p for p, _ in read])
    seen = np.concatenate([s for _, s in read]) & inside.repeat(views, axis=0)
    if not voting:
        return bagged(probabilities, seen)
    return vote(probabilities, view_weights(probabilities, seen), seen * central.repeat(views, axis=0))


def whole_scan(settings: MultiViewSettings, shape_zyx: tuple[int, int, int]) -> MultiViewSettings:
    """The settings with images that hold the spine of a volume, wherever in it, in sizes that the network takes."""
    nearest_mm = settings.source_axis_mm - min(SPINE_MM, settings.source_axis_mm / 2)
    rows_mm = shape_zyx[0] * settings.spacing_mm * settings.source_axis_mm / nearest_mm
    columns_mm = max(shape_zyx[1:]) * settings.spacing_mm
    cells = 2 ** len(settings.widths)
    rows, columns = (cells * int(np.ceil(mm / settings.pixel_mm / cells)) for mm in (rows_mm, columns_mm))
    return replace(settings, window_zyx=shape_zyx, image_hw=(rows, columns))


def _some(views: Views, index: NDArray[np.intp]) -> Views:
    return Views(views.angles_rad[index], views.settings)
