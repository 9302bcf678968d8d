"""Density peaks of heat maps whose centroids are known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from heat_maps import heat_map
from hypothesis import given, settings
from hypothesis import strategies as st
from VertebraLabelingLib.methods.multi_view.peaks import (
    KERNEL,
    LEAST_DENSITY,
    LEAST_DISTANCE,
    LEAST_HEAT,
    Peaks,
    find_peaks,
)

SIGMA, IMAGE = 2.5, (96, 56)


def distances(peaks: Peaks, pixels: np.ndarray) -> np.ndarray:
    """From each true centroid to the nearest peak."""
    return np.linalg.norm(peaks.pixels[:, None] - pixels, axis=-1).min(0)


@given(st.floats(12, 80), st.floats(8, 46), st.floats(0.2, 1.0))
@settings(max_examples=60, deadline=None)
def test_one_centroid_is_found_between_the_pixels(row: float, column: float, height: float) -> None:
    peaks = find_peaks(heat_map(np.array([[row, column]]), SIGMA, IMAGE, height), SIGMA)
    assert len(peaks) == 1
    assert np.abs(peaks.pixels - [row, column]).max() < 0.1
    assert 0.95 * height < peaks.heights[0] <= height


@pytest.mark.parametrize("apart_px", [7.0, 8.0, 12.0])
def test_the_close_neighbours_of_a_neck_stay_apart(apart_px: float) -> None:
    """16 mm from body to body are 8 pixels; in a small spine, or seen from far, 7."""
    pixels = np.array([[15.3 + apart_px * n, 28.6 + 0.7 * n] for n in range(7)])
    peaks = find_peaks(heat_map(pixels, SIGMA, IMAGE), SIGMA)
    assert len(peaks) == 7 and distances(peaks, pixels).max() < 0.3


def test_noise_makes_no_peaks_and_moves_none_by_a_pixel() -> None:
    rng = np.random.default_rng(2)
    pixels = np.array([[20.4, 30.1], [34.0, 28.2], [49.7, 25.5], [66.2, 26.0]])
    for _ in range(20):
        heat = heat_map(pixels, SIGMA, IMAGE, [0.9, 0.6, 0.8, 0.4]) + rng.normal(0, 0.05, IMAGE)
        peaks = find_peaks(np.clip(heat, 0, 1), SIGMA)
        assert len(peaks) == 4 and distances(peaks, pixels).max() < 0.7


def test_a_grey_background_does_not_pull() -> None:
    pixels = np.array([[20.3, 9.2]])
    peaks = find_peaks(np.maximum(heat_map(pixels, SIGMA, IMAGE), 0.1), SIGMA)
    assert distances(peaks, pixels).max() < 0.1
    assert (peaks.heights > 0.5).sum() == 1


@pytest.mark.parametrize("value", [0.0, LEAST_HEAT / 2, np.nan])
def test_nothing_is_found_in_nothing(value: float) -> None:
    peaks = find_peaks(np.full(IMAGE, value), SIGMA)
    assert peaks.pixels.shape == (0, 2) and peaks.heights.shape == (0,)


def test_a_plateau_has_one_centre() -> None:
    heat = np.zeros(IMAGE)
    heat[40:46, 20:26] = 0.7
    peaks = find_peaks(heat, SIGMA)
    np.testing.assert_allclose(peaks.pixels, [[42.5, 22.5]], atol=0.3)


def test_a_single_hot_pixel_is_not_a_centroid() -> None:
    heat = heat_map(np.array([[30.0, 30.0]]), SIGMA, IMAGE)
    heat[70, 20] = 0.4
    assert len(find_peaks(heat, SIGMA)) == 1


def test_a_centre_outside_the_image_is_left_out() -> None:
    """Its flank is brightest on the border, and where the middle is nobody knows."""
    pixels = np.array([[-2.0, 28.0], [40.0, 28.0], [60.0, 57.0]])
    peaks = find_peaks(heat_map(pixels, SIGMA, IMAGE), SIGMA)
    np.testing.assert_allclose(peaks.pixels, pixels[[1]], atol=0.05)


@pytest.mark.parametrize("seed", range(6))
def test_peaks_are_those_of_the_definition(seed: int) -> None:
    """Rodriguez and Laio in their own words: all pairs of points, density, distance to the nearest denser point."""
    rng = np.random.default_rng(seed)
    heat = np.zeros((30, 30))
    noise = rng.normal(0, 0.08, (20, 20))  # away from the border, where the density is a matter of choice
    heat[5:25, 5:25] = np.clip(heat_map(rng.uniform(2, 18, (5, 2)), SIGMA, (20, 20), 0.8) + noise, 0, 1)
    points = np.argwhere(heat > LEAST_HEAT)
    weights = heat[tuple(points.T)]
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    kernel_px = KERNEL * SIGMA
    kernel = np.exp(-0.5 * (apart / kernel_px) ** 2)
    kernel[np.abs(points[:, None] - points).max(-1) > int(4 * kernel_px + 0.5)] = 0
    whole = np.exp(-0.5 * (np.arange(-5, 6) / kernel_px) ** 2).sum() ** 2
    density = (kernel @ weights) / whole * (1 + KERNEL**2)
    higher = density[None] > density[:, None] + 1e-12
    delta = np.where(higher, apart, np.inf).min(1)
    centres = points[(delta >= LEAST_DISTANCE * SIGMA) & (density > LEAST_DENSITY)]
    found = find_peaks(heat, SIGMA)
    expected = np.sort(heat[tuple(centres.T)])
    np.testing.assert_allclose(np.sort(found.heights), expected)
    assert len(found) >= 2


def test_a_whole_image_of_noise_takes_little_memory() -> None:
    """All pixels against all others would be 3 GB here."""
    noise = np.random.default_rng(0).uniform(0, 1, (192, 112))
    tracemalloc.start()
    peaks = find_peaks(noise, SIGMA)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 50 < len(peaks) < 1000 and most_bytes < 30e6
