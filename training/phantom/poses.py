"""Poses of real spines: body centroids of a list, read at run time and never stored here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level

from ..spines import read_spines

SPACING_MM = (9.0, 48.0)
"""Two neighbouring bodies closer or further apart than this are a slip of the list."""
LEAST_BODIES = 5


@dataclass(frozen=True)
class Pose:
    """Part of a real column.  levels: cranio-caudal neighbours; points_lps_mm: their body centroids, one row each."""

    levels: tuple[Level, ...]
    points_lps_mm: tuple[tuple[float, float, float], ...]

    @property
    def steps_mm(self) -> NDArray[np.float64]:
        """(n - 1, 3) displacements from each centroid to the next one down, LPS mm."""
        return np.diff(np.array(self.points_lps_mm), axis=0)


def read_poses(path: Path) -> tuple[Pose, ...]:
    """The columns of the list `spines.csv.gz` (the file, or the folder it lies in; see `training.spines`).

    C1 and C2 are left out, for the list marks the dens and not the body; a column with a gap keeps its longest stretch
    and needs `LEAST_BODIES`.  InputError when the list cannot be read.
    """
    spines = read_spines(path if path.is_dir() else path.parent)
    poses = (pose_of(spine.levels, spine.positions_lps_mm) for spine in spines)
    return tuple(pose for pose in poses if pose and len(pose.levels) >= LEAST_BODIES)


def pose_of(levels: Sequence[Level], points_lps_mm: NDArray[np.float64]) -> Pose | None:
    """The longest run of neighbours of plausible spacing below C2 among the bodies of one scan, points (n, 3)."""
    column = {level: point for level, point in zip(levels, points_lps_mm, strict=True) if level > Level.C2}
    runs: list[list[Level]] = [[]]
    for level in sorted(column):
        if runs[-1] and not _neighbours(runs[-1][-1], level, column[level] - column[runs[-1][-1]]):
            runs.append([])
        runs[-1].append(level)
    best = max(runs, key=len)
    points = (tuple(float(value) for value in column[level]) for level in best)
    return Pose(tuple(best), tuple((x, y, z) for x, y, z in points)) if best else None


def _neighbours(above: Level, below: Level, gap_mm: NDArray[np.float64]) -> bool:
    low, high = SPACING_MM
    return below in following(above) and bool(low < np.linalg.norm(gap_mm) < high and gap_mm[2] < 0)


def following(level: Level) -> Iterable[Level]:
    """Levels that may lie directly below this one, with the usual and the rare numbers of vertebrae."""
    after = {
        Level.T11: (Level.T12, Level.L1), Level.T12: (Level.T13, Level.L1),
        Level.L4: (Level.L5, Level.S1), Level.L5: (Level.L6, Level.S1),
    }  # fmt: skip
    return after.get(level, (Level(level + 1),) if level < Level.S2 else ())


def counts(pose: Pose) -> tuple[int | None, int | None]:
    """Numbers of thoracic and lumbar vertebrae as far as the pose tells them."""
    pairs = set(zip(pose.levels[:-1], pose.levels[1:], strict=True))
    thoracic = {(Level.T11, Level.L1): 11, (Level.T12, Level.L1): 12, (Level.T13, Level.L1): 13}
    found = [count for pair, count in thoracic.items() if pair in pairs]
    return (found[0] if found else None), (6 if Level.L6 in pose.levels else None)


def draw_pose(poses: Sequence[Pose], rng: np.random.Generator) -> Pose:
    """A random pose; long columns come as much more often as they are longer."""
    weights = np.array([len(pose.levels) for pose in poses], float)
    return poses[int(rng.choice(len(poses), p=weights / weights.sum()))]
