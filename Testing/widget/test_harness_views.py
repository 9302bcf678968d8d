"""Views drawn by Slicer's displayable managers: what they show, and that the mouse moves the real control points."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from harness.views import SliceView, ThreeDView

CENTRE = (40.0, 40.0, 60.0)


@pytest.fixture
def volume(scene):
    """A cube of 500 HU (edge 40 mm) in nothing, 2 mm voxels."""
    array = np.zeros((60, 50, 40), np.int16)
    array[20:40, 10:30, 10:30] = 500
    node = slicer.util.addVolumeFromArray(array, np.diag([2.0, 2.0, 2.0, 1.0]), "CT")
    node.GetDisplayNode().SetWindowLevelMinMax(-200, 700)
    return node


@pytest.fixture
def points(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.CreateDefaultDisplayNodes()
    node.AddControlPoint(CENTRE, "L1")
    node.AddControlPoint((40.0, 40.0, 30.0), "L2")
    return node


def coloured(picture):
    """How many pixels are neither black, grey nor white."""
    return int((np.ptp(picture.astype(int), axis=2) > 60).sum())


def test_a_slice_shows_the_volume_and_the_points(volume, points):
    with SliceView("Sagittal") as view:
        view.show(volume)
        view.jump(CENTRE)
        column, row_from_below = view.pixel(CENTRE)
        picture = view.render()
        assert picture.shape == (400, 400, 3)
        assert (picture[-1 - (row_from_below - 40), column + 40] > 200).all()  # in the cube
        assert (picture[5, 5] == 0).all()
        assert coloured(picture) > 50
        points.GetDisplayNode().SetVisibility(False)
        assert coloured(view.render()) == 0


@pytest.mark.parametrize("orientation, end", [("Sagittal", (40.0, 50.0, 66.0)), ("Axial", (50.0, 46.0, 60.0))])
def test_dragging_moves_the_control_point_with_its_events(volume, points, orientation, end):
    events = []
    for name in ("PointStartInteractionEvent", "PointModifiedEvent", "PointEndInteractionEvent"):
        points.AddObserver(getattr(points, name), lambda *_, name=name: events.append(name))
    with SliceView(orientation) as view:
        view.show(volume)
        view.jump(CENTRE)
        view.drag(CENTRE, end)
    assert points.GetNthControlPointPosition(0) == pytest.approx(end, abs=0.5)  # a pixel is 0.3 mm
    assert points.GetNthControlPointPosition(1) == (40.0, 40.0, 30.0)
    assert (events[0], events[-1]) == ("PointStartInteractionEvent", "PointEndInteractionEvent")
    assert "PointModifiedEvent" in events


def test_a_locked_point_cannot_be_dragged(volume, points):
    points.SetNthControlPointLocked(0, True)
    with SliceView("Sagittal") as view:
        view.show(volume)
        view.jump(CENTRE)
        view.drag(CENTRE, (40.0, 50.0, 66.0))
    assert points.GetNthControlPointPosition(0) == CENTRE


def test_the_three_dimensional_view_shows_the_points(points, tmp_path):
    with ThreeDView() as view:
        view.look()
        shown = view.render()
        points.GetDisplayNode().SetVisibility(False)
        hidden = view.render()
        view.save(tmp_path / "view.png")
    assert 20 < (shown != hidden).any(axis=2).sum() < 5000
    assert (tmp_path / "view.png").read_bytes().startswith(b"\x89PNG")
