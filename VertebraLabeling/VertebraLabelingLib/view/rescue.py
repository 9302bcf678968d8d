"""Corrections that nobody has saved and that are about to go: kept in a file beside the CT."""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from ..app.exporting import MARKUPS, export
from ..app.points_node import read_column
from ..core.errors import CorrectionError, UsageError

if TYPE_CHECKING:
    from .workspace import Workspace


def rescue(workspace: Workspace) -> Path | None:
    """When the viewer ends, however it ends: `keep` them; None when there are none."""
    return keep(workspace, workspace.session.points_node) if workspace.files.has_unsaved_corrections else None


def keep(workspace: Workspace, points_node: Any) -> Path:
    """Write points into the page's folder as ``NAME.unsaved.mrk.json``, which is nobody's yet.

    Into a new temporary folder where that one cannot be written.
    """
    try:
        return _write(workspace, points_node, workspace.folder.root)
    except UsageError:
        return _write(workspace, points_node, Path(tempfile.mkdtemp(prefix="vertebra-labeling-unsaved-")))


def _write(workspace: Workspace, points_node: Any, folder: Path) -> Path:
    path = _free_path(workspace, folder)
    try:
        export(path, read_column(points_node), None)
    except CorrectionError:  # two points of one name: no list of levels, but still the user's work
        _write_as_it_is(points_node, path)
    return path


def _free_path(workspace: Workspace, folder: Path) -> Path:
    try:
        name = workspace.folder.target(workspace.files.proposed_name, MARKUPS).name.removesuffix(MARKUPS)
    except UsageError:
        name = "points"
    names = (f"{name}.unsaved{f'-{number}' if number > 1 else ''}{MARKUPS}" for number in count(1))
    return next(path for name in names if not os.path.lexists(path := folder / name))


def _write_as_it_is(node: Any, path: Path) -> None:
    """With Slicer's own writer, which takes any names; UsageError when it fails."""
    storage = slicer.vtkMRMLMarkupsJsonStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(node):
        raise UsageError(f"{path} cannot be written; choose another folder.")
