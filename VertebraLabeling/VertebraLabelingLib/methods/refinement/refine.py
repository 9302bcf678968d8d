"""Named points moved to where the patches around them see the centroid; what is not convincing stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ...core.labelling import Labelling, positions_of
from ...core.progress import Progress, silent
from ...core.scan import Scan
from ...engines.network import Network, load_network
from ...engines.weights import Weights, fitting, load_model
from ..displacement.votes import Voted, fuse_votes
from ..intensity import normalise
from .settings import RefinementSettings
from .window import window_around

if TYPE_CHECKING:
    from torch import nn

LEAST_PRESENCE = 0.3
"""Patches that are less sure do not vote; where none is surer, the point stays."""
MOST_SPREAD_MM = 5.0
"""Votes that disagree more than this point at two things."""
MOST_MOVE_MM = 8.0
"""About half the distance of two cervical vertebrae: no point may go to the next one."""
CLOSEST = 0.6
"""Share of its distance to the nearest point that a moved point must keep."""

Floats = NDArray[np.float64]


class Refinement:
    """The local stage of Noothout et al.: a sub-image around each point, one landmark in it, all patches vote.

    weights_sha256: hash of the weight file by its role.
    """

    def __init__(
        self, network: Network, settings: RefinementSettings, weights_sha256: Mapping[str, str], mirror: bool = True
    ) -> None:
        self._network, self._settings, self._mirror = network, settings, mirror
        self.weights_sha256 = weights_sha256

    def refined(self, scan: Scan, labelling: Labelling, progress: Progress = silent) -> Labelling:
        """The labelling with better positions; names, order, probabilities and remarks stay, as do confirmed points."""
        before = positions_of(labelling.points)
        after = self.positions(scan, before, progress, [not point.confirmed for point in labelling.points])
        pairs = zip(labelling.points, after.tolist(), strict=True)
        return replace(labelling, points=tuple(replace(point, position_lps_mm=tuple(p)) for point, p in pairs))

    def positions(
        self,
        scan: Scan,
        positions_lps_mm: Floats,
        progress: Progress = silent,
        movable: Sequence[bool] | None = None,
    ) -> Floats:
        """Better positions (n, 3) LPS mm of body centroids in a scan of any grid; doubtful ones stay as they are.

        movable: n times whether that point may move; None for all.
        """
        refined = np.array(positions_lps_mm, float)
        chosen = np.arange(len(refined)) if movable is None else np.flatnonzero(movable)
        for done, n in enumerate(chosen):
            progress("refining", done / len(chosen))
            position = positions_lps_mm[n]
            hu, corner = window_around(scan, position, self._settings)
            voted = self.vote(hu)
            moved = corner + voted.positions_mm[0, ::-1]
            if is_convincing(voted) and _is_near(moved, position) and scan.geometry.contains_lps(moved):
                refined[n] = moved
        return kept_apart(np.asarray(positions_lps_mm, float), refined)

    def vote(self, hu: NDArray[np.float32]) -> Voted:
        """Where the centroid nearest to the middle of a window lies; with mirroring the mean answer of both sides."""
        image = network_input(hu, self._settings)
        displacements, presence = self._answer(image)
        if self._mirror:
            other, presence_too = self._answer(image[..., ::-1])
            other = other[..., ::-1] * np.array([1.0, 1.0, -1.0])[:, None, None, None]
            displacements, presence = (displacements + other) / 2, (presence + presence_too[..., ::-1]) / 2
        return fuse_votes(displacements, presence, self._settings.network.cell_mm, LEAST_PRESENCE)

    def _answer(self, image: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Displacements (1, 3, *cells) in mm and presence probability (1, *cells)."""
        output = self._network(np.ascontiguousarray(image[None]))
        return output["displacements_mm"][0].astype(float), expit(output["presence"][0].astype(float))


def network_input(hu: NDArray[np.float32], settings: RefinementSettings) -> NDArray[np.float32]:
    """(z, y, x) HU of a window -> (channels, z, y, x)."""
    return np.concatenate([normalise(hu, settings.hu_ranges), settings.hint()[None]])


def is_convincing(voted: Voted) -> bool:
    """Whether some patch is sure to contain the centroid, and those that vote agree."""
    return bool(voted.presences[0] >= LEAST_PRESENCE and voted.spreads_mm[0] <= MOST_SPREAD_MM)


def _is_near(moved: Floats, position: Floats) -> bool:
    return bool(np.linalg.norm(moved - position) <= MOST_MOVE_MM)


def kept_apart(before: Floats, after: Floats) -> Floats:
    """`after` (n, 3), but `before` for points that came much closer to another one: two on one vertebra."""
    closer = _nearest(after) < CLOSEST * _nearest(before)
    return np.where(closer[:, None], before, after)


def _nearest(points: Floats) -> Floats:
    """(n,) distance of each point to the nearest other one; infinite for a single point."""
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return distances.min(axis=1, initial=np.inf)


def load_shipped(device: str = "cpu", engine: str = "torch") -> Refinement:
    """The stage with the weights that ship; ModelError when there are none, or when they are altered."""
    return load(load_model("refinement"), device, engine)


def load(weights: Weights, device: str = "cpu", engine: str = "torch") -> Refinement:
    """The stage ready to run; ModelError when the weights do not fit the network."""
    weights.require_model("refinement")
    with fitting(weights):
        settings = RefinementSettings.from_metadata(weights.metadata["network"])
    network = load_network(weights, build_network, engine, device)
    return Refinement(network, settings, {"refinement": weights.sha256})


def build_network(metadata: Mapping[str, Any]) -> nn.Module:
    """The network of that metadata with random weights."""
    from ..displacement.network import DisplacementNet

    return DisplacementNet(RefinementSettings.from_metadata(metadata).network)
