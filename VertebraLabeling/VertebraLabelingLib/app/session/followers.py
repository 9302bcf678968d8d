"""Nodes of the scene that belong to a volume or to points: the labelling of a CT, the curve of a labelling."""

from __future__ import annotations

from slicer.i18n import tr as _

from ...core.errors import UsageError
from ..curve_node import POINTS, update_curve
from ..placement import volume_of
from ..points_node import read_column
from ..state import result_of


def labelling_of(scene, volume_node):
    """The newest points that a run made from this volume; None when there are none."""
    nodes = _nodes(scene, "vtkMRMLMarkupsFiducialNode")
    own = [node for node in nodes if volume_of(node) is volume_node and result_of(node) is not None]
    return own[-1] if own else None


def curve_of(scene, points_node):
    """The spine curve of these points; None when there is none."""
    curves = _nodes(scene, "vtkMRMLMarkupsCurveNode") if points_node is not None else []
    return next((node for node in curves if node.GetNodeReference(POINTS) is points_node), None)


def new_curve(scene, points_node):
    """The spine curve of these points, made or brought up to date; UsageError without a point."""
    if points_node is None or not read_column(points_node):
        raise UsageError(_("There are no points for a curve; label a CT first."))
    return update_curve(scene, points_node, curve_of(scene, points_node))


def follow_points(scene, points_node) -> None:
    """Bring the curve, where there is one, up to date with its points."""
    curve = curve_of(scene, points_node)
    if curve is not None:
        update_curve(scene, points_node, curve)


def _nodes(scene, class_name: str) -> list:
    return [scene.GetNthNodeByClass(i, class_name) for i in range(scene.GetNumberOfNodesByClass(class_name))]
