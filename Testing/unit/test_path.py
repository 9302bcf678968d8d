"""The best path through a map, against brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
from VertebraLabelingLib.core.path import STEP_COST, best_path


def _value(probability: np.ndarray, path: np.ndarray) -> float:
    total = sum(probability[z, y, x] for z, (y, x) in enumerate(path))
    return total - STEP_COST * np.hypot(*np.diff(path, axis=0).T).sum()


def test_equals_brute_force_on_a_small_map() -> None:
    probability = np.random.default_rng(1).random((4, 3, 3)).astype(np.float32)
    voxels = list(product(range(3), range(3)))
    paths = (np.array(p) for p in product(voxels, repeat=4))
    allowed = (p for p in paths if np.abs(np.diff(p, axis=0)).max() <= 1)
    assert np.isclose(
        _value(probability, best_path(probability, reach=1)), max(_value(probability, p) for p in allowed)
    )


def test_follows_a_slanting_tube_past_a_brighter_but_isolated_blob() -> None:
    probability = np.zeros((20, 15, 15), np.float32)
    for z in range(20):
        probability[z, 3 + z // 3, 7] = 0.8
    probability[10, 14, 0] = 1.0
    path = best_path(probability)
    assert path[:, 0].tolist() == [3 + z // 3 for z in range(20)]
    assert set(path[:, 1].tolist()) == {7}


def test_a_single_slice_gives_its_maximum() -> None:
    probability = np.zeros((1, 4, 5), np.float32)
    probability[0, 2, 3] = 1
    assert best_path(probability).tolist() == [[2, 3]]
