"""What a user sees of points and curve, drawn by Slicer's own displayable managers."""

from __future__ import annotations

import numpy as np
import pytest
from harness.views import SliceView, ThreeDView
from matplotlib.colors import rgb_to_hsv
from mrml import scenes
from VertebraLabelingLib.app.curve_node import update_curve
from VertebraLabelingLib.app.points_node import create_points_node, write_column
from VertebraLabelingLib.core.anatomy import REGION_COLOURS, Region
from VertebraLabelingLib.core.correction.column import ColumnPoint
from VertebraLabelingLib.core.formats.markups import SURE_COLOUR, UNCERTAIN_COLOUR

NEAR_HUE = 0.03


@pytest.fixture
def volume(scene):
    matrix = scenes.ijk_to_ras(spacing_mm=(5, 5, 5), origin_ras_mm=(-75, -75, -75))
    node = scenes.add_volume(scene, np.zeros((30, 30, 30), np.int16), matrix)
    node.CreateDefaultDisplayNodes()
    return node


def share_of(picture, colour):
    """Share of the coloured pixels that have the hue of a colour, whatever the light on them."""
    hue, saturation, value = np.moveaxis(rgb_to_hsv(picture / 255.0), -1, 0)
    coloured = (saturation > 0.3) & (value > 0.3)
    distance = np.abs(hue - rgb_to_hsv(colour)[0])
    return np.mean(np.minimum(distance, 1 - distance)[coloured] < NEAR_HUE) if coloured.any() else 0.0


def around(picture, view, place_ras, radius=12):
    column, row_from_below = view.pixel(place_ras)
    row = len(picture) - 1 - row_from_below
    return picture[row - radius : row + radius + 1, column - radius : column + radius + 1]


def test_only_uncertain_points_are_drawn_as_uncertain_also_off_the_slice(scene, volume):
    """Slicer would draw every point off the slice in the colour of the uncertain ones when one of them is uncertain."""
    node = create_points_node(scene, "Vertebrae")
    node.GetDisplayNode().SetPointLabelsVisibility(False)
    column = (
        ColumnPoint("L1", (0.0, 0.0, 50.0), 0.9),
        ColumnPoint("L2", (0.0, 0.0, 15.0), 0.2),
        ColumnPoint("L3", (-20.0, 0.0, -20.0), 0.9),
    )
    write_column(node, column)
    with SliceView("Sagittal") as view:
        view.show(volume)
        view.jump((0.0, 0.0, 0.0))
        picture = view.render()
        sure, uncertain, behind = (around(picture, view, node.GetNthControlPointPosition(i)) for i in range(3))
    assert share_of(sure, SURE_COLOUR) > 0.9
    assert share_of(uncertain, UNCERTAIN_COLOUR) > 0.9
    assert share_of(behind, UNCERTAIN_COLOUR) == 0
    assert behind.max() > 100, "a point off the slice is drawn, in a neutral colour"


def test_the_curve_has_the_colours_of_the_regions(scene):
    names = ("C7", "T1", "T2", "T12", "L1", "L2", "L5", "S1", "S2")
    node = create_points_node(scene, "Vertebrae")
    write_column(node, tuple(ColumnPoint(name, (0.0, 0.0, -25.0 * i)) for i, name in enumerate(names)))
    curve = update_curve(scene, node)
    curve.GetDisplayNode().SetLineDiameter(20.0)
    node.SetDisplayVisibility(False)
    view_node = scene.GetFirstNodeByClass("vtkMRMLViewNode")
    view_node.SetBoxVisible(False)
    view_node.SetAxisLabelsVisible(False)
    view_node.SetBackgroundColor(0.0, 0.0, 0.0)
    view_node.SetBackgroundColor2(0.0, 0.0, 0.0)
    with ThreeDView() as view:
        view.look()
        picture = view.render()
    shares = {region: share_of(picture, REGION_COLOURS[region]) for region in Region}
    assert sum(shares.values()) > 0.9
    assert min(shares.values()) > 0.03, shares
