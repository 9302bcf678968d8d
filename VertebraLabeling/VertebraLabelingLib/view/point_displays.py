"""How points look in the views: each kind of view has a display node of its own; all of them mark the same point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import vtk

_VIEWS_TAG = "VertebraLabeling.Views"


def show_in_views(points_node: Any, view_ids: Mapping[str, str]) -> None:
    """Give a styled points node (`points_node.style`) a display for each kind of view.  view_ids: by "axial", "3d"...

    Axial shows the points in its slice only: all of the others would lie over each other on one body.  In 3-D the names
    are those of `Dots`.
    """
    first = points_node.GetDisplayNode()
    if first.GetAttribute(_VIEWS_TAG):
        return
    first.SetAttribute(_VIEWS_TAG, "slices along the spine")
    first.SetViewNodeIDs([node_id for name, node_id in view_ids.items() if name not in ("axial", "3d")])
    axial, threed = _copy(points_node, view_ids["axial"]), _copy(points_node, view_ids["3d"])
    axial.SetSliceProjection(False)
    threed.SetPointLabelsVisibility(False)
    for display in (first, axial, threed):
        display.AddObserver(vtk.vtkCommand.ModifiedEvent, _mark_alike)
    _mark_alike(first, "")


def _copy(points_node: Any, view_id: str) -> Any:
    first = points_node.GetDisplayNode()
    display = points_node.GetScene().AddNewNodeByClass(first.GetClassName())
    display.Copy(first)
    display.SetViewNodeIDs([view_id])
    points_node.AddAndObserveDisplayNodeID(display.GetID())
    return display


def _mark_alike(display: Any, _event: str) -> None:
    """What is marked in one view, by the mouse over it or by the table, is marked in all."""
    points_node = display.GetDisplayableNode()
    if points_node is None:
        return
    marked = display.GetActiveControlPoint()
    for index in range(points_node.GetNumberOfDisplayNodes()):
        other = points_node.GetNthDisplayNode(index)
        if other.GetActiveControlPoint() != marked:
            other.SetActiveControlPoint(marked)
