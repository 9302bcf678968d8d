"""What the height of a centre peak is worth: the share of true vertebrae among candidates like it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.errors import NothingFoundError, UsageError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.prepare import AIR_HU
from VertebraLabelingLib.core.progress import silent
from VertebraLabelingLib.core.scan import Scan

from .cases import Case

if TYPE_CHECKING:
    from VertebraLabelingLib.methods.base import Method

FOUND_WITHIN_MM = 10.0
UNKNOWN_WITHIN_MM = 20.0
"""Candidates this close to where the column goes on without labels are neither true nor false."""


def scan_of(case: Case) -> Scan:
    """The cached volume at 2 mm as a prepared scan."""
    hu = np.maximum(case.volume(2.0), AIR_HU).astype(np.float32)
    z, y, x = (float(v) for v in case.corner_zyx_mm + 1.0)
    nz, ny, nx = hu.shape
    return Scan(hu, Geometry((nz, ny, nx), (2.0, 2.0, 2.0), (x, y, z)), case.id)


def judged_candidates(method: Method, cases: Iterable[Case]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores (n,) and truth (n,) of all candidates of which the annotation tells whether they are a vertebra."""
    scores, truths = [np.empty(0)], [np.empty(0, bool)]
    for case in cases:
        try:
            evidence = method.find(scan_of(case), silent)
        except NothingFoundError:
            continue
        positions = evidence.positions_lps_mm[:, ::-1]
        true = _nearest_mm(positions, case.points_zyx_mm) < FOUND_WITHIN_MM
        known = true | (_nearest_mm(positions, case.beyond_zyx_mm) > UNKNOWN_WITHIN_MM)
        scores.append(evidence.scores[known])
        truths.append(true[known])
    return np.concatenate(scores), np.concatenate(truths)


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


def _nearest_mm(positions: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance (n,) of each position (n, 3) to the nearest of the targets (m, 3); infinite without any."""
    distances = np.linalg.norm(positions[:, None] - targets[None], axis=-1)
    return distances.min(axis=1, initial=np.inf)
