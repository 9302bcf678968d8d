"""Makes the pictures of the module for README and catalogue: `make screenshots`, or `python -m harness.screenshots`.

Scene, displayable managers, panel, child process and networks are the real ones; the window around them is put
together here.  All data are the phantom of the extension; with the CTs in ../shared, one picture of a patient more.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from harness import boot

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "Resources" / "Screenshots"
CT = ROOT.parent / "shared" / "data" / "ct" / "cptac-pda-c3n-00249.nii.gz"
"""The one patient whom README shows; CPTAC-PDA, The Cancer Imaging Archive, CC BY 3.0."""

BONE_WINDOW = (1000.0, 400.0)
MARGIN = 1.06
UNSURE_REGION = ((0.0, 7.5, 140.0), (120.0, 135.0, 80.0))
"""Centre and size in RAS mm of a box in the phantom that shows nothing to count from."""

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


def window(folder: Path) -> None:
    """panel.png and rendering.png: the phantom after one click, panel on the left, views on the right."""
    from VertebraLabelingLib.app.sample_data import FILE

    from harness.pictures import BAR_PX, GAP_PX, below, beside, panel_picture, save

    widget, volume = labelled(FILE)
    show_bone(volume)
    select(widget, "L3")
    panel, centre = panel_picture(widget), spine_centre(widget, volume)
    sagittal = slice_of(volume, "Sagittal", (380, panel.height - BAR_PX), None, centre)
    coronal = slice_of(volume, "Coronal", (420, 400), None, centre)
    rendering = rendering_of((420, panel.height - coronal.height - GAP_PX), 1.35)
    save(folder / "panel.png", beside(panel, sagittal, below(rendering, coronal)))
    widget.ui.curveButton.click()
    save(folder / "rendering.png", rendering_of((720, 760), 1.3))


def slices(path: Path, file: Path, level: str) -> None:
    """The three slice views at one vertebra."""
    from harness.pictures import BAR_PX, below, beside, save

    widget, volume = labelled(file)
    select(widget, level)
    centre = spine_centre(widget, volume)
    right = below(axial_of(widget, volume, (420, 340)), slice_of(volume, "Coronal", (420, 480), None, centre))
    save(path, beside(slice_of(volume, "Sagittal", (460, right.height - BAR_PX), None, centre), right))


def axial_of(widget, volume, size_px):
    """The selected vertebra from below, without the points of other slices, which would lie on it in a heap."""
    node = widget.session.points_node
    node.GetDisplayNode().SetSliceProjection(False)
    place_ras_mm = node.GetNthControlPointPosition(widget.session.selected)
    picture = slice_of(volume, "Axial", size_px, 150, place_ras_mm)
    node.GetDisplayNode().SetSliceProjection(True)
    return picture


def phantom_slices(folder: Path) -> None:
    """slices.png."""
    from VertebraLabelingLib.app.sample_data import FILE

    slices(folder / "slices.png", FILE, "L3")


def patient_slices(folder: Path) -> None:
    """slices-ct.png: a real CT, where ../shared is there."""
    if CT.is_file():
        slices(folder / "slices-ct.png", CT, "T9")
    else:
        print(f"{CT} is not there; slices-ct.png stays as it is.")


def run(folder: Path) -> None:
    """tutorial-1-label.png: a run that is going on."""
    from VertebraLabelingLib.app.sample_data import FILE

    from harness.pictures import BAR_PX, beside, panel_picture, save

    widget, volume = opened(FILE)
    widget.ui.labelButton.click()
    wait(widget, lambda: widget.session.fraction > 0.3 and widget.session.seconds_left is not None)
    panel = panel_picture(widget)
    save(folder / "tutorial-1-label.png", beside(panel, slice_of(volume, "Sagittal", (320, panel.height - BAR_PX))))


def unsure(folder: Path) -> None:
    """tutorial-2-unsure.png: a region that shows nothing to count from."""
    import slicer
    from VertebraLabelingLib.app.sample_data import FILE

    from harness.pictures import BAR_PX, beside, panel_picture, save

    widget, volume = labelled(FILE, UNSURE_REGION)
    centre = spine_centre(widget, volume)
    slicer.modules.markups.logic().JumpSlicesToLocation(*centre, False)
    panel = panel_picture(widget)
    size_px = (360, panel.height - BAR_PX)
    save(folder / "tutorial-2-unsure.png", beside(panel, slice_of(volume, "Sagittal", size_px, None, centre)))


def correct(folder: Path) -> None:
    """tutorial-3-correct.png: a point is missing, what the panel says, and after Insert below and Refine."""
    from VertebraLabelingLib.app.sample_data import FILE

    from harness.pictures import BAR_PX, GAP_PX, below, beside, panel_picture, save

    widget, volume = labelled(FILE)
    select(widget, "L3")
    place_ras_mm = widget.session.points_node.GetNthControlPointPosition(widget.session.selected)
    widget.ui.deleteButton.click()
    select(widget, "L2")
    panel = panel_picture(widget)
    size_px = (360, (panel.height - GAP_PX) // 2 - BAR_PX)
    before = slice_of(volume, "Sagittal", size_px, 150, place_ras_mm)
    widget.ui.insertBelowButton.click()
    select(widget, "L3")
    widget.ui.refineButton.click()
    wait(widget)
    after = slice_of(volume, "Sagittal", size_px, 150, place_ras_mm)
    save(folder / "tutorial-3-correct.png", beside(panel, below(before, after)))


PICTURES = (window, phantom_slices, patient_slices, run, unsure, correct)


def main() -> None:
    names = {make.__name__: make for make in PICTURES}
    parser = argparse.ArgumentParser(prog="screenshots", description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder for the pictures")
    parser.add_argument("--only", choices=names, nargs="+", default=list(names))
    arguments = parser.parse_args()
    boot.boot()
    for name in arguments.only:
        names[name](arguments.output)


if __name__ == "__main__":
    main()
