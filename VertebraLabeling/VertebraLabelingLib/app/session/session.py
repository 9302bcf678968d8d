"""One labelling after the other: the object that a panel shows and a script drives.  It needs no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import exporting
from .followers import new_curve
from .launching import Launching

if TYPE_CHECKING:
    from ...core.correction.column_point import Position
    from ...core.correction.points import Side
    from ...core.correction.relabel import Anomaly, Reach
    from ...core.formats.dicom_sr import DicomSource


class Session(Launching):
    """What is chosen and shown (`Showing`), runs on it (`Launching`), corrections of it, and what is made of it.

    Actions return whether they were done; what can be expected to go wrong is told once by `failed` and never raised.

    changed(): anything that a panel shows is different.  progressed(): the run went on.  failed(message): a sentence.
    """

    # ---- corrections, each one step of undo ----

    def shift(self, steps: int) -> bool:
        """Every name `steps` levels further down (negative: up)."""
        return self._attempt(lambda: self._corrections.shift(steps))

    def relabel(self, index: int, level_name: str, reach: Reach = "only") -> bool:
        """A point named anew; reach "down" or "up": those below or above it follow."""
        return self._attempt(lambda: self._corrections.relabel(index, level_name, reach))

    def anomaly(self, anomaly: Anomaly) -> bool:
        """Counted from above in a spine with that number of vertebrae."""
        return self._attempt(lambda: self._corrections.anomaly(anomaly))

    def apply_alternative(self, index: int) -> bool:
        """The naming of `alternatives` with this `index`."""
        return self._attempt(lambda: self._corrections.apply_alternative(index))

    def insert(self, index: int, where: Side) -> bool:
        """A missed vertebra "above" or "below" a point."""
        return self._attempt(lambda: self._corrections.insert(index, where))

    def delete(self, indices: Sequence[int]) -> bool:
        """Without these points."""
        return self._attempt(lambda: self._corrections.delete(indices))

    def move(self, index: int, position_lps_mm: Position) -> bool:
        """A point put elsewhere, LPS mm in the frame of `column`."""
        return self._attempt(lambda: self._corrections.move(index, position_lps_mm))

    def confirm(self, indices: Sequence[int], locked: bool = True) -> bool:
        """These points confirmed (locked) or not."""
        return self._attempt(lambda: self._corrections.confirm(indices, locked))

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self._points.history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return self._points.history.can_redo

    @property
    def undo_text(self) -> str:
        """What undo() would take back."""
        return self._points.history.undo_text

    @property
    def redo_text(self) -> str:
        """What redo() would do again."""
        return self._points.history.redo_text

    def undo(self) -> bool:
        """Back by one step: names, places, locks and order."""
        return self._attempt(self._points.undo)

    def redo(self) -> bool:
        """Forward by one step."""
        return self._attempt(self._points.redo)

    # ---- what is made of the points ----

    def update_curve(self) -> bool:
        """Make the spine curve of the points, or bring it up to date; from then on it follows them."""
        return self._attempt(lambda: self._choose(curve=new_curve(self._scene, self._points.node)))

    def export(self, path: Path, source: Callable[[], DicomSource] | None = None) -> bool:
        """Write the points in the format that the end of the name says.  source: as `exporting.export` has it."""
        return self._attempt(lambda: exporting.export(path, self.column, self._volume_of_points(), source))
