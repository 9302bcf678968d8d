"""N landmarks of an image, from global to local: all patches vote for each, then those of a sub-image around it.

In 2-D and 3-D, at any spacing.  The vertebrae of a scan are one configuration of it, `method`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from ...core.fuse import Fused, Votes, weighted_fusion
from ...core.progress import Progress, part, silent
from ..displacement.patches import Patches, Piece
from ..displacement.settings import DisplacementSettings
from ..displacement.votes import Voted, cell_centres_mm
from ..placement import border_voxels
from ..refinement.local import LocalStage, Surroundings, moved_points
from ..refinement.settings import RefinementSettings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GlobalStage:
    """The global network on the windows of an image.

    network_input: values (*pixels) of a window -> (channels, *pixels).
    fuse: votes of the windows and presence threshold -> one position per landmark.
    """

    patches: Patches
    network_input: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    fuse: Callable[[Votes, float], Fused] = weighted_fusion
    threshold: float = 0.5

    def find(self, windows: Sequence[Piece], progress: Progress = silent) -> Fused:
        """One position per landmark, in the frame of the windows; NaN for what no window holds for present."""
        return self.fuse(self._votes(windows, progress), self.threshold)

    def _votes(self, windows: Sequence[Piece], progress: Progress) -> Votes:
        """What every window says; reports, and may be cancelled, between two."""
        voted = []
        for done, window in enumerate(windows):
            progress("labelling", done / len(windows))
            voted.append(self.patches.vote(self.network_input(window.values)))
        progress("labelling", 1.0)
        pairs = list(zip(windows, voted, strict=True))
        return Votes(
            np.array([window.to_frame(v.positions_mm) for window, v in pairs]),
            np.array([np.where(np.isfinite(v.spreads_mm), v.presences, 0.0) for v in voted]),
            np.array([self._border_pixels(window, v) for window, v in pairs]),
        )

    def _border_pixels(self, window: Piece, voted: Voted) -> Floats:
        return border_voxels(voted.positions_mm / self.patches.settings.spacing_mm - 0.5, window.values.shape)


class LandmarkImage(Surroundings, Protocol):
    """An image that both stages can look at; `Image`, or a scan."""

    def windows(self, settings: DisplacementSettings) -> Sequence[Piece]:
        """What the global network sees of it."""
        ...


@dataclass(frozen=True)
class Image:
    """pixels (*n) of a plane or of space on a grid of any spacing.

    Positions are in mm from its lower corner, in the order of its axes.  beyond: the value outside.
    """

    pixels: NDArray[np.float32]
    spacing_mm: tuple[float, ...]
    beyond: float = 0.0
    _smoothed: dict[float, Image] = field(default_factory=dict, repr=False, compare=False)

    @property
    def extent_mm(self) -> Floats:
        """Outer size."""
        return np.array(self.pixels.shape) * self.spacing_mm

    def contains(self, position_mm: Floats) -> NDArray[np.bool_]:
        """Whether positions (..., d) lie within its borders."""
        return ((position_mm >= 0) & (position_mm <= self.extent_mm)).all(-1)

    def at(self, spacing_mm: float) -> Image:
        """Smoothed for reading at a coarser spacing; done once for each."""
        if spacing_mm not in self._smoothed:
            ratios = np.maximum(spacing_mm / np.array(self.spacing_mm), 1.0)
            pixels = gaussian_filter(self.pixels, np.sqrt(ratios**2 - 1) / 2)
            self._smoothed[spacing_mm] = Image(pixels, self.spacing_mm, self.beyond)
        return self._smoothed[spacing_mm]

    def piece(self, corner_mm: Floats, shape: Sequence[int], spacing_mm: float) -> Piece:
        """Isotropic pixels from a corner on, linearly interpolated."""
        places = cell_centres_mm(shape, spacing_mm) + _column(corner_mm)
        index = places / _column(self.spacing_mm) - 0.5
        values = map_coordinates(self.pixels, index, np.float32, order=1, mode="constant", cval=self.beyond)
        return Piece(values, lambda from_corner_mm: corner_mm + from_corner_mm)

    def windows(self, settings: DisplacementSettings) -> list[Piece]:
        """All of it as one window of whole cells."""
        cells = np.ceil(self.extent_mm / settings.cell_mm - 1e-6).astype(int)
        corner = np.zeros(settings.dimensions)
        return [self.at(settings.spacing_mm).piece(corner, cells * settings.cell_pixels, settings.spacing_mm)]

    def around(self, position_mm: Floats, settings: RefinementSettings) -> Piece:
        """The window with a position in its middle."""
        shape, spacing = settings.window_zyx, settings.spacing_mm
        return self.at(spacing).piece(position_mm - np.array(shape) * spacing / 2, shape, spacing)


@dataclass(frozen=True)
class Landmarks:
    """Both stages.  local: none, one for each landmark as in the paper, or one for all where they look alike."""

    global_stage: GlobalStage
    local: Sequence[LocalStage] = ()

    def find(self, image: LandmarkImage, progress: Progress = silent) -> Fused:
        """One position per landmark of an image; NaN for what is not there.  Two may meet at one place."""
        windows = image.windows(self.global_stage.patches.settings)
        found = self.global_stage.find(windows, part(progress, 0.0, 0.8))
        if not self.local:
            return found
        positions = found.positions_lps_mm.copy()
        seen = np.isfinite(positions[:, 0])
        stages = self.local if len(self.local) > 1 else [*self.local] * len(seen)
        chosen = [stage for stage, is_seen in zip(stages, seen, strict=True) if is_seen]
        positions[seen] = moved_points(chosen, image, positions[seen], part(progress, 0.8, 1.0))
        return replace(found, positions_lps_mm=positions)


def _column(values: Iterable[float]) -> Floats:
    """(d, 1, ..., 1) of (d,), to go with (d, *pixels)."""
    column = np.array(list(values), float)
    return column.reshape(-1, *[1] * len(column))
