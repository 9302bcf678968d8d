"""The table of points: what it shows, what a click and an edit do, what stays while the points change."""

from __future__ import annotations

import pytest
import qt
import slicer
from panel_support import LUMBAR, cell, labels_of, loaded_panel, points_node, select_rows, table_column
from VertebraLabelingLib.app.panel.points_table import LEVEL, LOCK, NEXT, REMARK, SURE


@pytest.fixture
def node(scene):
    return points_node(*LUMBAR, probabilities=[0.97, 0.3, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9])


@pytest.fixture
def widget(node):
    widget, _dialogs = loaded_panel()
    widget.ui.pointsSelector.setCurrentNode(node)
    return widget


def test_it_has_one_row_per_point_in_the_order_of_the_list(widget):
    assert table_column(widget, LEVEL) == list(LUMBAR)
    assert table_column(widget, SURE) == ["97%", "30%", *["90%"] * 6]
    assert table_column(widget, NEXT) == [*["35 mm"] * 7, ""]


def test_an_uncertain_point_stands_out_in_words_and_weight_not_in_colour_alone(widget):
    uncertain, sure = (widget.ui.pointsTable.item(row, LEVEL) for row in (1, 0))
    assert uncertain.font().bold()
    assert not sure.font().bold()
    assert cell(widget, 1, REMARK).startswith("uncertain")
    assert cell(widget, 0, REMARK) == ""


def test_a_confirmed_point_does_not_stand_out_any_more(widget, node):
    node.SetNthControlPointLocked(1, True)
    assert not widget.ui.pointsTable.item(1, LEVEL).font().bold()
    assert widget.ui.pointsTable.item(1, LOCK).checkState() == qt.Qt.Checked
    assert cell(widget, 1, REMARK) == ""


def test_a_remark_says_uncertain_once_and_only_as_long_as_it_is_so(widget, node):
    node.SetNthControlPointDescription(1, "p=0.30; uncertain; next to the border of the scan")
    assert cell(widget, 1, REMARK) == "uncertain; next to the border of the scan"
    node.SetNthControlPointLocked(1, True)
    assert cell(widget, 1, REMARK) == "next to the border of the scan"


def test_levels_carry_the_colour_of_their_region(widget):
    colours = [
        widget.ui.pointsTable.item(row, LEVEL).icon().pixmap(12, 12).toImage().pixelColor(6, 6).name()
        for row in (0, 1, 2, 7)
    ]
    thoracic, _same, lumbar, sacral = colours
    assert colours[0] == colours[1]
    assert len({thoracic, lumbar, sacral}) == 3


def test_a_click_jumps_all_slice_views_to_the_point_and_marks_it(widget, node):
    widget.ui.pointsTable.setCurrentCell(3, LEVEL)
    offsets = {
        name: slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceOffset()
        for name in slicer.app.layoutManager().sliceViewNames()
    }
    assert offsets["Red"] == pytest.approx(-35.0 * 3, abs=0.01)
    assert node.GetDisplayNode().GetActiveControlPoint() == 3


def test_typing_another_level_renames_that_point_only(widget, node):
    widget.ui.pointsTable.item(1, LEVEL).setText("t 13")
    assert labels_of(node) == ["T11", "T13", *LUMBAR[2:]]
    widget.ui.undoButton.click()
    assert labels_of(node) == list(LUMBAR)


def test_typing_what_is_no_level_changes_nothing_and_says_so(widget, node):
    widget.ui.pointsTable.item(1, LEVEL).setText("thoracic")
    assert labels_of(node) == list(LUMBAR)
    assert cell(widget, 1, LEVEL) == "T12"
    assert "thoracic" in widget.ui.correctMessageLabel.text


def test_the_box_confirms_and_unlocks(widget, node):
    box = widget.ui.pointsTable.item(2, LOCK)
    box.setCheckState(qt.Qt.Checked)
    assert node.GetNthControlPointLocked(2)
    box.setCheckState(qt.Qt.Unchecked)
    assert not node.GetNthControlPointLocked(2)


def test_dragging_a_point_updates_the_row_and_keeps_selection_focus_and_scrolling(widget, node):
    widget.parent.resize(400, 900)
    widget.parent.show()
    widget.parent.activateWindow()
    slicer.app.processEvents()
    table = widget.ui.pointsTable
    table.setFocus()
    select_rows(widget, 5, 6)
    table.scrollToBottom()
    place = table.verticalScrollBar().value
    node.InvokeEvent(node.PointStartInteractionEvent)
    node.SetNthControlPointPosition(5, 3.0, 0.0, -180.0)
    assert cell(widget, 5, NEXT) == "30 mm"
    node.InvokeEvent(node.PointEndInteractionEvent)
    assert [index.row() for index in table.selectionModel().selectedRows()] == [5, 6]
    assert slicer.app.focusWidget() == table
    assert table.verticalScrollBar().value == place
    assert "moved" in cell(widget, 5, REMARK)


def test_the_selection_stays_on_its_points_when_one_above_goes(widget, node):
    select_rows(widget, 4)
    node.RemoveNthControlPoint(0)
    rows = [index.row() for index in widget.ui.pointsTable.selectionModel().selectedRows()]
    assert [cell(widget, row, LEVEL) for row in rows] == ["L3"]


def test_a_point_that_is_dragged_in_a_view_is_selected_in_the_table(widget, node):
    node.GetDisplayNode().SetActiveControlPoint(6)
    node.InvokeEvent(node.PointStartInteractionEvent)
    assert [index.row() for index in widget.ui.pointsTable.selectionModel().selectedRows()] == [6]


def test_a_whole_spine_and_a_list_of_foreign_names_are_shown(widget, scene):
    many = points_node(*(f"F-{i}" for i in range(60)))
    widget.ui.pointsSelector.setCurrentNode(many)
    assert widget.ui.pointsTable.rowCount == 60
    assert cell(widget, 0, REMARK).startswith("not a level")
    assert "Check:" in widget.ui.problemsLabel.text
    widget.ui.pointsSelector.setCurrentNode(None)
    assert widget.ui.pointsTable.rowCount == 0


def test_a_network_is_never_shown_as_wholly_certain(widget, node):
    node.SetNthControlPointDescription(0, "p=1.00")
    assert cell(widget, 0, SURE) == "> 99%"


def test_the_points_beside_the_slice_can_be_hidden(widget, node):
    box, display = widget.ui.projectionCheckBox, node.GetDisplayNode()
    display.SetSliceProjection(True)
    widget.ui.pointsSelector.setCurrentNode(None)
    widget.ui.pointsSelector.setCurrentNode(node)
    assert box.checked
    for shown in (False, True):
        box.click()
        assert bool(display.GetSliceProjection()) is shown


def test_without_points_there_is_nothing_to_hide(widget):
    widget.ui.pointsSelector.setCurrentNode(None)
    assert not widget.ui.projectionCheckBox.enabled
    assert not widget.ui.projectionCheckBox.checked
