from __future__ import annotations

import numpy as np
import pytest
from VertebraLabelingLib.core.fuse import Votes, geometric_median, kmeans_fusion, weighted_fusion

TRUTH = np.array([10.0, -20.0, 300.0])


def votes_of_level_0(points, presences, borders) -> Votes:
    """All other levels absent."""
    w = len(presences)
    positions, presence, border = np.zeros((w, 26, 3)), np.zeros((w, 26)), np.zeros((w, 26))
    positions[:, 0], presence[:, 0], border[:, 0] = points, presences, borders
    return Votes(positions, presence, border)


def test_agreeing_windows_give_their_common_point_and_the_best_presence():
    votes = votes_of_level_0(np.tile(TRUTH, (4, 1)), [0.9, 0.7, 0.95, 0.6], [10, 3, 5, 8])
    for fuse in (weighted_fusion, kmeans_fusion):
        fused = fuse(votes)
        np.testing.assert_allclose(fused.positions_lps_mm[0], TRUTH, atol=1e-6)
        assert fused.presences[0] == 0.95


def test_levels_without_a_positive_window_have_no_position():
    votes = votes_of_level_0(np.tile(TRUTH, (2, 1)), [0.4, 0.3], [5, 5])
    assert np.isnan(weighted_fusion(votes).positions_lps_mm).all()
    assert np.isfinite(weighted_fusion(votes, threshold=0.35).positions_lps_mm[0]).all()


def test_one_far_outlier_moves_the_mean_but_not_the_weighted_fusion():
    points = TRUTH + np.array([[0, 0, 1.0], [0, 0, -1.0], [1.0, 0, 0], [0, 0, 120.0]])
    votes = votes_of_level_0(points, [0.9] * 4, [9] * 4)
    assert np.linalg.norm(kmeans_fusion(votes).positions_lps_mm[0] - TRUTH) == pytest.approx(30, abs=0.3)
    np.testing.assert_allclose(weighted_fusion(votes).positions_lps_mm[0], TRUTH + np.array([1 / 3, 0, 0]), atol=1e-9)


def test_a_confident_central_window_outweighs_unsure_border_windows():
    points = TRUTH + np.array([[0, 0, 0], [0, 0, 15.0], [0, 0, 15.0]])
    fused = weighted_fusion(votes_of_level_0(points, [1.0, 0.6, 0.6], [12, 0, 0]))
    weights = np.array([1.0, 0.36 * 0.5 / 6, 0.36 * 0.5 / 6])
    np.testing.assert_allclose(fused.positions_lps_mm[0], weights @ points / weights.sum(), atol=1e-9)


def test_the_geometric_median_of_a_majority_is_the_majority():
    points = np.array([[0.0, 0, 0]] * 3 + [[90.0, 0, 0], [0, 70.0, 0]])
    assert np.linalg.norm(geometric_median(points, np.ones(5))) < 0.1


def test_no_window_at_all_means_nothing_present():
    fused = weighted_fusion(Votes(np.zeros((0, 26, 3)), np.zeros((0, 26)), np.zeros((0, 26))))
    assert (fused.presences == 0).all() and np.isnan(fused.positions_lps_mm).all()


def test_votes_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="disagree"):
        Votes(np.zeros((2, 26, 3)), np.zeros((2, 26)), np.zeros((1, 26)))
