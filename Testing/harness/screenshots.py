"""Makes the pictures of the module for README and catalogue: `make screenshots`, or `python -m harness.screenshots`.

Scene, displayable managers, panel, child process and networks are the real ones; the window around them is put
together here.  All data are the phantom of the extension; with the CTs in ../shared, one picture of a patient more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness import boot
from harness.stage import labelled, opened, rendering_of, select, show_bone, slice_of, spine_centre, wait

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "Resources" / "Screenshots"
CT = ROOT.parent / "shared" / "data" / "ct" / "cptac-pda-c3n-00249.nii.gz"
"""The one patient whom README shows; CPTAC-PDA, The Cancer Imaging Archive, CC BY 3.0."""

UNSURE_REGION = ((0.0, 7.5, 140.0), (120.0, 135.0, 80.0))
"""Centre and size in RAS mm of a box in the phantom that shows nothing to count from."""


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
