"""Every correction tool, by a click on its button, and the keyboard."""

from __future__ import annotations

import pytest
import qt
import slicer
from panel_support import LUMBAR, labels_of, loaded_panel, points_node, select_rows
from PySide6.QtTest import QTest

TOOLS = (
    "shiftUpButton", "shiftDownButton", "relabelButton", "insertAboveButton", "insertBelowButton", "deleteButton",
    "confirmButton", "unlockButton", "refineButton", "confirmAllButton", "anomalyButton", "curveButton", "undoButton",
    "redoButton",
)  # fmt: skip


@pytest.fixture
def node(scene):
    return points_node(*LUMBAR)


@pytest.fixture
def opened(node):
    widget, dialogs = loaded_panel()
    widget.ui.pointsSelector.setCurrentNode(node)
    return widget, dialogs


@pytest.fixture
def widget(opened):
    return opened[0]


def locked(node):
    return [bool(node.GetNthControlPointLocked(index)) for index in range(node.GetNumberOfControlPoints())]


def undone(widget, node):
    """The step can be taken back and done again."""
    after = labels_of(node)
    widget.ui.undoButton.click()
    before = labels_of(node)
    widget.ui.redoButton.click()
    assert labels_of(node) == after
    return before


def test_without_points_no_tool_can_be_used_and_each_says_why(scene):
    widget, _dialogs = loaded_panel()
    for name in TOOLS:
        button = getattr(widget.ui, name)
        assert not button.enabled, name
        assert len(button.toolTip.splitlines()) == 2, name


def test_without_a_selection_the_tools_for_points_say_so(widget):
    assert "Select" in widget.ui.deleteButton.toolTip
    assert "Select" in widget.ui.insertAboveButton.toolTip
    assert widget.ui.shiftUpButton.enabled
    select_rows(widget, 2)
    assert widget.ui.deleteButton.enabled
    assert widget.ui.insertAboveButton.enabled
    select_rows(widget, 2, 3)
    assert widget.ui.deleteButton.enabled
    assert not widget.ui.insertAboveButton.enabled


def test_shift_up_and_down(widget, node):
    widget.ui.shiftUpButton.click()
    assert labels_of(node) == ["T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    assert undone(widget, node) == list(LUMBAR)
    widget.ui.shiftDownButton.click()
    assert labels_of(node) == list(LUMBAR)


def test_a_shift_beyond_the_last_level_is_told_beside_the_button(opened, node):
    widget, dialogs = opened
    widget.ui.shiftDownButton.click()
    widget.ui.shiftDownButton.click()
    assert "S2" in widget.ui.correctMessageLabel.text
    assert not dialogs.failures
    widget.ui.shiftUpButton.click()
    assert widget.ui.correctMessageLabel.text == ""
    assert labels_of(node) == list(LUMBAR)


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (0, ["T11", "T12", "L2", "L2", "L3", "L4", "L5", "S1"]),
        (2, ["T12", "L1", "L2", "L2", "L3", "L4", "L5", "S1"]),
    ],
)
def test_relabel(widget, node, reach, expected):
    select_rows(widget, 2)
    assert widget.ui.levelComboBox.currentText == "L1"
    widget.ui.levelComboBox.setCurrentIndex(widget.ui.levelComboBox.findText("L2"))
    widget.ui.reachComboBox.setCurrentIndex(reach)
    widget.ui.relabelButton.click()
    assert labels_of(node) == expected
    assert undone(widget, node) == list(LUMBAR)


def test_relabel_this_and_those_below(widget, node):
    select_rows(widget, 0)
    widget.ui.levelComboBox.setCurrentIndex(widget.ui.levelComboBox.findText("T10"))
    widget.ui.reachComboBox.setCurrentIndex(1)
    widget.ui.relabelButton.click()
    assert labels_of(node)[:7] == ["T10", "T11", "T12", "L1", "L2", "L3", "L4"]


def test_insert_above_and_below(widget, scene):
    node = points_node("L1", "L3")
    widget.ui.pointsSelector.setCurrentNode(node)
    select_rows(widget, 0)
    widget.ui.insertBelowButton.click()
    assert labels_of(node) == ["L1", "L2", "L3"]
    assert node.GetNthControlPointPosition(1) == pytest.approx((0, 0, -17.5), abs=1)
    assert undone(widget, node) == ["L1", "L3"]
    select_rows(widget, 0)
    widget.ui.insertAboveButton.click()
    assert labels_of(node) == ["T12", "L1", "L2", "L3"]


def test_delete_several(widget, node):
    select_rows(widget, 0, 7)
    widget.ui.deleteButton.click()
    assert labels_of(node) == list(LUMBAR[1:7])
    assert undone(widget, node) == list(LUMBAR)


def test_confirm_unlock_and_confirm_all(widget, node):
    select_rows(widget, 1, 2)
    widget.ui.confirmButton.click()
    assert locked(node) == [False, True, True, *[False] * 5]
    assert not widget.ui.confirmButton.enabled
    widget.ui.unlockButton.click()
    assert not any(locked(node))
    widget.ui.confirmAllButton.click()
    assert all(locked(node))
    widget.ui.undoButton.click()
    assert not any(locked(node))


def test_a_tool_that_would_rename_confirmed_points_asks_first(opened, node):
    widget, dialogs = opened
    widget.ui.confirmAllButton.click()
    dialogs.answer = False
    widget.ui.shiftUpButton.click()
    assert len(dialogs.questions) == 1
    assert labels_of(node) == list(LUMBAR)
    dialogs.answer = True
    widget.ui.shiftUpButton.click()
    assert labels_of(node)[0] == "T10"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Regular", LUMBAR),
        ("11", ("T11", "L1", "L2", "L3", "L4", "L5", "S1", "S2")),
        ("13", ("T11", "T12", "T13", "L1", "L2", "L3", "L4", "L5")),
        ("4", ("T11", "T12", "L1", "L2", "L3", "L4", "S1", "S2")),
        ("6", ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6")),
    ],
)
def test_the_anomalies(widget, node, text, expected):
    (action,) = (a for a in widget.ui.anomalyButton.menu().actions() if a.text.startswith(text))
    action.trigger()
    assert labels_of(node) == list(expected)


def test_the_spine_curve_goes_through_the_points(widget, node):
    widget.ui.curveButton.click()
    (curve,) = slicer.util.getNodesByClass("vtkMRMLMarkupsCurveNode")
    assert curve.GetCurveLengthWorld() == pytest.approx(35.0 * 7, rel=0.01)
    widget.ui.curveButton.click()
    assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsCurveNode")) == 1


def test_undo_and_redo_name_the_step(widget, node):
    assert not widget.ui.undoButton.enabled
    select_rows(widget, 0)
    widget.ui.deleteButton.click()
    assert "T11" in widget.ui.undoButton.toolTip
    widget.ui.undoButton.click()
    assert "T11" in widget.ui.redoButton.toolTip


def press(widget, key, modifier=qt.Qt.NoModifier, at=None):
    QTest.keyClick(at or widget.parent, key, modifier)
    slicer.app.processEvents()


@pytest.fixture
def shown(widget):
    """On the screen and active: Qt hears shortcuts in the active window only."""
    widget.parent.show()
    widget.parent.activateWindow()
    slicer.app.processEvents()
    return widget


def test_the_keyboard_shifts_and_undoes_while_the_module_is_open(shown, node):
    press(shown, qt.Qt.Key_Down, qt.Qt.ControlModifier)
    assert labels_of(node)[0] == "T12"
    press(shown, qt.Qt.Key_Up, qt.Qt.ControlModifier)
    assert labels_of(node) == list(LUMBAR)
    press(shown, qt.Qt.Key_Z)
    assert labels_of(node)[0] == "T12"
    press(shown, qt.Qt.Key_Y)
    assert labels_of(node) == list(LUMBAR)


def test_the_keyboard_is_given_back_when_another_module_is_opened(shown, node):
    shown.parent.exit()
    press(shown, qt.Qt.Key_Down, qt.Qt.ControlModifier)
    assert labels_of(node) == list(LUMBAR)


def test_delete_and_lock_work_in_the_table_only(shown, node):
    select_rows(shown, 0)
    shown.ui.logCheckBox.setFocus()
    press(shown, qt.Qt.Key_Delete, at=shown.ui.logCheckBox)
    assert labels_of(node) == list(LUMBAR)
    shown.ui.pointsTable.setFocus()
    press(shown, qt.Qt.Key_L, at=shown.ui.pointsTable)
    assert locked(node)[0]
    press(shown, qt.Qt.Key_L, at=shown.ui.pointsTable)
    assert not locked(node)[0]
    press(shown, qt.Qt.Key_Delete, at=shown.ui.pointsTable)
    assert labels_of(node) == list(LUMBAR[1:])


def test_typing_in_a_field_is_no_shortcut(shown, node):
    shown.ui.shiftUpButton.click()
    shown.ui.advancedCollapsibleButton.setProperty("collapsed", False)
    field = shown.ui.modelAddressEdit
    field.setFocus()
    press(shown, qt.Qt.Key_Z, at=field)
    assert field.text == "z"
    assert labels_of(node)[0] == "T10"
