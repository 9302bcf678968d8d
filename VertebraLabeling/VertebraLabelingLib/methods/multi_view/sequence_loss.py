"""Sequence Loss of Wu et al., eq. (1) and (2): how far the probabilities are from those of a sequence of levels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .order import BETA, MOST_STEPS, continuations


def sequence_loss(probabilities: Tensor, valid: Tensor) -> Tensor:
    """1 - max_j OPT[n, j] / (beta n) of each column, (B,): 0 when the levels follow each other with certainty.

    probabilities: (B, n, levels) of the vertebrae from cranial to caudal.  valid: (B, n) bool, those that are there;
    a column without any counts 1.  Differentiable in the probabilities along the best sequence.
    """
    started = torch.zeros_like(valid[:, 0])
    score = torch.zeros_like(probabilities[:, 0])
    for row, there in zip(probabilities.unbind(1), valid.unbind(1), strict=True):
        padded = F.pad(score, (MOST_STEPS, 0), value=float("-inf"))
        onward = torch.stack(continuations(padded, row)).amax(0)
        longer = torch.where(started[:, None], onward, BETA * row)
        score = torch.where(there[:, None], longer, score)
        started = started | there
    return 1 - score.amax(1) / (BETA * valid.sum(1).clamp(min=1).to(score))
