"""Evidence out of one position and presence per regular level, for methods whose network has a channel per level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.anatomy import REGULAR_LEVELS, Level
from ..core.fuse import Fused
from ..core.labelling import Evidence


def evidence_of(fused: Fused) -> Evidence:
    """Candidates of the levels that have a position; their channel is their name, presence says how surely."""
    found = np.flatnonzero(np.isfinite(fused.positions_lps_mm[:, 0]))
    names = [level_log_probs(REGULAR_LEVELS[channel], fused.presences[channel]) for channel in found]
    return Evidence(fused.positions_lps_mm[found], np.array(names).reshape(-1, len(Level)), fused.presences[found])


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
