"""What the numbers of a method are worth: its candidates against the truth, and names as doubtful as they are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.chain import posterior
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.core.sequence import DEFAULT_SETTINGS, build_chain
from VertebraLabelingLib.core.spine_axis import steps_along_spine
from VertebraLabelingLib.methods.level_evidence import calibrated, tempered

from .certainty import judge_all, pooled
from .crops import Piece
from .decoder.samples import UNKNOWN, Sample

TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
"""Of the names of a method, over and above that of the decoder."""
DOUBTS = tuple(n / 20 for n in range(13))
"""Of columns without an anchor, 0 to 0.6."""
_LEAST = 1e-6


def judged_candidates(samples: Sequence[Sample]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores (n,) and truth (n,) of all candidates of which the annotation tells whether they are a vertebra."""
    scores = np.concatenate([np.empty(0), *(sample.evidence.scores for sample in samples)])
    truth = np.concatenate([np.empty(0, np.intp), *(sample.truth for sample in samples)])
    return scores[truth != UNKNOWN], truth[truth != UNKNOWN] >= 0


def fitted_temperature(
    samples: Sequence[Sample], score_calibration: tuple[float, float]
) -> tuple[float, dict[float, float]]:
    """The one of `TEMPERATURES` with which the decoder believes most in the true levels, and the loss of each.

    The loss is the mean over the found vertebrae, as far as the decoder takes them for one, of -log of the probability
    of the true level among all levels, in nats: a column that is off and believed in costs most.  Scores count as
    calibrated.  UsageError without any vertebra.
    """
    found = [sample for sample in samples if (sample.truth >= 0).any()]
    if not found:
        raise UsageError("No vertebra was found in any scan; that is no basis, take more scans.")
    losses = {}
    for temperature in TEMPERATURES:
        rows = np.concatenate([_losses(sample, score_calibration, temperature) for sample in found])
        losses[temperature] = float(np.average(rows[:, 0], weights=rows[:, 1]))
    return min(losses, key=losses.__getitem__), losses


def fitted_doubt(pieces: Sequence[Piece]) -> tuple[float, dict[float, float]]:
    """The one of `DOUBTS` (`CertaintySettings.unanchored_doubt`) whose probabilities fit best, and the loss of each.

    The loss is the mean over all judged points of -log of the probability that was given to what is true of it: to be
    the vertebra that it is named, or not; nats.  UsageError when nothing was named.
    """
    losses = {doubt: _doubt_loss(pieces, doubt) for doubt in DOUBTS}
    return min(losses, key=losses.__getitem__), losses


def _doubt_loss(pieces: Sequence[Piece], doubt: float) -> float:
    certainty = replace(DEFAULT_SETTINGS.certainty, unanchored_doubt=doubt)
    probabilities, hits = pooled(judge_all(pieces, replace(DEFAULT_SETTINGS, certainty=certainty)))
    if not len(hits):
        raise UsageError("No vertebra was named in any piece; that is no basis, take more scans.")
    return float(-np.log(np.where(hits, probabilities, 1.0 - probabilities).clip(_LEAST)).mean())


def _losses(sample: Sample, score_calibration: tuple[float, float], temperature: float) -> NDArray[np.float64]:
    """(m, 2) of the true vertebrae: -log of the probability of the level, and probability of being a vertebra."""
    evidence = sample.evidence
    scores, names = calibrated(evidence.scores, score_calibration), tempered(evidence.level_log_probs, temperature)
    steps = steps_along_spine(evidence.positions_lps_mm, scores)
    ordered = Evidence(evidence.positions_lps_mm, names, scores).taken(steps.order)
    levels, truth = posterior(build_chain(ordered, steps)).levels, sample.truth[steps.order]
    true = np.flatnonzero(truth >= 0)
    mass = levels[true].sum(1).clip(_LEAST)
    return np.stack([-np.log((levels[true, truth[true]] / mass).clip(_LEAST)), mass], axis=1)
