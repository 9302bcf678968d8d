"""The two kinds of runs: naming the vertebrae of a volume, and refining points of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..methods.registry import DEFAULT_METHOD
from .base_job import Job
from .process import Launch

if TYPE_CHECKING:
    from ..core.correction.column import Column

__all__ = ["Job", "LabelJob", "LabelRequest", "RefineJob"]

ANCHORS, POINTS = "anchors.mrk.json", "in.mrk.json"


@dataclass(frozen=True)
class LabelRequest:
    """What to label and how.

    roi_node: None for the whole volume.  anchors: points of which the locked ones are kept, their positions in the
    volume's local LPS mm.  method, engine, device: as on the command line.  refine: None as the method does by default.
    model_file: weights of the user's own, None for the shipped ones.
    """

    volume_node: Any
    roi_node: Any = None
    anchors: Column = ()
    method: str = DEFAULT_METHOD
    engine: str = "auto"
    device: str = "auto"
    refine: bool | None = None
    model_file: Path | None = None


class LabelJob(Job):
    """Names the vertebrae of a volume."""

    def __init__(self, request: LabelRequest, launch: Launch | None = None) -> None:
        super().__init__(request.volume_node, request.roi_node, request.engine, request.device, launch)
        self.request = request
        self._locked = tuple(point for point in request.anchors if point.locked)

    def write_inputs(self) -> None:
        """The locked points."""
        if self._locked:
            _write_points(self.file(ANCHORS), self._locked)

    def command(self) -> list[str]:
        """``label`` with what was asked for."""
        request, options = self.request, ["--method", self.request.method]
        if request.refine is not None:
            options.append("--refine" if request.refine else "--no-refine")
        if request.model_file is not None:
            options += ["--model", str(request.model_file)]
        if self._locked:
            options += ["--anchors", str(self.file(ANCHORS))]
        return ["label", *options]


class RefineJob(Job):
    """Moves the points `indices` of a column to where the local network sees their body centres, locked or not."""

    def __init__(
        self,
        volume_node: Any,
        column: Column,
        indices: Sequence[int],
        engine: str = "auto",
        device: str = "auto",
        launch: Launch | None = None,
    ) -> None:
        super().__init__(volume_node, None, engine, device, launch)
        self._chosen = tuple(replace(column[index], locked=False) for index in indices)
        self._others = tuple(point for index, point in enumerate(column) if index not in set(indices))

    def write_inputs(self) -> None:
        """The points to move and their neighbours."""
        _write_points(self.file(POINTS), (*self._chosen, *self._neighbours()))

    def _neighbours(self) -> Column:
        """The other points, from which the moved ones must keep apart, as far as their names can be written."""
        taken = {point.level for point in self._chosen} | {None}
        kept = []
        for point in self._others:
            if point.level not in taken:
                taken.add(point.level)
                kept.append(point)
        return tuple(kept)

    def command(self) -> list[str]:
        """``refine`` of the chosen levels."""
        levels = [point.level.name for point in self._chosen if point.level is not None]
        return ["refine", "--points", str(self.file(POINTS)), "--only", *levels]


def _write_points(path: Path, column: Column) -> None:
    from ..core.correction.column import points_of
    from ..core.formats import write_points
    from ..core.labelling import Labelling

    write_points(path, Labelling(points_of(column)))
