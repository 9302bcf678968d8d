"""The local stage: a sub-image around each point, one landmark in it, all patches vote.  2-D and 3-D, any landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...core.progress import Progress, silent
from ...engines.network import Network
from ..displacement.patches import Patches, Piece
from ..displacement.votes import Voted
from ..intensity import normalise
from .settings import RefinementSettings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """When a point is moved; the defaults are those of vertebral bodies.

    least_presence: patches that are less sure do not vote; where none is surer, the point stays.
    most_spread_mm: votes that disagree more than this point at two things.
    most_move_mm: about half the distance of two cervical vertebrae, so that no point goes to the next one.
    closest: share of its distance to the nearest point that a moved point must keep; 0 where points may meet.
    """

    least_presence: float = 0.3
    most_spread_mm: float = 5.0
    most_move_mm: float = 8.0
    closest: float = 0.6

    def convinced(self, voted: Voted) -> bool:
        """Whether some patch is sure to contain the landmark, and those that vote agree."""
        return bool(voted.presences[0] >= self.least_presence and voted.spreads_mm[0] <= self.most_spread_mm)


@dataclass(frozen=True)
class LocalStage:
    """A local network with what it was trained for; `mirror` as in `Patches`."""

    network: Network
    settings: RefinementSettings
    mirror: bool = True
    limits: Limits = field(default_factory=Limits)

    def vote(self, values: NDArray[np.float32]) -> Voted:
        """Where the landmark nearest to the middle of a window (*pixels) lies, in mm from its corner."""
        patches = Patches(self.network, self.settings.network, self.mirror, self.limits.least_presence)
        return patches.vote(network_input(values, self.settings))

    def moved(self, piece: Piece, position: Floats) -> Floats:
        """Where the landmark of the window around a position (d,) is; that position where it is not convincing."""
        voted = self.vote(piece.values)
        found = piece.to_frame(voted.positions_mm[0])
        near = np.linalg.norm(found - position) <= self.limits.most_move_mm
        return found if near and self.limits.convinced(voted) else position


class Surroundings(Protocol):
    """An image around whose points one can look; positions in its frame."""

    def around(self, position: Floats, settings: RefinementSettings) -> Piece:
        """The window with a position (d,) in its middle."""
        ...

    def contains(self, position: Floats) -> NDArray[np.bool_]:
        """Whether positions (..., d) lie within the borders of the image."""
        ...


def moved_points(
    stages: Sequence[LocalStage], image: Surroundings, positions: Floats, progress: Progress = silent
) -> Floats:
    """Better positions (n, d), each by its own stage; doubtful ones, and those outside the image, stay as they are."""
    moved = np.array(positions, float)
    for n, (stage, position) in enumerate(zip(stages, positions, strict=True)):
        progress("refining", n / len(positions))
        found = stage.moved(image.around(position, stage.settings), position)
        if image.contains(found):
            moved[n] = found
    return moved


def kept_apart(before: Floats, after: Floats, closest: float) -> Floats:
    """`after` (n, d), but `before` for points that came much closer to another one: two on one landmark."""
    closer = _nearest(after) < closest * _nearest(before)
    return np.where(closer[:, None], before, after)


def _nearest(points: Floats) -> Floats:
    """(n,) distance of each point to the nearest other one; infinite for a single point."""
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return distances.min(axis=1, initial=np.inf)


def network_input(values: NDArray[np.float32], settings: RefinementSettings) -> NDArray[np.float32]:
    """(*pixels) of a window -> (channels, *pixels)."""
    normalised = normalise(values, settings.hu_ranges, dimensions=len(settings.window_zyx))
    return np.concatenate([normalised, settings.hint()[None]])
