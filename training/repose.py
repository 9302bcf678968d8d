"""A scan re-posed onto another spine's curve and spacing, so that millimetres say nothing of the level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from torch import Tensor
from VertebraLabelingLib.core.anatomy import Level

from .phantom.poses import Pose

Points = NDArray[np.float64]
LEAST_STEP_MM = 6.0
"""Steps along z shorter than this, in the strongest kyphoses, are no basis for a map along z."""
STRETCH = (0.78, 1.3)
BEND = 0.3
"""Most that a step is tilted, as a share of its length."""


@dataclass(frozen=True)
class Repose:
    """A map of space that moves every centroid to its new place and shifts slices without deforming them in plane.

    before_mm, after_mm: (n, 3) centroids z, y, x in source mm, z increasing in both.  Between them a monotone cubic
    along z (Fritsch and Carlson 1980), beyond them a shift.
    """

    before_mm: Points
    after_mm: Points

    def moved(self, points_mm: Points) -> Points:
        """Where points (m, 3) of the scan lie in the new pose; exact at the centroids and beyond the column's ends."""
        z, shift = _warp(self.before_mm, self.after_mm, points_mm[:, 0])
        return np.column_stack([z, points_mm[:, 1:] + shift])

    def source(self, positions_mm: Tensor) -> Tensor:
        """Where positions (..., 3) of the new pose are read in the scan."""
        low, table = self._table
        at = (positions_mm[..., 0] - low).clamp(0, len(table) - 1.001)
        index = at.floor().long()
        offset = torch.lerp(table[index], table[index + 1], (at - index)[..., None])
        return positions_mm + offset

    @cached_property
    def _table(self) -> tuple[float, Tensor]:
        """Offset (k, 3) from the new pose to the scan at every mm from the first z on."""
        z = np.arange(self.after_mm[0, 0] - 1, self.after_mm[-1, 0] + 2)
        before, shift = _warp(self.after_mm, self.before_mm, z)
        return float(z[0]), torch.tensor(np.column_stack([before - z, shift]), dtype=torch.float32)


def _warp(here_mm: Points, there_mm: Points, z: NDArray[np.float64]) -> tuple[NDArray[np.float64], Points]:
    """New z (m,) and in-plane shift (m, 2) of positions at height z."""
    inside = np.clip(z, here_mm[0, 0], here_mm[-1, 0])
    new = PchipInterpolator(here_mm[:, 0], there_mm)(inside)
    shift = PchipInterpolator(here_mm[:, 0], (there_mm - here_mm)[:, 1:])(inside)
    return new[:, 0] + z - inside, shift


def draw_repose(levels: NDArray[np.int64], points_mm: Points, poses: Points, rng: np.random.Generator) -> Repose | None:
    """A random new pose of a column (n,) and (n, 3) z, y, x, cranial first; None when it is too short or too bent.

    poses: (m, 28, 3) centroids of real spines by level, NaN where unknown; without any the steps change at random.
    """
    own = np.diff(points_mm, axis=0)
    if len(levels) < 3 or (-own[:, 0] < LEAST_STEP_MM).any():
        return None
    wanted = _random_steps(own, rng)
    if len(poses) and rng.random() < 0.7:
        wanted = _steps_of(poses[rng.integers(len(poses))], levels, own)
    steps = _limited(own, own + rng.uniform(0.3, 1.0) * (wanted - own))
    placed = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    placed += points_mm.mean(0) - placed.mean(0)
    return Repose(points_mm[::-1], placed[::-1])


def _random_steps(own: Points, rng: np.random.Generator) -> Points:
    """Every gap stretched by itself, the column bent by a smooth curve."""
    stretched = own * np.exp(rng.normal(0, 0.09, (len(own), 1)))
    bend = np.cumsum(rng.normal(0, 0.05, (len(own), 2)), axis=0)
    stretched[:, 1:] += (bend - bend.mean(0)) * np.abs(own[:, :1])
    return stretched


def _steps_of(pose: Points, levels: NDArray[np.int64], own: Points) -> Points:
    """The steps of another spine at the stature of this one; where it has none, the own ones."""
    steps = pose[levels[1:]] - pose[levels[:-1]]
    known = np.isfinite(steps).all(1)
    if not known.any():
        return own
    stature = np.median(np.linalg.norm(own[known], axis=1) / np.linalg.norm(steps[known], axis=1))
    return np.where(known[:, None], steps * stature, own)


def _limited(own: Points, steps: Points) -> Points:
    """Steps whose change is one that anatomy bears."""
    z = np.clip(steps[:, 0] / own[:, 0], *STRETCH) * own[:, 0]
    reach = BEND * np.abs(own[:, :1])
    return np.column_stack([z, own[:, 1:] + np.clip(steps[:, 1:] - own[:, 1:], -reach, reach)])


def store_poses(poses: Sequence[Pose], cache: Path) -> None:
    """Keep real columns beside the cached scans."""
    table = np.full((len(poses), len(Level), 3), np.nan, np.float32)
    for row, pose in zip(table, poses, strict=True):
        row[list(pose.levels)] = np.array(pose.points_lps_mm)[:, ::-1]
    cache.mkdir(parents=True, exist_ok=True)
    np.save(_poses_file(cache), table)


@lru_cache(maxsize=4)
def read_poses(cache: Path) -> Points:
    """(m, 28, 3) z, y, x; empty when none are stored."""
    file = _poses_file(cache)
    return np.load(file).astype(float) if file.exists() else np.empty((0, len(Level), 3))


def _poses_file(cache: Path) -> Path:
    return cache / "poses.npy"
