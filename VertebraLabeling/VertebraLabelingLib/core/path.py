"""The best path of a column through the slices of a probability map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEP_COST = 0.08
"""Cost of moving by one voxel between neighbouring slices: the column is smooth."""


def best_path(probability: NDArray[np.float32], reach: int = 2) -> NDArray[np.int64]:
    """(z, 2) voxel (y, x) of each slice on the path of highest total probability.

    probability: (z, y, x).  Between neighbouring slices the path moves by at most `reach` voxels along y and x.
    Dynamic programming over the slices; exact.
    """
    moves = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    best = probability[0].astype(float)
    choices = np.zeros(probability.shape, np.int8)
    for z in range(1, len(probability)):
        arrived = np.stack([_shifted(best, move) - STEP_COST * np.hypot(*move) for move in moves])
        choices[z] = arrived.argmax(0)
        best = arrived.max(0) + probability[z]
    return _traced(np.unravel_index(int(best.argmax()), best.shape), choices, moves)


def _shifted(values: NDArray[np.float64], move: tuple[int, int]) -> NDArray[np.float64]:
    """The values at (y - dy, x - dx), minus infinity beyond the border."""
    result = np.full_like(values, -np.inf)
    (dy, dx), (ny, nx) = move, values.shape
    result[max(dy, 0) : ny + min(dy, 0), max(dx, 0) : nx + min(dx, 0)] = values[
        max(-dy, 0) : ny + min(-dy, 0), max(-dx, 0) : nx + min(-dx, 0)
    ]
    return result


def _traced(last: tuple[np.intp, ...], choices: NDArray[np.int8], moves: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Path that ends at `last`, from the recorded choices."""
    path = np.empty((len(choices), 2), np.int64)
    path[-1] = last
    for z in range(len(choices) - 1, 0, -1):
        y, x = path[z]
        path[z - 1] = path[z] - moves[choices[z, y, x]]
    return path
