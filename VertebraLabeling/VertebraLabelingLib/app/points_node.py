"""The named points in the scene: a Markups fiducial node to and from a `Column`.

Positions of control points are local coordinates of the node, RAS mm; those of a `Column` are the same place in LPS mm.
Control points that were never placed (undefined, missing, or the preview under the mouse) are no part of a column and
are left alone; an index in this file counts as `read_column` does, without them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import zip_longest

from ..core.correction.column import Column, ColumnPoint
from ..core.errors import UsageError
from ..core.formats.common import description_of, parse_description
from ..core.formats.markups import SURE_COLOUR, UNCERTAIN_COLOUR
from .frames import flipped

WRITTEN = "VertebraLabeling.Written"
"""Attribute of the node: its points as the labelling wrote them; an attribute, so that it is saved with the scene."""

MOVED_MM = 0.01
"""What a user moves is further away, what a file rounds is nearer."""


def create_points_node(scene, name: str):
    """A new, empty and styled vtkMRMLMarkupsFiducialNode."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", scene.GenerateUniqueName(name))
    style(node)
    return node


def style(node) -> None:
    """Show points that lie inside bone: in neighbouring slices, behind surfaces, and not snapped to a surface.

    Two colours tell the sure (selected) from the uncertain points.  Regions have no colour here: a Markups node knows
    one colour per state, not per control point, in 5.12 and 5.13 (slicer-core 5.12.4 and 5.13.31053 have no such
    function; Slicer's pull request 9146 of 2026-05 proposes `SetNthControlPointColor`).  The table and, in 3D, the
    spine curve show the regions.
    """
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSelectedColor(*SURE_COLOUR)
    display.SetColor(*UNCERTAIN_COLOUR)
    display.SetPointLabelsVisibility(True)
    display.SetSnapMode(display.SnapModeUnconstrained)
    display.SetOccludedVisibility(True)
    display.SetSliceProjection(True)
    # else Slicer draws all points off the slice in the colour of the uncertain ones as soon as one is uncertain
    display.SetSliceProjectionUseFiducialColor(False)


def shows_projection(node) -> bool:
    """Whether slice views also show the points beside the slice, and their names."""
    display = node.GetDisplayNode()
    return display is not None and bool(display.GetSliceProjection())


def show_projection(node, shown: bool) -> None:
    """Show the points beside the slice as well, or not: in an axial view all of them lie on one body."""
    if node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetSliceProjection(shown)


def read_column(node) -> Column:
    """Every placed control point, in the order of the node."""
    return tuple(_read_point(node, index) for index in _placed(node))


def column_index(node, control_point_index: int) -> int | None:
    """Place in the column of a control point, as an event of the node names it; None for one that is not placed."""
    placed = _placed(node)
    return placed.index(control_point_index) if control_point_index in placed else None


def control_point_index(node, index: int) -> int:
    """Inverse of `column_index`; IndexError beyond the last point."""
    return _placed(node)[index]


def _placed(node) -> list[int]:
    count = node.GetNumberOfControlPoints()
    return [i for i in range(count) if node.GetNthControlPointPositionStatus(i) == node.PositionDefined]


def _read_point(node, i: int) -> ColumnPoint:
    probability, remark = parse_description(node.GetNthControlPointDescription(i))
    return ColumnPoint(
        label=node.GetNthControlPointLabel(i),
        position_lps_mm=flipped(node.GetNthControlPointPosition(i)),
        probability=probability,
        remark=remark,
        locked=bool(node.GetNthControlPointLocked(i)),
        key=node.GetNthControlPointID(i),
    )


def write_column(node, column: Column) -> None:
    """Make the placed control points those of `column`, in its order, with one event of each kind at the end.

    A point keeps its control point (id, visibility, what observes it) by its key, or by its label where the key is
    unknown to the node, as after undoing a deletion.  Only what differs is written; a new point gets a new id.
    UsageError, with the node unchanged, when points come or go and the user has fixed their number in Slicer.
    """
    kept = _kept_ids(node, column)
    if node.GetFixedNumberOfControlPoints() and ("" in kept or len(kept) < len(_placed(node))):
        raise UsageError(f"The number of points of '{node.GetName()}' is fixed; allow changes in the Markups module.")
    was_modifying = node.StartModify()
    try:
        _remove_others(node, set(kept))
        for place, (point, key) in enumerate(zip(column, kept, strict=True)):
            index = _put_in_place(node, place, key, point)
            _write_point(node, index, point)
    finally:
        node.EndModify(was_modifying)


def _kept_ids(node, column: Column) -> list[str]:
    """For each point of `column` the id of the control point that it goes on with, "" for a new one."""
    labels = {node.GetNthControlPointID(i): node.GetNthControlPointLabel(i) for i in _placed(node)}
    kept = []
    for point in column:
        kept.append(point.key if point.key in labels and point.key not in kept else "")
    for place, point in enumerate(column):
        if not kept[place]:
            kept[place] = next((key for key in labels if labels[key] == point.label and key not in kept), "")
    return kept


def _remove_others(node, kept: set[str]) -> None:
    for index in reversed(_placed(node)):
        if node.GetNthControlPointID(index) not in kept:
            node.RemoveNthControlPoint(index)


def _put_in_place(node, place: int, key: str, point: ColumnPoint) -> int:
    """Index of the `place`-th placed control point, after it was inserted (new) or swapped there (from elsewhere)."""
    placed = _placed(node)
    if key:
        index = node.GetNthControlPointIndexByID(key)
        if index != placed[place]:
            node.SwapControlPoints(index, placed[place])
        return placed[place]
    # behind the last placed point, not at the very end: a point that is just being placed stays the last
    index = placed[place] if place < len(placed) else (placed[-1] + 1 if placed else 0)
    node.InsertControlPoint(index, flipped(point.position_lps_mm), point.label)
    return index


def _write_point(node, index: int, point: ColumnPoint) -> None:
    """Slicer itself ignores a value that is already there, except for positions."""
    place_ras = flipped(point.position_lps_mm)
    if node.GetNthControlPointPosition(index) != place_ras:
        node.SetNthControlPointPosition(index, *place_ras)
    node.SetNthControlPointLabel(index, point.label)
    node.SetNthControlPointLocked(index, point.locked)
    description = node.GetNthControlPointDescription(index)
    if parse_description(description) != (point.probability, point.remark):
        # a text of the user's own that means the same stays as it is
        description = description_of(point)
        node.SetNthControlPointDescription(index, description)
    node.SetNthControlPointSelected(index, not _read_point(node, index).is_uncertain)


def mark_written(node) -> None:
    """Remember the points as they are now as the labelling's own."""
    node.SetAttribute(WRITTEN, json.dumps([_facts(point) for point in _sorted(read_column(node))]))


def is_corrected(node) -> bool:
    """Whether a point was moved, renamed, locked, given another remark, added or deleted since `mark_written`.

    Points of a node that was never marked are the user's own, hence corrected.  Colours, sizes, visibility, selection
    and the order of the points do not count.
    """
    written = json.loads(node.GetAttribute(WRITTEN) or "[]")
    now = [_facts(point) for point in _sorted(read_column(node))]
    return any(_differs(before, after) for before, after in zip_longest(written, now))


def _sorted(column: Iterable[ColumnPoint]) -> list[ColumnPoint]:
    return sorted(column, key=lambda point: (point.label, point.position_lps_mm))


def _facts(point: ColumnPoint) -> list:
    return [point.label, point.locked, point.remark, *point.position_lps_mm]


def _differs(before: list | None, after: list | None) -> bool:
    if before is None or after is None or before[:3] != after[:3]:
        return True
    return any(abs(a - b) > MOVED_MM for a, b in zip(before[3:], after[3:], strict=True))
