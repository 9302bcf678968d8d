"""A displacement network at work: one image in, one position per landmark out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ...engines.network import Network
from ..both_sides import Maps, seen_from_both_sides
from .settings import DisplacementSettings
from .votes import Voted, fuse_votes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Piece:
    """A piece of an image on an isotropic grid.

    values: (*pixels), for example HU.  to_frame: positions (..., d) in mm from its lower corner, in the order of its
    axes -> positions in the frame of the whole image.
    """

    values: NDArray[np.float32]
    to_frame: Callable[[Floats], Floats]


@dataclass(frozen=True)
class Patches:
    """A displacement network with the way its patches vote.

    mirror: the mean answer of the image and its mirror along the last axis; only for landmarks that are the same there.
    least_presence, radius_mm: which votes count, see `fuse_votes`.
    """

    network: Network
    settings: DisplacementSettings
    mirror: bool = False
    least_presence: float = 0.0
    radius_mm: float = np.inf

    def vote(self, image: NDArray[np.float32]) -> Voted:
        """Where the landmarks of an image (channels, *pixels) lie."""
        displacements, presences = self._both(image) if self.mirror else _answer(self.network(image[None]))
        return fuse_votes(displacements, presences, self.settings.cell_mm, self.least_presence, self.radius_mm)

    def _both(self, image: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """The mean `_answer` of the image and its mirror."""
        (ones, surely), (others, as_surely) = map(_answer, seen_from_both_sides(self.network, image[None]))
        sign = np.ones(self.settings.dimensions)
        sign[-1] = -1.0
        return (ones + others * sign.reshape(-1, *[1] * len(sign))) / 2, (surely + as_surely) / 2


def _answer(output: Maps) -> tuple[Floats, Floats]:
    """Displacements (n, d, *cells) in mm and presence probabilities (n, *cells)."""
    return output["displacements_mm"][0].astype(float), expit(output["presence"][0].astype(float))
