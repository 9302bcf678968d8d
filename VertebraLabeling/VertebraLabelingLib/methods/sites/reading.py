"""From the maps of the network to sites and their levels; the same numbers as the losses of `network` are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, maximum_filter
from scipy.special import log_softmax, softmax

from ..level_evidence import all_levels, calibrated
from .settings import SitesSettings

LEAST_PEAK = 0.08
"""Lower peaks are not even candidates; the sequence decoder weighs the others."""


@dataclass(frozen=True)
class Read:
    """What one window says of levels.

    corner_mm: of the window, from the corner of the network's grid, z y x.  levels: (levels, z, y, x) logits.
    """

    corner_mm: NDArray[np.float64]
    levels: NDArray[np.float32]


def find_sites(
    centre: NDArray[np.float32], integral: NDArray[np.float32], settings: SitesSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Refined positions (n, 3) z, y, x in mm from the map's corner, and scores (n,), one for each peak.

    centre: (z, y, x) probability.  integral: (z, y, x) logits of the site expectation.
    """
    seeds = np.argwhere((centre == maximum_filter(centre, 3)) & (centre > LEAST_PEAK))
    refined = expectations(integral, seeds, settings.integral_radius_mm, settings.centre_spacing_mm)
    return refined, calibrated(centre[tuple(seeds.T)].astype(float), settings.score_calibration)


def expectations(
    logits: NDArray[np.float32], seeds_voxel: NDArray[np.int64], radius_mm: float, spacing_mm: float
) -> NDArray[np.float64]:
    """Positions (n, 3) in mm: softmax and expectation over the ball around each seed (n, 3).

    What `network.integral_regression` computes for the loss, see there.
    """
    reach = int(radius_mm / spacing_mm)
    offsets = np.indices((2 * reach + 1,) * 3).reshape(3, -1).T - reach
    offsets = offsets[(offsets**2).sum(1) <= (radius_mm / spacing_mm) ** 2]
    voxels = seeds_voxel[:, None, :] + offsets
    inside = ((voxels >= 0) & (voxels < logits.shape)).all(-1)
    z, y, x = np.moveaxis(np.clip(voxels, 0, np.array(logits.shape) - 1), -1, 0)
    weights = softmax(np.where(inside, logits[z, y, x].astype(float), -np.inf), axis=-1)
    return (weights[..., None] * (voxels + 0.5)).sum(1) * spacing_mm


def read_at(
    maps: NDArray[np.float32], positions_mm: NDArray[np.float64], extent_zyx_mm: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Maps (C, z, y, x) read trilinearly at positions (n, 3) in mm from the window's corner: (n, C).

    What `network.read_at` computes for the loss: cell-centred, the border goes on outside.
    """
    index = positions_mm / extent_zyx_mm * maps.shape[1:] - 0.5
    return np.stack([map_coordinates(channel, index.T, order=1, mode="nearest") for channel in maps], axis=1)


def read_levels(sites_mm: NDArray[np.float64], reads: list[Read], settings: SitesSettings) -> NDArray[np.float64]:
    """(n, 28) log-probabilities: the windows' opinions, weighted by how central the site is in each."""
    extent = np.array(settings.window_zyx) * settings.spacing_mm
    total = np.zeros((len(sites_mm), settings.levels))
    weights = np.full((len(sites_mm), 1), 1e-9)
    for read in reads:
        local = sites_mm - read.corner_mm
        border = np.minimum(local, extent - local)[:, 0] / (extent[0] / 2)
        weight = np.clip(border, 0, 1)[:, None] ** 2
        total += weight * log_softmax(read_at(read.levels, local, extent), axis=1)
        weights += weight
    return all_levels(total / weights)
