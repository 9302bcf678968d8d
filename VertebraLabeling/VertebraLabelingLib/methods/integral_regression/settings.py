"""What a network of Qin et al. was trained for; no engine is needed to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..intensity import normalise
from ..metadata import Settings

LEVELS = 26
Image = TypeVar("Image")
"""An array or a tensor."""


@dataclass(frozen=True)
class IntegralSettings(Settings):
    """What the weights were trained for; travels as ``metadata["network"]`` of the weight file.

    window_zyx: input voxels, multiples of 8.  widths: channels at 1, 1/2, 1/4 and 1/8.  hidden: LSTM states each way.
    hu_range: mapped to -1..1 and clipped; None is the z-score of each image, as in the paper.
    score_calibration: (slope, offset) from the logit of a level's presence to the logit of its being a vertebra.
    level_temperature: divides the log-probabilities of the names, so that the decoder doubts what is often wrong; both
    from `python -m training calibrate`.
    The defaults are a window of the paper's extent on a 4 mm grid, which a CPU can train.
    """

    spacing_mm: float = 4.0
    window_zyx: tuple[int, int, int] = (56, 40, 40)
    widths: tuple[int, int, int, int] = (16, 32, 64, 64)
    hidden: int = 64
    hu_range: tuple[float, float] | None = (-1000.0, 1000.0)
    score_calibration: tuple[float, float] = (1.0, 0.0)
    level_temperature: float = 1.0


def paper() -> IntegralSettings:
    """The sizes of the paper: 2.8 M parameters, 31.5 GMAC per window of 208x160x160 mm."""
    return IntegralSettings(2.0, (104, 80, 80), (32, 64, 128, 128), 128, hu_range=None)


def normaliser(image_hu: Image, settings: IntegralSettings) -> Callable[[Image], Image]:
    """(..., z, y, x) HU -> (..., 1, z, y, x) network input, for windows of one image.

    The z-score is that of the image, not of a padded window, whose air would move every tissue.
    """
    if settings.hu_range is None:
        mean, sd = float(image_hu.mean()), max(float(image_hu.std()), 1.0)
        return lambda hu: ((hu - mean) / sd)[..., None, :, :, :]
    ranges = (settings.hu_range,)
    return lambda hu: normalise(hu, ranges)
