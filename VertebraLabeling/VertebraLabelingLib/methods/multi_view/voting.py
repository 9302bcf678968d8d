"""One name per vertebra from what all views say: eq. (6) of Wu et al. and the correction of the order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .geometry import Views
from .matching import seen_in
from .order import best_order

Floats = NDArray[np.float64]


def read_levels(levels: NDArray[np.float32], views: Views, points_zyx_mm: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """What each view says of each point: probabilities (K, n, 26), and whether it sees the point (K, n).

    levels: (K, 26, h', w') logits.  Read in the square around where the view sees the point, as in training.
    """
    import torch

    from .network import square_probabilities

    pixels = views.project(points_zyx_mm)
    seen = seen_in(pixels, views.settings.image_hw)
    centres = torch.from_numpy(np.nan_to_num(pixels)).float()
    read = square_probabilities(torch.from_numpy(np.ascontiguousarray(levels)), centres, views.settings)
    return read.numpy().astype(float), seen


def view_weights(probabilities: Floats, seen: NDArray[np.bool_]) -> Floats:
    """(K,) in 0..1: how much like a sequence of levels a view's names are, 1 - its sequence loss.

    probabilities: (K, n, levels) of points from cranial to caudal.  seen: (K, n).  A view that sees nothing weighs 0.
    """
    if not seen.any():
        return np.zeros(len(seen))
    import torch

    from .sequence_loss import sequence_loss

    return 1 - sequence_loss(torch.from_numpy(probabilities), torch.from_numpy(seen)).numpy()


def vote(probabilities: Floats, weights: Floats, seen: NDArray[np.bool_] | Floats) -> Floats:
    """(n, levels): mean over the views that see a point, by their weights (K,); eq. (6).  Uniform if none does.

    seen: (K, n), or how much the word of each view on each point counts.
    """
    shares = weights[:, None] * seen
    total = shares.sum(0)[:, None]
    voted = np.einsum("kn,knl->nl", shares, probabilities)
    levels = probabilities.shape[2]
    return np.divide(voted, total, out=np.full_like(voted, 1 / levels), where=total > 0)


def best_view(probabilities: Floats, weights: Floats, seen: NDArray[np.bool_]) -> Floats:
    """(n, levels): what the view of the greatest weight says among those that see a point; what voting replaces."""
    views, points, levels = probabilities.shape
    if points == 0:
        return np.empty((0, levels))
    chosen = np.where(seen, weights[:, None], -1.0).argmax(0)
    return vote(probabilities, np.ones(views), seen & (np.arange(views)[:, None] == chosen))


def consecutive(probabilities: Floats) -> NDArray[np.int64]:
    """Levels (n,) that follow each other without gap and end where the best order ends; -1 above the first level.

    probabilities: (n, levels) of points from cranial to caudal.
    """
    count = len(probabilities)
    if count == 0:
        return np.zeros(0, np.int64)
    levels = best_order(probabilities)[-1] - np.arange(count)[::-1]
    return np.maximum(levels, -1)
