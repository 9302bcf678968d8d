"""The files of a workspace: what is opened in place of what is on show, and what is saved of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..app.exporting import MARKUPS, REPORT, TABLE, VERSE, file_name
from ..app.points_node import is_corrected
from ..core.errors import UsageError
from . import opening
from .folder import shortened
from .rescue import keep

if TYPE_CHECKING:
    from ..core.correction.column import Column
    from ..core.scan import Scan
    from .series import Series
    from .workspace import Workspace

SUFFIXES = {"markups": MARKUPS, "csv": TABLE, "verse": VERSE, "report": REPORT}
"""Kinds of files that the page saves."""


class Files:
    """Opens and saves for a workspace, which asks the user and tells what came of it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._session = workspace, workspace.session
        self._saved: Column = ()
        self._series: Series | None = None

    @property
    def nodes(self) -> list[Any]:
        """The points node on show and its curve, as far as they are there."""
        return [node for node in (self._session.points_node, self._session.state.curve) if node is not None]

    # ---- opening ----

    def open_scan(self, scan: Scan, series: Series | None = None) -> None:
        """Show another CT in place of the one on show; asks when that would lose corrections.

        series: that it came from, None for a CT that is no DICOM.
        """
        workspace = self._workspace
        workspace.questions.run(lambda: workspace.attempt(lambda: self._open_scan(scan, series)))
        workspace.changed.emit()

    def open_points(self, path: Path) -> None:
        """Show the points of a file on the CT on show; asks when that would lose corrections."""
        workspace = self._workspace
        workspace.questions.run(lambda: workspace.attempt(lambda: self._open_points(path)))
        workspace.changed.emit()

    def _open_scan(self, scan: Scan, series: Series | None) -> None:
        workspace, session = self._workspace, self._session
        workspace.check_idle()
        if not self._may_leave("Open the other CT"):
            return
        points, volume = self.nodes, session.input_volume
        session.set_points_node(None)
        if volume is not None:
            workspace.volume_closing.emit(volume)
        session.set_input_volume(opening.add_volume(scan))
        _remove([*points, *([volume] if volume is not None else [])])
        self._saved, self._series = (), series
        workspace.volume_opened.emit(session.input_volume)
        workspace.tell(" ".join([f"{scan.name} is open.", *scan.notes]))

    def _open_points(self, path: Path) -> None:
        workspace, session = self._workspace, self._session
        workspace.check_idle()
        volume = session.input_volume
        if volume is None:
            raise UsageError("Open the CT of these points first.")
        column = opening.points_in(path, volume)  # before any question: an upload is gone when it is answered
        if not self._may_leave(f"Open {path.name}"):
            return
        node, old = opening.add_points(column, path.name, volume), self.nodes
        session.set_points_node(node)
        _remove(old)
        self._saved = session.column
        workspace.show_new_points()
        workspace.tell(f"{path.name} is open.")

    def _may_leave(self, what: str) -> bool:
        if not self.has_unsaved_corrections:
            return True
        return self._workspace.questions.ask(
            f"Your corrections of these points are not saved in the folder. {what} anyway?"
        )

    # ---- saving ----

    @property
    def has_unsaved_corrections(self) -> bool:
        """Whether the user has changed points since they were labelled, opened or saved in the folder.

        A download is not known to have been kept: the user may have broken it off.
        """
        node = self._session.points_node
        return node is not None and is_corrected(node) and self._session.column != self._saved

    @property
    def proposed_name(self) -> str:
        """A file name, without suffix, for the points on show."""
        volume = self._session.input_volume
        return shortened(file_name(volume.GetName())) if volume is not None else "points"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of `SUFFIXES` those that are offered: a report only on a CT that came from DICOM."""
        return tuple(kind for kind in SUFFIXES if kind != "report" or self._series is not None)

    def save(self, kind: str, name: str) -> None:
        """Write the points into the folder; asks before a file is replaced."""
        workspace = self._workspace
        path = workspace.folder.target(name, SUFFIXES[kind])
        question = f"'{path.name}' exists already. Replace it?"
        if os.path.lexists(path) and not workspace.questions.ask(question):
            return
        if self._export(path):
            self._saved = self._session.column
            workspace.tell(f"Saved: {path}")

    def export_to(self, folder: Path, kind: str) -> Path | None:
        """Write the points into a temporary folder for a download; None, told by `message`, when that fails."""
        path = folder / f"{self.proposed_name}{SUFFIXES[kind]}"
        return path if self._export(path) else None

    def _export(self, path: Path) -> bool:
        return self._session.export(path, self._series.source if self._series is not None else None)

    def put_aside(self, points_node: Any, nodes: Iterable[Any]) -> None:
        """Keep points that a run did not replace, as the user wished, in a file; they and what goes with them leave."""
        path = keep(self._workspace, points_node)
        _remove(nodes)
        self._workspace.tell(f"The points that you had changed are kept in {path}")


def _remove(nodes: Iterable[Any]) -> None:
    for node in nodes:
        if node.GetScene() is not None:
            opening.remove(node)
