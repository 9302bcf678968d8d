"""One name per vertebra from what all views say: eq. (6) of Wu et al. and the correction of the order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .geometry import Views
from .matching import seen_in

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
    """(K,): how much like a sequence of levels a view's names are, 1 - its Sequence Loss, as in eq. (6).

    From 0 to 1 + 0.25 / n, see `sequence_loss`; not divided by their sum, `vote` does that for the views that see a
    point.  probabilities: (K, n, levels) of points from cranial to caudal.  seen: (K, n).  A view that sees nothing
    weighs 0.
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


def bagged(probabilities: Floats, seen: NDArray[np.bool_]) -> Floats:
    """(n, levels): share of the views that see a point which find each level the most likely; uniform if none does.

    So the level that most views say is the most likely, as in the rows without voting of the paper's Table 2.  The
    paper says nothing of ties; here the more cranial level comes first.
    """
    levels = np.arange(probabilities.shape[2])
    said = (probabilities.argmax(2)[..., None] == levels).astype(float)
    return vote(said, np.ones(len(seen)), seen)


def consecutive(probabilities: Floats) -> NDArray[np.int64]:
    """Levels (n,) that rise by one from point to point and end where the best order ends; -1 above the first level.

    probabilities: (n, levels) of points from cranial to caudal.  The paper's correction: the level of the greatest
    OPT[n, j] of eq. (1) is the last one, and the diagonal that leads there names the others.
    """
    import torch

    from .sequence_loss import sequence_scores

    rows = torch.from_numpy(probabilities)[None]
    last = int(sequence_scores(rows, torch.ones(rows.shape[:2], dtype=torch.bool)).numpy().argmax())
    return np.maximum(last - np.arange(len(probabilities), dtype=np.int64)[::-1], -1)
