"""Which column shift?  A question of its own for the names of a whole column.

The cross-entropy per site forgives a network that names every vertebra of a window one level too low with little
confidence each; the sum of the sites' log-probabilities under every shift of the true names tells that mistake apart.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_SHIFT = 3
BEYOND = math.log(1e-4)
"""Log-probability of a level that the network has no channel for."""


def column_loss(logits: Tensor, channels: Tensor) -> Tensor:
    """Cross-entropy of "no shift" against the shifts of -`MOST_SHIFT` to `MOST_SHIFT` levels.

    logits: (sites, levels) in the order of the levels.  channels: (sites,) the true ones.  The scores are divided by
    the root of the number of sites: neighbours look at the same picture and are no independent witnesses.
    """
    if len(channels) == 0:
        return logits.sum() * 0
    shifts = torch.arange(-MOST_SHIFT, MOST_SHIFT + 1, device=logits.device)
    named = channels[:, None] + shifts
    exists = (named >= 0) & (named < logits.shape[1])
    chances = torch.log_softmax(logits, 1).gather(1, named.clamp(0, logits.shape[1] - 1))
    scores = torch.where(exists, chances, chances.new_tensor(BEYOND)).sum(0) / math.sqrt(len(channels))
    return -F.log_softmax(scores, 0)[MOST_SHIFT]
