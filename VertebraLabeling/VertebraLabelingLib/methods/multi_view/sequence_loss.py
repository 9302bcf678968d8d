"""The order of the levels along a column: the Sequence Loss of Wu et al. and the dynamic programming under it.

With P[i, j] the probability that vertebra i of n, from cranial to caudal, has level j of c, both counted from 1:

    OPT[i, j] = P[i, j]                                                               where i = 1 or j = 1
    OPT[i, j] = OPT[i-1, j-1] + max(alpha P[i, j-1], beta P[i, j], alpha P[i, j+1])   elsewhere             eq. (1)
    L = 1 - max_j OPT[n, j] / (beta n)                                                                      eq. (2)

So a sequence rises by one level with every vertebra, and one that is called like its neighbour still counts a little.
The first vertebra counts P and not beta P, though eq. (2) divides by beta n: n perfect rows have a loss below 0, of
-(1 - beta) / (beta n) = -0.25 / n.  In the first column a sequence may begin at any vertebra; those above it are then
left out.  A neighbour that is more than beta / alpha = 8 times as likely as the level that is due takes its place in
the maximum, and then the loss alone makes it likelier still; the cross-entropy beside it has to put that right.
Where the paper says nothing: there is no P[i, c+1], so the last level has two terms; a vertebra that a view
does not show is passed over, as if the column had one row less.

The authors' code has another recurrence, which multiplies the accumulated score and so lets the upper vertebrae fade.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA = 0.1
"""Weight of the probability of the levels beside the one that is due."""
BETA = 0.8
"""Weight of the probability of the level that is due."""


def sequence_scores(probabilities: Tensor, valid: Tensor) -> Tensor:
    """OPT[n, :] of eq. (1), (B, levels): the best score of a sequence that ends at each level; 0 without a vertebra.

    probabilities: (B, n, levels) of the vertebrae from cranial to caudal.  valid: (B, n) bool, those that are there.
    """
    columns, _, levels = probabilities.shape
    score, started = probabilities.new_zeros(columns, levels), valid.new_zeros(columns)
    for row, gain, there in zip(probabilities.unbind(1), _gains(probabilities).unbind(1), valid.unbind(1), strict=True):
        onward = torch.cat([row[:, :1], score[:, :-1] + gain[:, 1:]], 1)
        score = torch.where(there[:, None], torch.where(started[:, None], onward, row), score)
        started = started | there
    return score


def sequence_loss(probabilities: Tensor, valid: Tensor) -> Tensor:
    """L of eq. (2) of each column, (B,), between -0.25 / n and 1: the lower, the more they are a sequence of levels.

    probabilities, valid: as for `sequence_scores`.  A column without a vertebra counts 1.  Differentiable.
    """
    best = sequence_scores(probabilities, valid).amax(1)
    return 1 - best / (BETA * valid.sum(1).clamp(min=1).to(best))


def _gains(probabilities: Tensor) -> Tensor:
    """The maximum of eq. (1) for every vertebra and level; that of the first level is not asked for."""
    beside = ALPHA * F.pad(probabilities, (1, 1))
    return torch.stack([beside[..., :-2], BETA * probabilities, beside[..., 2:]]).amax(0)
