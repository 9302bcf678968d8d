"""Named points of a scan moved to where the patches around them see the centroid; what is not convincing stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.labelling import Labelling, positions_of
from ...core.progress import Progress, silent
from ...core.scan import Scan
from ...engines.network import Network
from ...engines.weights import Weights, load_model
from ..loading import ready
from .local import LocalStage, kept_apart, moved_points
from .settings import RefinementSettings
from .window import ScanAround

if TYPE_CHECKING:
    from torch import nn

Floats = NDArray[np.float64]


class Refinement:
    """The local stage on body centroids: one network for all of them, because there they look alike.

    weights_sha256: hash of the weight file by its role.
    """

    def __init__(
        self, network: Network, settings: RefinementSettings, weights_sha256: Mapping[str, str], mirror: bool = True
    ) -> None:
        self.stage = LocalStage(network, settings, mirror)
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

        So does one that would come much closer to another one.  movable: n times whether that point may move; None for
        all.
        """
        before = np.array(positions_lps_mm, float)
        chosen = np.arange(len(before)) if movable is None else np.flatnonzero(movable)
        refined = before.copy()
        refined[chosen] = moved_points([self.stage] * len(chosen), ScanAround(scan), before[chosen], progress)
        return kept_apart(before, refined, self.stage.limits.closest)


def load_shipped(device: str = "cpu", engine: str = "torch") -> Refinement:
    """The stage with the weights that ship; ModelError when there are none, or when they are altered."""
    return load(load_model("refinement"), device, engine)


def load(weights: Weights, device: str = "cpu", engine: str = "torch") -> Refinement:
    """The stage ready to run; ModelError when the weights do not fit the network."""
    weights.require_model("refinement")
    return Refinement(
        *ready(weights, RefinementSettings, build_network, device, engine), {"refinement": weights.sha256}
    )


def build_network(metadata: Mapping[str, Any]) -> nn.Module:
    """The network of that metadata with random weights."""
    from ..displacement.network import DisplacementNet

    return DisplacementNet(RefinementSettings.from_metadata(metadata).network)
