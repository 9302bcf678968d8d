"""One name per vertebra: eq. (6) by hand, and the numbering that follows."""

from __future__ import annotations

import numpy as np
import pytest
from heat_maps import COLUMN_ZYX_MM, SETTINGS, level_logits
from hypothesis import given, settings
from hypothesis import strategies as st
from VertebraLabelingLib.methods.multi_view.geometry import equal_views
from VertebraLabelingLib.methods.multi_view.voting import bagged, consecutive, read_levels, view_weights, vote

pytest.importorskip("torch")


def rows(levels: list[int], sure: float = 1.0) -> np.ndarray:
    """(n, 26) probabilities with `sure` at each level and the rest spread over all others."""
    result = np.full((len(levels), 26), (1 - sure) / 25)
    result[np.arange(len(levels)), levels] = sure
    return result


def test_levels_are_read_where_each_view_sees_the_point() -> None:
    views = equal_views(SETTINGS)
    channels = np.arange(6, 18)
    levels = np.stack([level_logits(pixels, channels, SETTINGS.image_hw) for pixels in views.project(COLUMN_ZYX_MM)])
    probabilities, seen = read_levels(levels, views, COLUMN_ZYX_MM)
    assert probabilities.shape == (10, 12, 26) and seen.all()
    assert (probabilities.argmax(2) == channels).all() and probabilities.max(2).min() > 0.9
    np.testing.assert_allclose(probabilities.sum(2), 1, atol=1e-5)


def test_points_outside_an_image_are_not_seen_there_and_do_no_harm() -> None:
    views = equal_views(SETTINGS, 4)
    behind_the_source = np.array([[0.0, -1100.0, 0.0], [400.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    probabilities, seen = read_levels(np.zeros((4, 26, 96, 56), np.float32), views, behind_the_source)
    assert seen.tolist() == [[False, False, True], [False, False, True], [True, False, True], [False, False, True]]
    np.testing.assert_allclose(probabilities, 1 / 26)


def test_no_points_have_no_votes() -> None:
    views = equal_views(SETTINGS, 3)
    probabilities, seen = read_levels(np.zeros((3, 26, 96, 56), np.float32), views, np.empty((0, 3)))
    weights = view_weights(probabilities, seen)
    assert vote(probabilities, weights, seen).shape == bagged(probabilities, seen).shape == (0, 26)
    assert consecutive(np.empty((0, 26))).shape == (0,)


def test_a_view_weighs_what_its_names_are_worth_as_a_sequence() -> None:
    """The first vertebra counts 1, each that follows beta = 0.8, one beside its level alpha = 0.1; over 0.8 n."""
    names = np.stack([rows([3, 4, 5, 6]), rows([3, 4, 4, 6]), rows([3, 4, 5, 6], 0.5), rows([3, 4, 20, 6])])
    seen = np.ones((4, 4), bool)
    seen[3, 2] = False
    run, beside, unsure, unseen = view_weights(names, seen)
    assert run == pytest.approx((1 + 3 * 0.8) / 3.2)
    assert beside == pytest.approx((1 + 2 * 0.8 + 0.1) / 3.2)
    assert unsure == pytest.approx(run / 2)
    assert unseen == pytest.approx((1 + 0.8 + 0.1) / 2.4), "what it does not see is left out, and 6 is beside 5"


def test_voting_is_the_weighted_mean_over_the_views_that_see_a_point() -> None:
    names = np.stack([rows([3, 4]), rows([4, 5]), rows([9, 9])])
    seen = np.array([[True, True], [True, False], [False, False]])
    voted = vote(names, np.array([0.9, 0.3, 0.8]), seen)
    np.testing.assert_allclose(voted[0, [3, 4]], [0.75, 0.25])
    np.testing.assert_allclose(voted[1], rows([4])[0])
    nobody = vote(names, np.ones(3), np.zeros((3, 2), bool))
    np.testing.assert_allclose(nobody, 1 / 26)


@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_votes_are_probabilities(views: int, points: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = rng.dirichlet(np.ones(26), (views, points))
    seen, weights = rng.random((views, points)) < 0.6, rng.random(views) * (rng.random(views) < 0.8)
    for voted in (vote(names, weights, seen), bagged(names, seen)):
        assert (voted >= 0).all()
        np.testing.assert_allclose(voted.sum(1), 1)


def test_bagging_takes_the_level_that_most_of_the_views_that_see_a_point_say() -> None:
    """However sure they are, and whatever else a view says; of two as usual ones the more cranial."""
    names = np.stack([rows([3, 4, 9], 0.3), rows([3, 8, 7], 0.3), rows([13, 8, 9])])
    seen = np.array([[True, True, False], [True, False, True], [True, True, True]])
    chosen = bagged(names, seen)
    assert chosen.argmax(1).tolist() == [3, 4, 7]
    np.testing.assert_allclose(chosen[0, [3, 13]], [2 / 3, 1 / 3])
    np.testing.assert_allclose(bagged(names, np.zeros((3, 3), bool)), 1 / 26)


def test_names_become_consecutive_where_most_agree() -> None:
    """One wrong name and one that is its neighbour's: the order ends at L2 and counts upwards from there."""
    assert consecutive(rows([15, 16, 3, 18, 18, 20], 0.9)).tolist() == [15, 16, 17, 18, 19, 20]


def test_what_would_be_above_the_first_level_has_no_name() -> None:
    assert consecutive(rows([7, 0, 1, 2], 0.9)).tolist() == [-1, 0, 1, 2]


@given(st.integers(0, 25), st.integers(1, 26), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_numbering_rises_by_one(first: int, count: int, seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(26), count)
    levels = consecutive(probabilities)
    assert (np.diff(levels[levels >= 0]) == 1).all() and levels[-1] >= 0
    count = min(count, 26 - first)
    assert consecutive(rows(list(range(first, first + count)), 0.8)).tolist() == list(range(first, first + count))
