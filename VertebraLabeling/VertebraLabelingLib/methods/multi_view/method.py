"""From a prepared scan to evidence by way of projections: windows along the spine, or the whole scan at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.anatomy import REGULAR_LEVELS, Level
from ...core.doubles import merge_doubles
from ...core.errors import NothingFoundError
from ...core.geometry import Points
from ...core.labelling import Evidence
from ...core.prepare import on_grid
from ...core.progress import Progress, part
from ...core.scan import Scan
from ...core.tissue import in_tissue
from ...engines.network import Network
from ...engines.weights import Weights
from ..corridor import Corridor
from ..level_evidence import all_levels, level_log_probs, tempered
from ..loading import ready
from ..placement import walk, window_starts
from .geometry import equal_views
from .look import Found, Look, Project, drr_projection, found_in, look_from_all_sides, voted_names, whole_scan
from .settings import MultiViewSettings
from .voting import consecutive

if TYPE_CHECKING:
    from torch import nn

LEAST_OVERLAP = 0.5
"""Share of a window that the next one covers as well: perspective makes the ends of a window poor."""
_LEAST_PROBABILITY = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Configuration:
    """How the network is used.

    whole_scan: project the whole scan at once, else windows along the spine.
    majority: only the views with the most usual number of vertebrae count.
    voting: all views name a vertebra, weighted; else it has the level that most of them say.
    correct: names follow each other without gap from the end of the best order on, instead of each by itself; they
    are final.
    """

    whole_scan: bool = False
    majority: bool = False
    voting: bool = True
    correct: bool = False


CONFIGURATIONS = {
    "default": Configuration(),
    "paper": Configuration(whole_scan=True, majority=True, voting=True, correct=True),
}


@dataclass(frozen=True)
class _Window:
    """What was seen of a part of the grid, and found there.  middle_zyx: (3,) its middle as fractional index."""

    look: Look
    found: Found
    middle_zyx: Floats


class MultiView:
    """The networks of Wu et al. on a scan.

    network: gives "heat" and "levels", see `network.MultiViewOutput`.
    curve: prepared scan -> (m, 3) LPS mm along the spine; raises NothingFoundError where there is none.
    views: number of projections, None for that of the settings.  project: makes them.
    """

    name = "multi-view"

    def __init__(
        self,
        network: Network,
        settings: MultiViewSettings,
        curve: Callable[[Scan], Points],
        configuration: Configuration = CONFIGURATIONS["default"],
        weights_sha256: dict[str, str] | None = None,
        views: int | None = None,
        project: Project = drr_projection,
    ) -> None:
        self._network, self._settings, self._curve = network, settings, curve
        self._configuration, self._views, self._project = configuration, views, project
        self.weights_sha256 = weights_sha256 or {}

    def variant(self, views: int | None = None, **changes: bool) -> MultiView:
        """The same network used in another way: number of views (None: as it is), fields of `Configuration`."""
        configuration = replace(self._configuration, **changes)
        number = self._views if views is None else views
        hashes = self.weights_sha256
        return MultiView(self._network, self._settings, self._curve, configuration, hashes, number, self._project)

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        """Candidates of a prepared scan; see `Method.find`."""
        progress("finding the spine", 0.0)
        settings = self._settings
        grid = on_grid(scan, settings.spacing_mm)
        if self._configuration.whole_scan:
            settings = whole_scan(settings, grid.hu.shape)
            starts = np.zeros((1, 3), np.int64)
        else:
            stride = int(settings.window_zyx[0] * LEAST_OVERLAP)
            starts = window_starts(grid.geometry, settings.window_zyx, stride, self._curve(scan))
        evidence = in_tissue(self._evidence(grid, starts, settings, part(progress, 0.05, 1.0)), scan)
        progress("labelling", 1.0)
        if not len(evidence):
            raise NothingFoundError.in_scan(scan.name)
        return evidence

    def _evidence(
        self, grid: Scan, starts: NDArray[np.int64], settings: MultiViewSettings, progress: Progress
    ) -> Evidence:
        """What all windows find; what two of them find counts once, and the views of both name it."""
        windows = []
        for n, ((start,), (hu,)) in enumerate(walk(grid.hu, starts, settings.window_zyx)):
            there = part(progress, n / len(starts), (n + 1) / len(starts))
            windows.append(self._seen(hu, start, settings, there))
        index = np.concatenate([w.middle_zyx + w.found.points_zyx_mm / settings.spacing_mm for w in windows])
        together = Evidence(
            grid.geometry.lps_from_index_zyx(index),
            _log_names(np.concatenate([w.found.probabilities for w in windows])),
            np.concatenate([w.found.scores for w in windows]),
        )
        once = merge_doubles(together) if len(windows) > 1 else together
        return self._named(grid, once, windows, settings)

    def _seen(
        self, hu: NDArray[np.float32], start: NDArray[np.int64], settings: MultiViewSettings, progress: Progress
    ) -> _Window:
        """What one window finds."""
        look = look_from_all_sides(self._network, self._project, hu, equal_views(settings, self._views), progress)
        look = look.majority() if self._configuration.majority else look
        shape = np.array(settings.window_zyx)
        found = found_in(look, shape * settings.spacing_mm, self._configuration.voting)
        return _Window(look, found, start + (shape - 1) / 2)

    def _named(
        self, grid: Scan, evidence: Evidence, windows: Sequence[_Window], settings: MultiViewSettings
    ) -> Evidence:
        """The candidates, from cranial to caudal, under the names that the views of all windows vote for."""
        index = grid.geometry.index_zyx_from_lps(evidence.positions_lps_mm)
        order = np.argsort(-index[:, 0], kind="stable")
        extent_mm = np.array(settings.window_zyx) * settings.spacing_mm
        points_mm = np.stack([(index[order] - w.middle_zyx) * settings.spacing_mm for w in windows])
        voted = voted_names([w.look for w in windows], points_mm, extent_mm, self._configuration.voting)
        positions, scores = evidence.positions_lps_mm[order], evidence.scores[order]
        if self._configuration.correct:
            return _in_sequence(positions, voted, scores)
        return Evidence(positions, tempered(_log_names(voted), settings.level_temperature), scores)


def _log_names(probabilities: Floats) -> Floats:
    """(n, 28) log-probabilities of all levels, of the probabilities (n, 26) of the regular ones."""
    return all_levels(np.log(np.maximum(probabilities, _LEAST_PROBABILITY)))


def _in_sequence(positions_lps_mm: Points, probabilities: Floats, scores: Floats) -> Evidence:
    """Points from cranial to caudal under consecutive names; those above the first level are dropped.

    How sure a name is, is what the vote (n, 26) says of it.
    """
    channels = consecutive(probabilities)
    named = np.flatnonzero(channels >= 0)
    sure = probabilities[named, channels[named]]
    names = [level_log_probs(REGULAR_LEVELS[c], p) for c, p in zip(channels[named], sure, strict=True)]
    return Evidence(positions_lps_mm[named], np.reshape(names, (-1, len(Level))), scores[named])


def load(weights: Weights, corridor: Corridor, device: str, config: str, engine: str = "torch") -> MultiView:
    """The method ready to run; config is "default" or "paper".  ModelError when the weights do not fit the network."""
    network, settings = ready(weights, MultiViewSettings, build_network, device, engine)
    hashes = {"multi-view": weights.sha256, "corridor": corridor.sha256}
    return MultiView(network, settings, corridor.spine_curve, CONFIGURATIONS[config], hashes)


def build_network(metadata: Mapping[str, Any]) -> nn.Module:
    """The network of that metadata with random weights."""
    from .network import MultiViewNet

    return MultiViewNet(MultiViewSettings.from_metadata(metadata))
