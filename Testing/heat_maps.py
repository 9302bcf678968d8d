"""Exact heat maps and level maps of known centroids, as a perfect network of Wu et al. would give them."""

from __future__ import annotations

import numpy as np
from VertebraLabelingLib.methods.multi_view.geometry import Views
from VertebraLabelingLib.methods.multi_view.peaks import Peaks
from VertebraLabelingLib.methods.multi_view.settings import MultiViewSettings

SETTINGS = MultiViewSettings(window_zyx=(192, 88, 112), image_hw=(192, 112), widths=(16, 16, 16, 16))
COLUMN_ZYX_MM = np.array([[150.0 - 25 * n, 12 * np.sin(0.5 * n), 6 * np.cos(0.4 * n)] for n in range(12)])
"""Twelve bodies of a curved column, from the middle of a window."""


def heat_map(pixels: np.ndarray, sigma_px: float, image_hw: tuple[int, int], heights: np.ndarray | float = 1.0):
    """(h, w): the highest of the Gaussians around pixels (n, 2), which may lie outside the image."""
    heat = np.zeros(image_hw)
    for (row, column), height in zip(pixels, np.broadcast_to(heights, len(pixels)), strict=True):
        down, across = np.arange(image_hw[0]) - row, np.arange(image_hw[1]) - column
        bell = np.outer(np.exp(-0.5 * (down / sigma_px) ** 2), np.exp(-0.5 * (across / sigma_px) ** 2))
        heat = np.maximum(heat, height * bell)
    return heat


def logits_of(heat: np.ndarray) -> np.ndarray:
    """What a sigmoid turns into that heat."""
    inside = np.clip(heat, 1e-4, 1 - 1e-4)
    return np.log(inside / (1 - inside)).astype(np.float32)


def level_logits(pixels: np.ndarray, channels: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    """(26, h/2, w/2): every cell belongs, with near certainty, to the level of the nearest of pixels (n, 2)."""
    cells = np.moveaxis(np.indices((image_hw[0] // 2, image_hw[1] // 2)), 0, -1) * 2 + 0.5
    nearest = np.linalg.norm(cells[:, :, None] - pixels, axis=-1).argmin(-1)
    return np.where(np.asarray(channels)[nearest] == np.arange(26)[:, None, None], 8.0, 0.0).astype(np.float32)


def exact_peaks(views: Views, points_zyx_mm: np.ndarray, height: float = 0.9) -> list[Peaks]:
    """The peaks of every view when nothing is missed."""
    return [Peaks(pixels, np.full(len(pixels), height)) for pixels in views.project(points_zyx_mm)]
