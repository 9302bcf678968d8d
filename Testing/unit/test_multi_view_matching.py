"""The same vertebra in several views: exact projections of known points, then with noise, misses and false peaks."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from heat_maps import COLUMN_ZYX_MM, SETTINGS, exact_peaks
from hypothesis import given, settings
from hypothesis import strategies as st
from VertebraLabelingLib.methods.multi_view.geometry import Views, equal_views
from VertebraLabelingLib.methods.multi_view.matching import match_views, nearest_to_rays, seen_in
from VertebraLabelingLib.methods.multi_view.peaks import Peaks

EXTENT = np.array(SETTINGS.window_zyx) * SETTINGS.spacing_mm


def errors_mm(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """From each true point to the nearest that was found."""
    return np.linalg.norm(found[:, None] - truth, axis=-1).min(0)


def spoilt(peaks: list[Peaks], rng: np.random.Generator, noise_px: float, missed: float, false: int) -> list[Peaks]:
    """Peaks moved by noise, a share of them missed, and some false ones anywhere in the image."""
    result = []
    for found in peaks:
        kept = found.pixels[rng.random(len(found)) >= missed]
        moved = kept + rng.normal(0, noise_px, kept.shape)
        made_up = rng.uniform(0, np.array(SETTINGS.image_hw) - 1, (false, 2))
        heights = np.concatenate([np.full(len(kept), 0.9), np.full(false, 0.5)])
        result.append(Peaks(np.concatenate([moved, made_up]), heights))
    return result


@pytest.mark.parametrize("number", [2, 3, 5, 10, 20])
def test_exact_peaks_give_the_exact_points(number: int) -> None:
    views = Views(np.array([0.0, 1.5]), SETTINGS) if number == 2 else equal_views(SETTINGS, number)
    found = match_views(views, exact_peaks(views, COLUMN_ZYX_MM), EXTENT)
    assert found.points_zyx_mm.shape == COLUMN_ZYX_MM.shape
    assert errors_mm(found.points_zyx_mm, COLUMN_ZYX_MM).max() < 1e-6
    assert (found.peaks >= 0).all() and found.scores == pytest.approx(0.9)


def test_each_point_has_the_peaks_that_are_its_own() -> None:
    views = equal_views(SETTINGS)
    found = match_views(views, exact_peaks(views, COLUMN_ZYX_MM), EXTENT)
    truth = np.linalg.norm(found.points_zyx_mm[:, None] - COLUMN_ZYX_MM, axis=-1).argmin(1)
    assert (found.peaks == truth[:, None]).all()


@pytest.mark.parametrize(
    ("number", "noise_px", "missed", "false"), [(10, 0.3, 0.2, 5), (20, 0.4, 0.4, 6), (5, 0.2, 0.1, 1)]
)
def test_misses_and_false_peaks_are_borne(number: int, noise_px: float, missed: float, false: int) -> None:
    """Within 1 mm on the whole, none of the column lost, and what is false scores below what is true."""
    rng, errors, lowest, highest_false = np.random.default_rng(3), [], 1.0, 0.0
    views = equal_views(SETTINGS, number)
    for _ in range(5):
        found = match_views(views, spoilt(exact_peaks(views, COLUMN_ZYX_MM), rng, noise_px, missed, false), EXTENT)
        errors.append(errors_mm(found.points_zyx_mm, COLUMN_ZYX_MM))
        true = np.linalg.norm(found.points_zyx_mm[:, None] - COLUMN_ZYX_MM, axis=-1).min(1) < 5
        assert true.sum() == len(COLUMN_ZYX_MM)
        lowest = min(lowest, found.scores[true].min())
        highest_false = max([highest_false, *found.scores[~true]])
    assert np.mean(errors) < 0.6 and np.max(errors) < 2.5
    assert highest_false < lowest


def test_false_peaks_alone_agree_on_next_to_nothing() -> None:
    views, rng = equal_views(SETTINGS), np.random.default_rng(1)
    nothing = [Peaks(np.empty((0, 2)), np.empty(0))] * len(views)
    counts = []
    for _ in range(10):
        found = match_views(views, spoilt(nothing, rng, 0, 0, 8), EXTENT)
        counts.append(len(found.scores))
        assert (found.scores < 0.3).all()
    assert np.mean(counts) < 3


def test_two_vertebrae_in_line_are_two_though_one_view_shows_one() -> None:
    """In the antero-posterior view the front one hides the one behind it; all others tell them apart."""
    views = equal_views(SETTINGS)
    pair = np.array([[0.0, -30.0, 0.0], [0.0, 20.0, 0.0]])
    peaks = exact_peaks(views, pair)
    hidden = (0, 5)
    for view in hidden:
        assert np.ptp(peaks[view].pixels, axis=0).max() < 1e-6
        peaks[view] = Peaks(peaks[view].pixels[:1], peaks[view].heights[:1])
    found = match_views(views, peaks, EXTENT)
    assert len(found.scores) == 2 and errors_mm(found.points_zyx_mm, pair).max() < 1e-6
    assert [(found.peaks[:, view] >= 0).sum() for view in hidden] == [1, 1]


@pytest.mark.parametrize("angles", [[0.0], [0.0, np.pi], [0.3, 0.4]])
def test_views_that_do_not_differ_find_nothing(angles: list[float]) -> None:
    """One view has no depth, and from front and back the rays are the same."""
    views = Views(np.array(angles), SETTINGS)
    found = match_views(views, exact_peaks(views, COLUMN_ZYX_MM), EXTENT)
    assert found.points_zyx_mm.shape == (0, 3) and found.peaks.shape == (0, len(angles))


def test_no_peaks_are_no_points() -> None:
    views = equal_views(SETTINGS)
    found = match_views(views, [Peaks(np.empty((0, 2)), np.empty(0))] * len(views), EXTENT)
    assert found.points_zyx_mm.shape == (0, 3) and found.scores.shape == (0,) and found.peaks.shape == (0, len(views))


def test_a_view_without_peaks_costs_its_share_of_the_score() -> None:
    views = equal_views(SETTINGS)
    peaks = exact_peaks(views, COLUMN_ZYX_MM[3:6], height=0.8)
    peaks[2] = Peaks(np.empty((0, 2)), np.empty(0))
    found = match_views(views, peaks, EXTENT)
    assert found.scores == pytest.approx(0.8 * 9 / 10)


def test_a_point_that_only_some_views_see_is_held_against_those() -> None:
    """Low in the window and in front of the axis: the views from the front see it below their image."""
    views = equal_views(SETTINGS)
    point = np.array([[-188.0, -40.0, 0.0]])
    seen = seen_in(views.project(point)[:, 0], SETTINGS.image_hw)
    assert 5 <= seen.sum() < 10
    peaks = [
        found if there else Peaks(np.empty((0, 2)), np.empty(0))
        for found, there in zip(exact_peaks(views, point), seen, strict=True)
    ]
    found = match_views(views, peaks, EXTENT)
    assert found.scores == pytest.approx(0.9) and errors_mm(found.points_zyx_mm, point).max() < 1e-6


def test_meetings_outside_the_window_are_ignored() -> None:
    views = equal_views(replace(SETTINGS, image_hw=(400, 400)))
    outside = np.array([[0.0, 0.0, 130.0]])
    assert len(match_views(views, exact_peaks(views, outside), EXTENT).scores) == 0
    assert len(match_views(views, exact_peaks(views, outside), np.full(3, 300.0)).scores) == 1


@given(st.integers(2, 8), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_point_nearest_to_rays_is_the_least_squares_answer(number: int, seed: int) -> None:
    """Against scipy's general solver, which knows nothing of eq. (4) and (5)."""
    from scipy.optimize import least_squares

    rng = np.random.default_rng(seed)
    directions = rng.normal(0, 1, (number, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    origins = rng.normal(0, 100, (number, 3))

    def offsets(point: np.ndarray) -> np.ndarray:
        return np.cross(point - origins, directions).ravel()

    point = nearest_to_rays(origins, directions)
    best = least_squares(offsets, np.zeros(3)).cost
    assert 0.5 * (offsets(point) ** 2).sum() <= best * (1 + 1e-6) + 1e-9


def test_rays_through_one_point_meet_there_and_parallel_ones_nowhere() -> None:
    rng = np.random.default_rng(0)
    point, origins = np.array([3.0, -20.0, 8.0]), rng.normal(0, 500, (5, 3))
    directions = (point - origins) / np.linalg.norm(point - origins, axis=1, keepdims=True)
    np.testing.assert_allclose(nearest_to_rays(origins, directions), point, atol=1e-9)
    with pytest.raises(ValueError, match="parallel"):
        nearest_to_rays(origins, np.repeat(directions[:1], 5, axis=0))


def test_a_crowd_of_false_peaks_takes_little_memory() -> None:
    """20 views with 40 false peaks each, as an untrained network has: only what meets is held against all views."""
    views, rng = equal_views(SETTINGS, 20), np.random.default_rng(0)
    nothing = [Peaks(np.empty((0, 2)), np.empty(0))] * len(views)
    peaks = spoilt(nothing, rng, 0, 0, 40)
    tracemalloc.start()
    found = match_views(views, peaks, EXTENT)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < 50e6
    used = [found.peaks[:, view][found.peaks[:, view] >= 0] for view in range(20)]
    assert all(len(np.unique(peaks)) == len(peaks) for peaks in used)
