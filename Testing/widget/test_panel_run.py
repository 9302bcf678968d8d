"""Starting, watching, cancelling and failing runs from the panel, with runs that the test steers."""

from __future__ import annotations

import pytest
import slicer
from panel_support import (
    FakeJob,
    labels_of,
    loaded_panel,
    points_node,
    select_rows,
    table_column,
    volume_node,
    wait_until,
)
from VertebraLabelingLib.app.panel.points_table import LEVEL


@pytest.fixture
def ct(scene):
    FakeJob.made.clear()
    return volume_node()


@pytest.fixture
def opened(ct):
    return loaded_panel(FakeJob)


@pytest.fixture
def widget(opened):
    return opened[0]


def nodes():
    scene = slicer.mrmlScene
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def finished(widget):
    """Let the panel's own timer notice the end of the run."""
    assert wait_until(lambda: not widget.session.is_running, 5)


def test_the_first_volume_is_chosen_when_the_module_is_opened(widget, ct):
    assert widget.ui.inputSelector.currentNode() is ct
    assert widget.ui.labelButton.enabled


def test_a_label_map_is_not_chosen_when_the_module_is_opened(scene):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "mask")
    ct = volume_node()
    widget, _dialogs = loaded_panel(FakeJob)
    assert widget.session.input_volume is ct


def test_without_a_volume_the_button_says_why_it_is_disabled(scene):
    widget, _dialogs = loaded_panel(FakeJob)
    assert not widget.ui.labelButton.enabled
    assert widget.ui.statusLabel.text
    assert widget.ui.statusLabel.text in widget.ui.labelButton.toolTip


def test_the_button_becomes_cancel_and_the_progress_is_shown(widget):
    widget.parent.show()
    assert widget.ui.progressBar.isHidden()
    widget.ui.labelButton.click()
    assert widget.ui.labelButton.text == "Cancel"
    (job,) = FakeJob.made
    job.stage, job.fraction, job.seconds_left = "Finding the vertebrae", 0.42, 12.4
    assert wait_until(lambda: widget.ui.progressBar.value == 42, 5)
    assert widget.ui.progressBar.isVisible()
    assert widget.ui.progressLabel.text == "Finding the vertebrae - about 12 s left"
    job.finish(["L1", "L2", "L3"])
    finished(widget)
    assert widget.ui.labelButton.text == "Label vertebrae"
    assert widget.ui.progressBar.isHidden()


def test_a_result_is_shown_as_a_summary_and_a_table(widget):
    widget.ui.labelButton.click()
    FakeJob.made[0].finish(["L1", "L2", "L3"])
    finished(widget)
    assert table_column(widget, LEVEL) == ["L1", "L2", "L3"]
    assert widget.ui.summaryLabel.text.startswith("L1-L3, 3 vertebrae, level certain")
    assert widget.ui.pointsSelector.currentNode() is widget.session.points_node
    assert widget.ui.alternativeWidget.isHidden()


def test_an_unsure_result_offers_its_alternative_and_a_button_applies_it(widget):
    widget.ui.labelButton.click()
    job = FakeJob.made[0]
    job.finish(["L1", "L2", "L3"])
    job.result["level_certain"] = False
    job.result["alternatives"] = [{"shift": 1, "probability": 0.18, "levels": ["L2", "L3", "L4"]}]
    finished(widget)
    assert not widget.ui.alternativeWidget.isHidden()
    assert widget.ui.alternativeComboBox.currentText == "1 level lower (18%)"
    widget.ui.alternativeButton.click()
    assert labels_of(widget.session.points_node) == ["L2", "L3", "L4"]
    widget.ui.undoButton.click()
    assert labels_of(widget.session.points_node) == ["L1", "L2", "L3"]


def test_the_chosen_alternative_stays_chosen_while_the_user_looks_around(widget):
    widget.ui.labelButton.click()
    job = FakeJob.made[0]
    job.finish(["L1", "L2", "L3"])
    job.result["level_certain"] = False
    job.result["alternatives"] = [
        {"shift": 1, "probability": 0.18, "levels": ["L2", "L3", "L4"]},
        {"shift": -1, "probability": 0.11, "levels": ["T12", "L1", "L2"]},
    ]
    finished(widget)
    widget.ui.alternativeComboBox.setCurrentIndex(1)
    widget.ui.pointsTable.setCurrentCell(2, LEVEL)
    widget.ui.alternativeButton.click()
    assert labels_of(widget.session.points_node) == ["T12", "L1", "L2"]


def test_cancelling_leaves_the_scene_as_it_was(widget):
    before = nodes()
    widget.ui.labelButton.click()
    widget.ui.labelButton.click()
    finished(widget)
    assert nodes() == before
    assert widget.ui.labelButton.text == "Label vertebrae"


def test_a_failure_is_told_once_and_stays_readable(opened):
    widget, dialogs = opened
    before = nodes()
    widget.ui.labelButton.click()
    FakeJob.made[0].state, FakeJob.made[0].message = "failed", "This is not a CT; choose another volume."
    finished(widget)
    assert dialogs.failures == ["This is not a CT; choose another volume."]
    assert widget.ui.statusLabel.text == "This is not a CT; choose another volume."
    assert nodes() == before
    widget.ui.labelButton.click()
    assert widget.ui.statusLabel.text == ""


def test_the_reason_of_a_failure_goes_with_its_volume(opened):
    widget, _dialogs = opened
    widget.ui.labelButton.click()
    FakeJob.made[0].state, FakeJob.made[0].message = "failed", "This is not a CT; choose another volume."
    finished(widget)
    widget.ui.inputSelector.setCurrentNode(volume_node(name="other"))
    assert widget.ui.statusLabel.text == ""


def test_a_run_that_is_being_stopped_cannot_be_stopped_again(widget, monkeypatch):
    monkeypatch.setattr(FakeJob, "cancel", lambda self: setattr(self, "state", "cancelling"))
    widget.ui.labelButton.click()
    widget.ui.labelButton.click()
    assert not widget.ui.labelButton.enabled
    assert "stopped" in widget.ui.labelButton.toolTip
    FakeJob.made[0].state = "cancelled"
    finished(widget)
    assert (widget.ui.labelButton.text, widget.ui.labelButton.enabled) == ("Label vertebrae", True)


def test_two_runs_in_a_row_write_into_the_same_list(widget):
    for levels in (["L1", "L2"], ["T12", "L1", "L2"]):
        widget.ui.labelButton.click()
        FakeJob.made[-1].finish(levels)
        finished(widget)
    assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")) == 1
    assert table_column(widget, LEVEL) == ["T12", "L1", "L2"]


def test_a_second_run_asks_before_it_replaces_corrected_points(opened):
    widget, dialogs = opened
    widget.ui.labelButton.click()
    FakeJob.made[-1].finish(["L1", "L2"])
    finished(widget)
    widget.ui.shiftDownButton.click()
    dialogs.answer = False
    widget.ui.labelButton.click()
    assert len(dialogs.questions) == 1
    assert len(FakeJob.made) == 1
    assert table_column(widget, LEVEL) == ["L2", "L3"]


def test_confirmed_points_go_into_the_next_run_as_anchors(widget):
    widget.ui.labelButton.click()
    FakeJob.made[-1].finish(["L1", "L2", "L3"])
    finished(widget)
    select_rows(widget, 1)
    widget.ui.confirmButton.click()
    widget.ui.labelButton.click()
    assert [point.label for point in FakeJob.made[-1].request.anchors] == ["L2"]


def test_while_a_run_is_on_nothing_can_be_corrected_and_the_tools_say_so(widget):
    widget.ui.pointsSelector.setCurrentNode(points_node("L1", "L2"))
    assert widget.ui.shiftUpButton.enabled
    widget.ui.labelButton.click()
    assert not widget.ui.shiftUpButton.enabled
    assert "run" in widget.ui.shiftUpButton.toolTip
    widget.ui.pointsTable.item(0, LEVEL).setText("L4")
    assert table_column(widget, LEVEL) == labels_of(widget.session.points_node) == ["L1", "L2"]
    assert "run" in widget.ui.correctMessageLabel.text


def test_the_log_is_shown_on_demand(widget):
    widget.parent.show()
    assert widget.ui.logText.isHidden()
    widget.ui.labelButton.click()
    widget.ui.logCheckBox.setChecked(True)
    assert wait_until(lambda: "first line" in widget.ui.logText.plainText, 5)
    assert widget.ui.logText.isVisible()


def test_closing_the_scene_ends_the_run_and_empties_the_panel(widget):
    widget.ui.labelButton.click()
    slicer.mrmlScene.Clear()
    assert FakeJob.made[0].state == "cancelled"
    assert widget.ui.labelButton.text == "Label vertebrae"
    assert widget.ui.inputSelector.currentNode() is None
    assert widget.ui.pointsTable.rowCount == 0


def test_closing_slicer_ends_the_run(widget):
    widget.ui.labelButton.click()
    widget.cleanup()
    assert FakeJob.made[0].state == "cancelled"


def test_a_run_goes_on_in_another_module(widget):
    widget.ui.labelButton.click()
    widget.parent.exit()
    FakeJob.made[0].finish(["L1"])
    finished(widget)
    assert table_column(widget, LEVEL) == ["L1"]


def test_options_reach_the_run(widget):
    widget.ui.methodComboBox.setCurrentIndex(widget.ui.methodComboBox.findText("integral-regression"))
    widget.ui.engineComboBox.setCurrentIndex(2)
    widget.ui.deviceComboBox.setCurrentIndex(1)
    widget.ui.refineCheckBox.setChecked(not widget.ui.refineCheckBox.checked)
    chosen = widget.ui.refineCheckBox.checked
    widget.ui.labelButton.click()
    request = FakeJob.made[0].request
    assert (request.method, request.engine, request.device, request.refine) == (
        "integral-regression",
        "onnx",
        "cpu",
        chosen,
    )
