"""From the region probabilities of the raw detections to evidence for levels.

A detection says C, T or L, and at the borders of the regions a little more.  What that is worth for each level is
learned: a logistic regression of the level on the three logits, all levels weighted as equally frequent, so that its
probabilities are likelihoods up to a factor (Platt 1999).  The sacrum is not annotated; a detection below the last
lumbar body looks like one, and how often there is one is the likelihood of S1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.labelling import Evidence

from ..calibration import fitted
from ..spines import Spine, matched

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

Array = NDArray[np.float64]

_BELOW_MM = (20.0, 55.0)
_LEAST_PROBABILITY = 1e-4
"""For levels that the list never has (T13, S2)."""


@dataclass(frozen=True)
class RegionModel:
    """levels: fitted regression of the level on logits.  score: (slope, offset) of the probability of a detection to be
    a vertebra, on the logit of its largest region probability.  sacral_share: how often S1 is detected below L5.
    """

    levels: LogisticRegression
    score: tuple[float, float]
    sacral_share: float

    def level_log_probs(self, regions: Array) -> Array:
        """(m, 28) from region probabilities (m, 3); rows sum to 1 in probability."""
        probability = np.full((len(regions), len(Level)), _LEAST_PROBABILITY)
        probability[:, self.levels.classes_] += self.levels.predict_proba(_logits(regions))
        probability[:, Level.S1] += self.sacral_share * probability[:, Level.L5]
        return np.asarray(np.log(probability / probability.sum(axis=1, keepdims=True)))

    def evidence(self, positions_lps_mm: Array, regions: Array) -> Evidence:
        """Evidence of detections, in their order."""
        slope, offset = self.score
        scores = 1.0 / (1.0 + np.exp(-slope * _logits(regions).max(axis=1) - offset))
        return Evidence(positions_lps_mm, self.level_log_probs(regions), scores)


def fit_regions(spines: Sequence[Spine]) -> RegionModel:
    """Regressions and the sacral share from the detections of annotated spines."""
    from sklearn.linear_model import LogisticRegression

    found = [(spine, matched(spine)) for spine in spines if len(spine.detections_lps_mm)]
    regions = np.concatenate([spine.regions for spine, _ in found])
    vertebra = np.concatenate([index for _, index in found])
    levels = np.concatenate([np.array([*spine.levels, -1])[index] for spine, index in found])
    logits, true = _logits(regions), vertebra >= 0
    model = LogisticRegression(class_weight="balanced", tol=3e-3, max_iter=1000).fit(logits[true], levels[true])
    strength = 1.0 / (1.0 + np.exp(-logits.max(axis=1)))
    return RegionModel(model, fitted(strength, true), _sacral_share(found))


def _sacral_share(found: Sequence[tuple[Spine, NDArray[np.intp]]]) -> float:
    """Share of spines that end at L5 or L6 with a further detection about where S1 is."""
    complete = [(spine, index) for spine, index in found if spine.levels[-1] in (Level.L5, Level.L6)]
    below = 0
    for spine, index in complete:
        offsets = spine.detections_lps_mm[index < 0] - spine.positions_lps_mm[-1]
        distance = np.linalg.norm(offsets, axis=1)
        below += bool(((distance > _BELOW_MM[0]) & (distance < _BELOW_MM[1]) & (offsets[:, 2] < 0)).any())
    return below / max(len(complete), 1)


def _logits(regions: Array) -> Array:
    """(m, 3), finite."""
    inside = np.clip(regions, 1e-3, 1.0 - 1e-3)
    return np.asarray(np.log(inside / (1.0 - inside)))
