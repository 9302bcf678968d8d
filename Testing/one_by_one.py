"""Fake networks that look at one window at a time."""

from __future__ import annotations

import numpy as np


class OneByOne:
    """Answers of `answer`, window (channels, *pixels) -> arrays by name, as a `Network` gives them for a batch.

    windows: how many it has seen.
    """

    device = "cpu"
    windows = 0

    def answer(self, window: np.ndarray) -> dict[str, np.ndarray]:
        """What it says of one window."""
        raise NotImplementedError

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Of a batch."""
        self.windows += len(image)
        answers = [self.answer(window) for window in image]
        return {name: np.stack([answer[name] for answer in answers]) for name in answers[0]}
