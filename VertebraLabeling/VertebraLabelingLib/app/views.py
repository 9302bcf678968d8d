"""Showing a point to the user in the slice views."""

from __future__ import annotations

import slicer

from .points_node import control_point_index


def jump_to(node, index: int, centred: bool = False) -> None:
    """Move all slice views to a point (through the node's transform) and mark it in the active colour.

    index: place of the point in `read_column(node)`; IndexError beyond the last.  centred: also pan the views.
    """
    place = control_point_index(node, index)
    slicer.modules.markups.logic().JumpSlicesToNthPointInMarkup(node.GetID(), place, centred)
    display = node.GetDisplayNode()
    if display is not None:
        display.SetActiveControlPoint(place)
