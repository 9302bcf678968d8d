"""The whole way with the real child process: click, see, correct, run again, export, reload, cancel."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from panel_support import labels_of, loaded_panel, select_rows, table_column, wait_until
from phantoms import small_phantom
from VertebraLabelingLib.app.panel.points_table import LEVEL, LOCK

RUN_S = 300
ONNX, CPU = 2, 1


@pytest.fixture(scope="module")
def phantom_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ct") / "phantom.nii.gz"
    sitk.WriteImage(small_phantom().scan.to_sitk(), str(path))
    return path


def opened(path):
    """The panel with the CT of a file, on the engine that starts fastest."""
    volume = slicer.util.loadVolume(str(path))
    widget, dialogs = loaded_panel()
    widget.ui.engineComboBox.setCurrentIndex(ONNX)
    widget.ui.deviceComboBox.setCurrentIndex(CPU)
    assert widget.ui.inputSelector.currentNode() is volume
    return widget, dialogs


def label(widget):
    widget.ui.labelButton.click()
    assert widget.session.is_running
    assert wait_until(lambda: not widget.session.is_running, RUN_S)


def positions_ras(node):
    return slicer.util.arrayFromMarkupsControlPoints(node)


def test_a_phantom_from_the_click_to_the_reloaded_file(scene, phantom_file, tmp_path):
    widget, dialogs = opened(phantom_file)
    seen = []
    widget.session.progressed.connect(lambda: seen.append((widget.ui.progressLabel.text, widget.ui.progressBar.value)))
    label(widget)
    assert not dialogs.failures
    assert len({text for text, _share in seen}) > 2
    node = widget.session.points_node
    require_the_phantom(node)
    first = labels_of(node)

    widget.ui.shiftUpButton.click()
    assert labels_of(node) != first
    widget.ui.undoButton.click()
    assert labels_of(node) == first

    # run again: a confirmed point stays, name and place
    select_rows(widget, 1)
    widget.ui.confirmButton.click()
    node.SetNthControlPointPosition(1, *(positions_ras(node)[1] + [0.0, 0.0, 2.0]))
    place = positions_ras(node)[1]
    label(widget)
    assert [question for question in dialogs.questions if first[1] in question]
    assert widget.session.points_node is node
    assert labels_of(node) == first
    np.testing.assert_allclose(positions_ras(node)[1], place, atol=1e-3)
    assert widget.ui.pointsTable.item(1, LOCK).checkState()

    # a point that was dragged away finds the centre again, in one step of undo
    dragged = positions_ras(node)[3] + [6.0, 0.0, 5.0]
    node.SetNthControlPointPosition(3, *dragged)
    select_rows(widget, 3)
    widget.ui.refineButton.click()
    assert wait_until(lambda: not widget.session.is_running, RUN_S)
    assert widget.ui.correctMessageLabel.text == ""
    assert np.linalg.norm(positions_ras(node)[3] - dragged) > 3
    require_the_phantom(node)
    widget.ui.undoButton.click()
    np.testing.assert_allclose(positions_ras(node)[3], dragged, atol=1e-3)
    widget.ui.redoButton.click()

    for button, name in (
        ("exportMarkupsButton", "out.mrk.json"),
        ("exportCsvButton", "out.csv"),
        ("exportVerseButton", "out_ctd.json"),
    ):
        dialogs.path = tmp_path / name
        getattr(widget.ui, button).click()
        assert str(dialogs.path) in widget.ui.exportLabel.text
    reloaded = slicer.util.loadMarkups(str(tmp_path / "out.mrk.json"))
    assert labels_of(reloaded) == first
    np.testing.assert_allclose(positions_ras(reloaded), positions_ras(node), atol=1e-2)
    assert reloaded.GetNthControlPointLocked(1)
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == first


def require_the_phantom(node):
    """Every point lies in the phantom's body of that name."""
    truth = small_phantom().centroids
    for index, name in enumerate(labels_of(node)):
        (place_lps,) = (place for level, place in truth.items() if level.name == name)
        assert np.linalg.norm(positions_ras(node)[index] * [-1, -1, 1] - place_lps) < 10, name
    assert node.GetNumberOfControlPoints() >= len(truth) - 1


def test_cancelling_in_the_middle_leaves_the_scene_as_it_was(scene, phantom_file):
    widget, dialogs = opened(phantom_file)
    scene_before = [scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())]
    widget.ui.labelButton.click()
    assert wait_until(lambda: widget.session.fraction > 0.05 or not widget.session.is_running, RUN_S)
    assert widget.session.is_running
    widget.ui.labelButton.click()
    assert wait_until(lambda: not widget.session.is_running, 30)
    assert [scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())] == scene_before
    assert not dialogs.failures
    assert widget.ui.labelButton.enabled


def test_a_script_labels_without_a_panel(scene, phantom_file):
    from harness import boot

    module, _widget = boot.load_module()
    logic = module.VertebraLabelingLogic()
    volume = slicer.util.loadVolume(str(phantom_file))
    require_the_phantom(logic.process(volume, engine="onnx", device="cpu"))
    with pytest.raises(RuntimeError, match="CT"):
        logic.process(None)


@pytest.mark.shared
def test_a_real_neck(scene, shared_data):
    widget, dialogs = opened(shared_data / "neck" / "neck-206.nii.gz")
    label(widget)
    assert not dialogs.failures
    node = widget.session.points_node
    found = dict(zip(labels_of(node), positions_ras(node) * [-1, -1, 1], strict=True))
    with (shared_data / "annotations" / "neck-206.csv").open(newline="") as file:
        truth = {row["label"]: np.array([float(row[axis]) for axis in "xyz"]) for row in csv.DictReader(file)}
    right = [name for name, place in truth.items() if name in found and np.linalg.norm(found[name] - place) < 12]
    assert len(right) >= 0.8 * len(truth)
    assert set(table_column(widget, LEVEL)) == set(found)
