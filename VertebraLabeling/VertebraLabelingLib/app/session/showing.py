"""What a session shows: which CT, which points, and what is said of them.  Runs and corrections are in `session`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...core.correction.column import Column
from ...core.correction.column import problems as problems_of
from ...core.correction.column import segment_lengths_mm as lengths_of
from ..placement import volume_of
from ..points_node import is_corrected
from ..run_options import IN_SCENE, RunOptions
from ..signal import Signal
from ..state import ModuleState, result_of
from ..views import jump_to
from .edited_points import EditedPoints
from .followers import curve_of, follow_points, labelling_of
from .telling import AlternativeOffer, is_level_unsure, offers, summary_lines
from .watching import SceneWatch


class Showing:
    """The nodes that are chosen in one scene.

    What is chosen stands in the scene (`state`), so that it is saved with it, and every session of one scene shows the
    same.

    changed(): anything that a panel shows is different.
    """

    def __init__(self, scene) -> None:
        self.changed = Signal()
        self.state = ModuleState(scene)
        self._scene = scene
        self._machine = RunOptions()
        self._selected_key = ""
        self._is_choosing = False
        self._points, self._watch = EditedPoints(), SceneWatch(scene)
        self._points.changed.connect(self._points_changed)
        self._points.grasped.connect(self._mark)
        self._points.dragged.connect(self.changed.emit)
        self._watch.settled.connect(self._settle)

    def close(self) -> None:
        """Let go of the scene, for good."""
        self._watch.close()
        self._points.attach(None)

    def _settle(self) -> None:
        """Show the points that the scene says are on show; another node begins without a history."""
        if self._is_choosing:
            return
        self._watch.follow(self.state.node)
        node = self.state.points
        if node is not self._points.node:
            self._points.attach(node)
            self._selected_key = ""
        else:
            self._points.take_edits()
        self.changed.emit()

    # ---- input ----

    @property
    def input_volume(self):
        """The CT to label, or None."""
        return self.state.input_volume

    @property
    def roi(self):
        """The ROI that limits the search, or None."""
        return self.state.roi

    @property
    def points_node(self):
        """The points on show, into which the next run writes; None: into a new list."""
        return self._points.node

    def set_input_volume(self, node) -> None:
        """Choose a CT; one that has a labelling already shows it, and points of another CT are not shown any more."""
        points = self.state.points
        if node is not None and (points is None or volume_of(points) not in (None, node)):
            points = labelling_of(self._scene, node)
        self._choose(input_volume=node, points=points, curve=curve_of(self._scene, points))

    def set_roi(self, node) -> None:
        """Choose a ROI, None for the whole volume."""
        self._choose(roi=node)

    def set_points_node(self, node) -> None:
        """Show other points and the CT that they were made from; None: the next run makes a new list."""
        volume_node = volume_of(node) if node is not None else None
        kept = volume_node if volume_node is not None else self.input_volume
        self._choose(points=node, input_volume=kept, curve=curve_of(self._scene, node))

    def _choose(self, **nodes: Any) -> None:
        self._is_choosing = True
        try:
            for name, node in nodes.items():
                setattr(self.state, name, node)
        finally:
            self._is_choosing = False
        self._settle()

    @property
    def options(self) -> RunOptions:
        """How the next run labels."""
        return replace(self._machine, **{name: getattr(self.state, name) for name in IN_SCENE})

    def set_options(self, **changes: Any) -> None:
        """Change options by name, see `RunOptions`."""
        self._machine = replace(self._machine, **changes)
        self._choose(**{name: value for name, value in changes.items() if name in IN_SCENE})

    # ---- points on show ----

    @property
    def column(self) -> Column:
        """The points on show."""
        return self._points.column

    @property
    def selected(self) -> int | None:
        """Index of the point that is marked."""
        keys = [point.key for point in self.column]
        return keys.index(self._selected_key) if self._selected_key in keys else None

    def select(self, index: int) -> bool:
        """Mark a point and move all slice views to it."""
        if not 0 <= index < len(self.column):
            return False
        jump_to(self._points.node, index)
        self._mark(index)
        return True

    def _mark(self, index: int) -> None:
        self._selected_key = self.column[index].key
        self.changed.emit()

    def _points_changed(self) -> None:
        follow_points(self._scene, self._points.node)
        self.changed.emit()

    @property
    def summary_lines(self) -> tuple[str, ...]:
        """Which vertebrae, how sure their level is, and what else the run said."""
        node = self._points.node
        return summary_lines(self.column, result_of(node), is_corrected(node)) if node is not None else ()

    @property
    def is_level_unsure(self) -> bool:
        """Whether the run could not fix the level and the user has not done so either."""
        info = result_of(self._points.node) if self._points.node is not None else None
        return info is not None and is_level_unsure(self.column, info)

    @property
    def problems(self) -> tuple[str, ...]:
        """Sentences about what looks wrong in the points as they are now."""
        return problems_of(self.column)

    @property
    def segment_lengths_mm(self) -> tuple[float, ...]:
        """Distances between neighbours, cranio-caudal."""
        return lengths_of(self.column)

    @property
    def alternatives(self) -> tuple[AlternativeOffer, ...]:
        """Other namings that can be applied to the points as they are now."""
        return offers(self.column, result_of(self._points.node)) if self._points.node is not None else ()
