"""The adapter makes PySide6 behave as PythonQt does in Slicer."""

from __future__ import annotations

import pytest
import qt


@pytest.fixture
def panel(scene):
    """A widget with a button, a table of 2 x 3 and a combo box."""
    widget = qt.QWidget()
    layout = qt.QVBoxLayout(widget)
    for child in (qt.QPushButton("Label"), qt.QTableWidget(2, 3), qt.QComboBox()):
        layout.addWidget(child)
    return widget


@pytest.fixture
def button(panel):
    return panel.findChildren(qt.QPushButton)[0]


@pytest.fixture
def table(panel):
    return panel.findChildren(qt.QTableWidget)[0]


def test_qt_properties_are_attributes_and_setters_stay(button, table):
    button.text = "a"
    assert button.text == "a"
    button.setText("b")
    assert (button.text, button.enabled, button.isEnabled()) == ("b", True, True)
    assert (table.rowCount, table.columnCount) == (2, 3)
    button.name = "labelButton"
    assert (button.objectName, button.className()) == ("labelButton", "QPushButton")


def test_calling_a_property_fails(button):
    with pytest.raises(TypeError, match="not callable"):
        button.text()


def test_size_hints_are_properties_of_every_class(button, panel):
    assert button.sizeHint.width() > 0
    assert panel.minimumSizeHint.height() >= button.minimumSizeHint.height()


def test_string_lists_come_as_tuples_as_in_pythonqt(scene):
    dialog = qt.QFileDialog()
    dialog.supportedSchemes = ["file", "http"]
    assert dialog.supportedSchemes == ("file", "http")


def test_a_signal_gives_a_function_as_many_arguments_as_it_has_parameters(button):
    seen = []
    button.connect("clicked(bool)", lambda: seen.append("none"))
    button.connect("clicked(bool)", lambda checked: seen.append(checked))
    button.connect("clicked(bool)", lambda *arguments: seen.append(arguments))
    button.connect("clicked()", lambda *arguments: seen.append(arguments))
    button.click()
    assert seen == ["none", False, (False,), ()]


def test_a_default_argument_is_overwritten_by_the_signal_as_in_pythonqt(button):
    """The trap of `connect("clicked(bool)", lambda index=3: ...)`."""
    seen = []
    button.connect("clicked(bool)", lambda index=3: seen.append(index))
    button.click()
    assert seen == [False]


def test_disconnect_ends_one_connection(button):
    seen = []

    class Listener:
        def hear(self):
            seen.append("heard")

    listener = Listener()
    button.connect("clicked()", listener.hear)
    assert button.disconnect("clicked()", listener.hear)
    assert not button.disconnect("clicked()", listener.hear)
    button.click()
    assert seen == []


@pytest.mark.parametrize("signal", ["clicked(int)", "pressed(bool)", "nope()"])
def test_a_signal_that_does_not_exist_is_an_error(button, signal):
    with pytest.raises(ValueError, match="has no signal"):
        button.connect(signal, print)


def test_new_attributes_and_keyword_arguments_are_refused(button):
    with pytest.raises(AttributeError, match="creating new attributes on C\\+\\+ objects"):
        button.remark = 1
    with pytest.raises(AttributeError):
        button.setText = print
    with pytest.raises(TypeError, match="keyword"):
        qt.QPushButton(text="x")


def test_a_subclass_made_in_python_may_have_attributes(scene):
    class Mine(qt.QWidget):
        def __init__(self):
            super().__init__()
            self.remark = 1

    mine = Mine()
    seen = []
    mine.connect("destroyed()", lambda: seen.append(mine.remark))
    assert mine.remark == 1


def test_objects_that_qt_made_connect_too_and_are_instances_of_our_classes(table):
    seen = []
    table.horizontalHeader().connect("sectionClicked(int)", print)
    table.selectionModel().connect("selectionChanged(QItemSelection,QItemSelection)", lambda new, old: seen.append(new))
    table.selectRow(1)
    assert len(seen) == 1
    assert isinstance(table.horizontalHeader(), qt.QHeaderView)
    assert not isinstance(table.horizontalHeader(), qt.QPushButton)


def test_timers_and_shortcuts(panel):
    seen = []
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.connect("timeout()", lambda: seen.append("timer"))
    timer.start(0)
    qt.QTimer.singleShot(0, lambda: seen.append("shot"))
    shortcut = qt.QShortcut(qt.QKeySequence("Ctrl+Down"), panel)
    shortcut.connect("activated()", lambda: seen.append("key"))
    shortcut.activated.emit()
    for _ in range(3):
        qt.QApplication.processEvents()
    assert sorted(seen) == ["key", "shot", "timer"]
