"""A scan on another spine's curve and spacing: every centroid goes where its voxels go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import Level  # noqa: E402

from training.phantom.poses import Pose  # noqa: E402
from training.repose import STRETCH, Repose, draw_repose, read_poses, store_poses  # noqa: E402

LEVELS = np.array([Level.T10, Level.T11, Level.T12, Level.L1, Level.L2])
POINTS = np.array([[-26.0 * n, 3.0 * n, 0.5 * n] for n in range(5)]) + [700.0, 20.0, -4.0]
NO_POSES = np.empty((0, len(Level), 3))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_read_at_a_new_centroid_is_the_old_centroid(seed: int) -> None:
    pose = draw_repose(LEVELS, POINTS, NO_POSES, np.random.default_rng(seed))
    assert pose is not None
    moved = pose.moved(POINTS)
    assert np.abs(moved - POINTS).max() > 0.4
    read = pose.source(torch.tensor(moved, dtype=torch.float32)).numpy()
    # the table has a millimetre's pitch: linear between its lines
    assert np.abs(read - POINTS).max() < 0.05


def test_beyond_the_ends_it_is_a_shift() -> None:
    pose = Repose(POINTS[::-1], (POINTS * [1.1, 1, 1])[::-1])
    above = POINTS[:1] + [[40.0, 5.0, 5.0]]
    assert pose.moved(above) - above == pytest.approx(pose.moved(POINTS[:1]) - POINTS[:1])


def test_steps_change_no_more_than_anatomy_bears() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        pose = draw_repose(LEVELS, POINTS, NO_POSES, rng)
        assert pose is not None
        ratio = np.diff(pose.moved(POINTS)[:, 0]) / np.diff(POINTS[:, 0])
        assert (ratio >= STRETCH[0] - 1e-9).all() and (ratio <= STRETCH[1] + 1e-9).all()


def test_takes_the_spacing_of_a_real_spine_at_its_own_stature(tmp_path: Path) -> None:
    places = tuple((0.0, 0.0, -10.0 * n - (5.0 if n > 2 else 0.0)) for n in range(len(LEVELS)))
    store_poses([Pose(tuple(Level(v) for v in LEVELS), places)], tmp_path)
    poses = read_poses(tmp_path)
    assert poses.shape == (1, len(Level), 3) and np.isfinite(poses).all(2).sum() == len(LEVELS)
    drawn = [draw_repose(LEVELS, POINTS, poses, np.random.default_rng(seed)) for seed in range(40)]
    ratios = np.array([np.diff(p.moved(POINTS)[:, 0]) / np.diff(POINTS[:, 0]) for p in drawn if p is not None])
    widest = ratios.argmax(1)
    # seven in ten follow the spine, whose third gap is half as wide again
    assert (widest == 2).mean() > 0.55


def test_without_a_list_there_are_no_poses(tmp_path: Path) -> None:
    assert read_poses(tmp_path).shape == NO_POSES.shape


def test_short_or_folded_columns_keep_their_pose() -> None:
    rng = np.random.default_rng(0)
    assert draw_repose(LEVELS[:2], POINTS[:2], NO_POSES, rng) is None
    folded = POINTS.copy()
    folded[3, 0] = folded[2, 0] + 1
    assert draw_repose(LEVELS, folded, NO_POSES, rng) is None
