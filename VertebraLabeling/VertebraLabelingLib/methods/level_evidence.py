"""What the methods share on the way from the answers of a network to evidence: names and scores of candidates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logit

from ..core.anatomy import REGULAR_LEVELS, Level
from ..core.fuse import Fused
from ..core.labelling import Evidence

LEAST_LOG_PROB = -12.0
"""No level is held for less likely: one mistake must not outweigh all other words."""
_HIGHEST = 1 - 1e-6


def evidence_of(
    fused: Fused, score_calibration: tuple[float, float] = (1.0, 0.0), level_temperature: float = 1.0
) -> Evidence:
    """Candidates out of one position and presence per regular level: those that have a position.

    Their channel is their name, presence says how surely.  score_calibration: see `calibrated`.  level_temperature:
    see `tempered`.
    """
    found = np.flatnonzero(np.isfinite(fused.positions_lps_mm[:, 0]))
    presences = fused.presences[found]
    names = [level_log_probs(REGULAR_LEVELS[channel], p) for channel, p in zip(found, presences, strict=True)]
    log_probs = tempered(np.reshape(names, (-1, len(Level))), level_temperature)
    return Evidence(fused.positions_lps_mm[found], log_probs, calibrated(presences, score_calibration))


def level_log_probs(level: Level, presence: float) -> NDArray[np.float64]:
    """(28,) log-probabilities of the name of a candidate of `level`'s channel.

    The channel's own level has (1 + presence) / 2, at most 0.98: a weak presence doubts the name but backs no other.
    The rest falls by half with each level further away, since the usual mistake is one level; T13 and L6, which the
    network does not know, get a tenth of their neighbours' share.
    """
    own = min(0.98, (1 + presence) / 2)
    others = np.array([0.5 ** abs(other - level) * (0.1 if other.is_supernumerary else 1.0) for other in Level])
    others[level] = 0
    probabilities = others * (1 - own) / others.sum()
    probabilities[level] = own
    return np.log(probabilities)


def all_levels(regular: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 26) -> (n, 28), normalised; the decoder gives T13 and L6 the likeness of their neighbours."""
    log_probs = np.full((len(regular), len(Level)), LEAST_LOG_PROB)
    log_probs[:, list(REGULAR_LEVELS)] = np.maximum(regular, LEAST_LOG_PROB)
    return log_probs - np.log(np.exp(log_probs).sum(1, keepdims=True))


def tempered(level_log_probs: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """(n, levels) log-probabilities divided by a temperature and normalised again: above 1 all are in more doubt."""
    return np.asarray(log_softmax(level_log_probs / temperature, axis=1))


def calibrated(heights: NDArray[np.float64], calibration: tuple[float, float]) -> NDArray[np.float64]:
    """Probabilities (n,) of being a vertebra, of heights (n,) above 0; slope and offset: see `training calibrate`."""
    slope, offset = calibration
    return np.asarray(expit(slope * logit(np.minimum(heights, _HIGHEST)) + offset))
