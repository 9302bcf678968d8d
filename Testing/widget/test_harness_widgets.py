"""The stand-ins for Slicer's and CTK's widgets: forms, the node selector, the collapsible sections."""

from __future__ import annotations

import ctk
import pytest
import qt
import slicer

FORM = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Sample</class>
 <widget class="qMRMLWidget" name="Sample">
  <layout class="QVBoxLayout" name="layout">
   <item><widget class="ctkCollapsibleButton" name="section">
     <property name="text"><string>Input</string></property>
     <layout class="QFormLayout" name="form">
      <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="selector">
        <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
        <property name="noneEnabled"><bool>true</bool></property>
        <property name="addEnabled"><bool>false</bool></property>
      </widget></item>
      <item row="1" column="1"><widget class="ctkPathLineEdit" name="pathLine">
        <property name="filters"><set>ctkPathLineEdit::Files|ctkPathLineEdit::Readable</set></property>
      </widget></item>
     </layout>
   </widget></item>
   <item><widget class="QPushButton" name="button">
     <property name="text"><string>Label</string></property>
   </widget></item>
  </layout>
 </widget>
 <customwidgets>
  <customwidget><class>qMRMLWidget</class><extends>QWidget</extends><container>1</container></customwidget>
  <customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends></customwidget>
  <customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends><container>1</container></customwidget>
  <customwidget><class>ctkPathLineEdit</class><extends>QWidget</extends></customwidget>
 </customwidgets>
 <connections><connection>
  <sender>Sample</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
  <receiver>selector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot>
 </connection></connections>
</ui>
"""


@pytest.fixture
def form(scene, tmp_path):
    path = tmp_path / "Sample.ui"
    path.write_text(FORM)
    return slicer.util.loadUI(str(path))


@pytest.fixture
def ui(form):
    return slicer.util.childWidgetVariables(form)


def volume(name="CT"):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


def heard(widget, signal):
    """What `signal` of `widget` gives from now on."""
    values = []
    widget.connect(signal, lambda value: values.append(value))
    return values


def listed(selector):
    """Names of the nodes that can be chosen."""
    box = selector.findChild(qt.QComboBox)
    return [box.itemText(row) for row in range(box.count) if box.itemData(row)]


@pytest.fixture
def selector(scene):
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.noneEnabled = True
    box.setMRMLScene(scene)
    return box


def test_a_form_makes_our_classes_with_their_properties(ui):
    assert isinstance(ui.selector, slicer.qMRMLNodeComboBox)
    assert (ui.selector.nodeTypes, ui.selector.noneEnabled, ui.selector.addEnabled) == (
        ["vtkMRMLScalarVolumeNode"],
        True,
        False,
    )
    assert isinstance(ui.button, qt.QPushButton)
    assert (ui.button.text, ui.section.text) == ("Label", "Input")
    assert ui.pathLine.filters == ctk.ctkPathLineEdit.Files | ctk.ctkPathLineEdit.Readable


def test_a_form_hands_the_scene_on(form, ui, scene):
    assert not ui.selector.enabled
    form.setMRMLScene(scene)
    assert ui.selector.enabled
    assert ui.selector.mrmlScene() is scene


def test_a_form_with_a_class_nobody_imitates_is_an_error(scene, tmp_path):
    path = tmp_path / "Sample.ui"
    without_flags = FORM.replace("<set>", "<string>").replace("</set>", "</string>")
    path.write_text(without_flags.replace("ctkPathLineEdit", "ctkDirectoryButton"))
    with pytest.raises(NotImplementedError, match="ctkDirectoryButton"):
        slicer.util.loadUI(str(path))


def test_the_selector_lists_nodes_and_keeps_the_choice(selector):
    first, second = volume("a"), volume("b")
    assert selector.currentNode() is None
    assert listed(selector) == ["a", "b"]
    selector.setCurrentNode(second)
    slicer.mrmlScene.RemoveNode(first)
    assert selector.currentNode() is second


def test_the_selector_announces_the_current_node(selector):
    nodes, valid, ids = (
        heard(selector, signal)
        for signal in ("currentNodeChanged(vtkMRMLNode*)", "currentNodeChanged(bool)", "currentNodeIDChanged(QString)")
    )
    node = volume()
    selector.setCurrentNode(node)
    selector.setCurrentNode(None)
    assert nodes == [node, None]
    assert valid == [True, False]
    assert ids == [node.GetID(), ""]


def test_the_selector_follows_a_new_name_and_tells(selector):
    node = volume()
    selector.setCurrentNode(node)
    nodes = heard(selector, "currentNodeChanged(vtkMRMLNode*)")
    node.SetName("other")
    assert selector.findChild(qt.QComboBox).currentText == "other"
    assert nodes == [node]


def test_without_none_the_first_node_becomes_the_current_one(scene):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(scene)
    nodes = heard(selector, "currentNodeChanged(vtkMRMLNode*)")
    node = volume()
    volume("second")
    assert nodes == [node]


def test_when_the_current_node_goes_another_or_none_follows(selector):
    first, second = volume("a"), volume("b")
    selector.setCurrentNode(first)
    nodes = heard(selector, "currentNodeChanged(vtkMRMLNode*)")
    slicer.mrmlScene.RemoveNode(first)
    assert nodes == [second]
    slicer.mrmlScene.RemoveNode(second)
    assert nodes == [second, None]


def test_closing_the_scene_leaves_no_current_node(selector):
    node = volume()
    selector.setCurrentNode(node)
    nodes = heard(selector, "currentNodeChanged(vtkMRMLNode*)")
    slicer.mrmlScene.Clear(0)
    assert nodes == [None]
    assert listed(selector) == []


def test_hidden_nodes_and_excluded_types_are_not_listed(selector):
    volume("hidden").SetHideFromEditors(True)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert len(listed(selector)) == 1
    selector.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    assert listed(selector) == []


def test_the_user_creates_and_deletes_a_node(selector):
    selector.baseName = "vertebrae"
    added = heard(selector, "nodeAddedByUser(vtkMRMLNode*)")
    box = selector.findChild(qt.QComboBox)
    texts = [box.itemText(row) for row in range(box.count)]
    assert texts == ["None", "Create new Volume", "Delete current Volume"]
    box.setCurrentIndex(1)
    box.activated.emit(1)
    assert [node.GetName() for node in added] == ["vertebrae"]
    assert selector.currentNode() is added[0]
    row = box.findText("Delete current Volume")
    box.setCurrentIndex(row)
    box.activated.emit(row)
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []


def test_a_section_hides_what_is_in_it_and_remembers_what_was_hidden(scene):
    section = ctk.ctkCollapsibleButton("Advanced")
    layout = qt.QVBoxLayout(section)
    shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden")
    for label in (shown, hidden):
        layout.addWidget(label)
    hidden.setVisible(False)
    section.show()
    states = heard(section, "contentsCollapsed(bool)")
    section.collapsed = True
    assert (shown.visible, hidden.visible) == (False, False)
    section.collapsed = False
    assert (shown.visible, hidden.visible) == (True, False)
    assert states == [True, False]


def test_what_is_shown_in_a_collapsed_section_waits_until_it_opens(scene):
    section = ctk.ctkCollapsibleButton("Result")
    layout = qt.QVBoxLayout(section)
    progress = qt.QProgressBar()
    layout.addWidget(progress)
    progress.setVisible(False)
    section.show()
    section.collapsed = True
    progress.setVisible(True)
    assert not progress.visible
    section.collapsed = False
    assert progress.visible


def test_a_section_is_as_high_as_its_contents_and_its_header(scene):
    section = ctk.ctkCollapsibleButton("Result")
    closed = section.sizeHint().height()
    layout = qt.QVBoxLayout(section)
    layout.addWidget(qt.QPushButton("Label"))
    assert section.sizeHint().height() >= closed + layout.sizeHint().height()


def test_the_line_for_a_path(scene):
    line = ctk.ctkPathLineEdit()
    paths = heard(line, "currentPathChanged(QString)")
    line.currentPath = "/data/model.npz"
    assert line.currentPath == "/data/model.npz"
    assert paths == ["/data/model.npz"]


def test_stand_ins_take_no_new_attributes(scene):
    with pytest.raises(AttributeError, match="creating new attributes"):
        ctk.ctkPathLineEdit().remark = 1
