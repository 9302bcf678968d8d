"""Evidence of networks that have a channel per level."""

from __future__ import annotations

import numpy as np
import pytest
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.core.fuse import Fused
from VertebraLabelingLib.methods.level_evidence import evidence_of, level_log_probs


@pytest.mark.parametrize("presence", [0.0, 0.3, 1.0])
def test_names_are_a_distribution_that_peaks_at_the_channel(presence):
    log_probs = level_log_probs(Level.L5, presence)
    assert np.exp(log_probs).sum() == pytest.approx(1) and log_probs.argmax() == Level.L5
    assert np.exp(log_probs[Level.L5]) >= 0.5 and log_probs[Level.L4] > log_probs[Level.L3] > log_probs[Level.T12]
    assert log_probs[Level.L6] < log_probs[Level.S1]


def test_levels_without_a_position_are_no_candidates():
    positions = np.full((26, 3), np.nan)
    positions[REGULAR_LEVELS.index(Level.L1)] = [1.0, 2.0, 3.0]
    presences = np.full(26, 0.7)
    evidence = evidence_of(Fused(positions, presences))
    assert evidence.positions_lps_mm.tolist() == [[1.0, 2.0, 3.0]] and evidence.scores.tolist() == [0.7]
    assert evidence.level_log_probs.argmax(1).tolist() == [Level.L1]
    assert len(evidence_of(Fused(np.full((26, 3), np.nan), presences))) == 0
