"""The spine curve: a Markups curve through the named centroids, coloured by region."""

from __future__ import annotations

import slicer
import vtk

from ..core.anatomy import REGION_COLOURS, Region
from ..core.correction.column import Column, cranio_caudal
from .frames import flipped_all
from .placement import put_with
from .points_node import read_column

POINTS = "points"
"""Role of the reference from a curve to the points node that it follows."""

_REGION = "region"
_REGIONS = tuple(Region)
_DIAMETER_MM = 3.0
_COLOUR_IN_SLICES = (0.9, 0.9, 0.9)
_COLOURS_TAG = "VertebraLabelingRegions"


def update_curve(scene, points_node, curve_node=None):
    """The curve through all points of `points_node` from the head downwards, as `segment_lengths_mm` measures them.

    Updates `curve_node`, or makes a new one.  The curve lies where the points node lies (transform, hierarchy), cannot
    be dragged, and shows the colour of each region in 3D.  Returns the vtkMRMLMarkupsCurveNode.
    """
    if curve_node is None:
        curve_node = _new_curve(scene, points_node)
    column = read_column(points_node)
    column = tuple(column[index] for index in cranio_caudal(column))
    with slicer.util.NodeModify(curve_node):
        _set_points(curve_node, column)
        _set_regions(curve_node, column)
    put_with(curve_node, points_node)
    curve_node.SetNodeReferenceID(POINTS, points_node.GetID())
    return curve_node


def _new_curve(scene, points_node):
    name = scene.GenerateUniqueName(f"{points_node.GetName()} spine curve")
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode", name)
    node.SetLocked(True)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    # Slicer draws the occluded part in colours of its own over the visible part
    display.SetOccludedVisibility(False)
    display.SetCurveLineSizeMode(display.UseLineDiameter)
    display.SetLineDiameter(_DIAMETER_MM)
    # slice views do not know the colours of regions
    display.SetColor(*_COLOUR_IN_SLICES)
    display.SetSelectedColor(*_COLOUR_IN_SLICES)
    # grey has no hue: saturated, it fades to violet where the curve leaves the slice
    display.SetLineColorFadingSaturation(0.0)
    _colour_by_region(scene, display)
    return node


def _set_points(curve_node, column: Column) -> None:
    """The glyphs are hidden: the points node draws its own in the same places."""

    places_ras = flipped_all([point.position_lps_mm for point in column])
    slicer.util.updateMarkupsControlPointsFromArray(curve_node, places_ras)
    for index, point in enumerate(column):
        curve_node.SetNthControlPointLabel(index, point.label)
        curve_node.SetNthControlPointVisibility(index, False)


def _set_regions(curve_node, column: Column) -> None:
    """Per control point the number of its region, which the curve interpolates and shows as its scalar.

    A point whose label is no level counts to the region above it.
    """
    values = vtk.vtkDoubleArray()
    values.SetName(_REGION)
    region = _REGIONS[0]
    for point in column:
        region = point.level.region if point.level is not None else region
        values.InsertNextValue(_REGIONS.index(region))
    measurement = curve_node.GetMeasurement(_REGION)
    if measurement is None:
        measurement = slicer.vtkMRMLStaticMeasurement()
        measurement.SetName(_REGION)
        measurement.SetInputMRMLNode(curve_node)
        curve_node.AddMeasurement(measurement)
    measurement.SetControlPointValues(values)


def _colour_by_region(scene, display) -> None:
    display.SetAndObserveColorNodeID(_region_colours(scene).GetID())
    display.SetScalarRangeFlag(display.UseManualScalarRange)
    display.SetScalarRange(0, len(_REGIONS) - 1)
    display.SetActiveScalarName(_REGION)
    display.SetScalarVisibility(True)


def _region_colours(scene):
    """The colour table of the regions, one for all curves of the scene."""
    node = scene.GetSingletonNode(_COLOURS_TAG, "vtkMRMLColorTableNode")
    if node is not None:
        return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetSingletonTag(_COLOURS_TAG)
    node.SetName("Vertebral regions")
    node.SetTypeToUser()
    node.SetNumberOfColors(len(_REGIONS))
    for index, region in enumerate(_REGIONS):
        node.SetColor(index, region.name.capitalize(), *REGION_COLOURS[region])
    node.GetLookupTable().SetRange(0, len(_REGIONS) - 1)
    return scene.AddNode(node)
