"""What the pictures show: a CT in the panel and in the views, after a run of the real child process."""

from __future__ import annotations

import time
from pathlib import Path

from harness import boot

BONE_WINDOW = (1000.0, 400.0)
MARGIN = 1.06
BONE_OPACITY = ((-1000, 0.0), (140, 0.0), (280, 0.10), (500, 0.3), (1000, 0.6), (3000, 0.8))
BONE_COLOURS = ((-1000, 0.7, 0.6, 0.5), (200, 0.85, 0.72, 0.58), (450, 0.98, 0.93, 0.84), (1000, 1.0, 1.0, 1.0))
OBLIQUE = (-0.6, -0.8, -0.08)
"""Direction of view in RAS, from the right in front: towards left, back and a little down."""

RUN_S = 600


def opened(file: Path):
    """The panel on a fresh scene that shows a CT in the bone window, and the CT's node."""
    boot.fresh_scene()
    import slicer

    volume = slicer.util.loadVolume(str(file))
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(*BONE_WINDOW)
    _module, widget = boot.load_module()
    widget.parent.enter()
    return widget, volume


def labelled(file: Path, region=None):
    """As `opened`, after a run; region: (centre, size) of the box to label, RAS mm."""
    import slicer

    widget, volume = opened(file)
    if region is not None:
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
        roi.SetCenter(region[0])
        roi.SetSize(region[1])
        _outline(roi)
        widget.ui.roiSelector.setCurrentNode(roi)
    widget.ui.labelButton.click()
    wait(widget)
    return widget, volume


def _outline(roi) -> None:
    """Nothing but the lines of a box."""
    display = roi.GetDisplayNode()
    display.SetFillVisibility(False)
    display.SetHandlesInteractive(False)
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(False)


def wait(widget, until=lambda: False) -> None:
    """Let a run go on to its end, or until something holds."""
    import slicer

    end = time.monotonic() + RUN_S
    while widget.session.is_running and not until():
        if time.monotonic() > end:
            raise TimeoutError(f"The run did not end within {RUN_S} s.")
        slicer.app.processEvents()
        time.sleep(0.02)


def select(widget, level: str) -> None:
    """Click the row of a level: the slice views go there."""
    row = [point.label for point in widget.session.column].index(level)
    widget.ui.pointsTable.clearSelection()
    widget.ui.pointsTable.selectRow(row)


def slice_of(volume, orientation: str, size_px, height_mm: float | None = None, centre_ras_mm=None):
    """Picture of a slice view, its slice where it is now.

    height_mm: of what is shown, by default the volume's.  centre_ras_mm: where the middle is, by default the volume's.
    """
    from harness.pictures import slice_picture
    from harness.views import SliceView

    if height_mm is None:
        bounds_mm = [0.0] * 6
        volume.GetRASBounds(bounds_mm)
        height_mm = MARGIN * (bounds_mm[5] - bounds_mm[4])
    with SliceView(orientation, size_px) as view:
        offset_mm = view.node.GetSliceOffset()
        view.show(volume)
        view.node.SetFieldOfView(height_mm * size_px[0] / size_px[1], height_mm, view.node.GetFieldOfView()[2])
        if centre_ras_mm is not None:
            view.jump(centre_ras_mm)
        view.node.SetSliceOffset(offset_mm)
        view.node.SetRulerType(view.node.RulerTypeThin)
        return slice_picture(view)


def spine_centre(widget, volume) -> tuple[float, float, float]:
    """The middle of the points from left to right and front to back, of the volume from head to foot; RAS mm."""
    import numpy as np
    import slicer

    bounds_mm = [0.0] * 6
    volume.GetRASBounds(bounds_mm)
    right, anterior, _superior = np.mean(slicer.util.arrayFromMarkupsControlPoints(widget.session.points_node), axis=0)
    return (float(right), float(anterior), sum(bounds_mm[4:]) / 2)


def show_bone(volume) -> None:
    """Volume rendering of what is dense, half transparent, so that the points inside are seen."""
    import slicer
    import vtk

    logic = slicer.vtkSlicerVolumeRenderingLogic()
    logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
    logic.SetMRMLScene(slicer.mrmlScene)
    display = logic.CreateDefaultVolumeRenderingNodes(volume)
    opacity, colours = vtk.vtkPiecewiseFunction(), vtk.vtkColorTransferFunction()
    for point in BONE_OPACITY:
        opacity.AddPoint(*point)
    for point in BONE_COLOURS:
        colours.AddRGBPoint(*point)
    look = display.GetVolumePropertyNode().GetVolumeProperty()
    look.SetScalarOpacity(opacity)
    look.SetColor(colours)
    look.SetInterpolationTypeToLinear()
    look.ShadeOn()
    look.SetAmbient(0.5)
    look.SetDiffuse(0.8)
    display.SetVisibility(True)


def rendering_of(size_px, zoom: float):
    """Picture of the 3D view, oblique, on black."""
    from PIL import Image

    from harness.views import ThreeDView

    with ThreeDView(size_px) as view:
        view.renderer.GradientBackgroundOff()
        view.renderer.SetBackground(0, 0, 0)
        view.look(OBLIQUE)
        view.renderer.GetActiveCamera().Zoom(zoom)
        return Image.fromarray(view.render())
