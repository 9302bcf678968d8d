"""Scores as probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.errors import UsageError


def fitted(scores: NDArray[np.float64], truths: NDArray[np.bool_]) -> tuple[float, float]:
    """(slope, offset) of the logistic regression of the truth on the logit of the score (Platt 1999).

    UsageError when there are not both, true and false candidates, to learn from.
    """
    from sklearn.linear_model import LogisticRegression

    if truths.all() or not truths.any():
        raise UsageError(f"{len(truths)} candidates, not both true and false ones, are no basis; take more scans.")
    logits = np.log(scores / (1 - scores))
    model = LogisticRegression().fit(logits[:, None], truths)
    return float(model.coef_[0, 0]), float(model.intercept_[0])
