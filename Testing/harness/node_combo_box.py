"""Stand-in for qMRMLNodeComboBox: the nodes of the scene in a real combo box, with its rules for the current node."""

from __future__ import annotations

from typing import ClassVar

import qt
import vtk
from PySide6.QtCore import Property, Signal

from harness.widgets import StandIn

NODE = int(qt.Qt.UserRole)
ACTION = NODE + 1
ACTIONS = {"rename": "Rename current {}", "add": "Create new {}", "remove": "Delete current {}"}


class qMRMLNodeComboBox(StandIn, qt.QWidget):
    """As in Slicer: off until it has a scene; without "None" the first node that appears becomes the current one."""

    currentNodeChanged = Signal(object)
    _current_node_valid = Signal(bool)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAddedByUserAction = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    currentNodeRenamed = Signal(str)
    SIGNALS: ClassVar = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "_current_node_valid",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeAddedByUserAction(vtkMRMLNode*)": "nodeAddedByUserAction",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
    }

    def __init__(self, parent=None):
        super().__init__(*([parent] if parent else []))
        self._scene, self._observations, self._node_observations, self._shown = None, [], [], None
        self._types, self._base_names, self._none_display, self._show_child_types = [], {}, "None", True
        self._hidden_types, self._attributes, self._show_hidden = [], [], False
        self._enabled = {"none": False, "add": True, "remove": True, "rename": False, "edit": False}
        self._combo_box = qt.QComboBox()
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box)
        self._combo_box.currentIndexChanged.connect(lambda index: self._announce())
        self._combo_box.activated.connect(self._activate)
        self.destroyed.connect(_remove_observers(self._observations, self._node_observations))
        self.setEnabled(False)

    # scene

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        if scene is self._scene:
            return
        self._unobserve(self._observations)
        self._scene = scene
        if scene is not None:
            for event, callback in (
                (scene.NodeAddedEvent, self._on_node_added),
                (scene.NodeAboutToBeRemovedEvent, self._on_node_about_to_be_removed),
                (scene.NodeRemovedEvent, lambda *_: self._update()),
                (scene.EndBatchProcessEvent, lambda *_: self._update()),
            ):
                self._observations.append((scene, scene.AddObserver(event, callback)))
        self._update()
        self.setEnabled(scene is not None)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_added(self, scene, event, node):
        if self._is_listed(node) and not scene.IsBatchProcessing():
            self._update()
            self.nodeAdded.emit(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_about_to_be_removed(self, scene, event, node):
        if self._is_listed(node):
            self.nodeAboutToBeRemoved.emit(node)

    def _is_listed(self, node) -> bool:
        if node.GetHideFromEditors() and not self._show_hidden:
            return False
        listed = any(
            node.IsA(name) if self._show_child_types else node.GetClassName() == name for name in self._types
        ) and not any(node.IsA(name) for name in self._hidden_types)
        return listed and all(
            node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name))
            for node_type, name, value in self._attributes
            if node.IsA(node_type)
        )

    def _nodes(self) -> list:
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes()))
        return [node for node in nodes if self._is_listed(node)]

    def _unobserve(self, observations: list) -> None:
        for subject, tag in observations:
            subject.RemoveObserver(tag)
        observations.clear()

    # the list

    def _update(self) -> None:
        """Fill the list again; the current node stays, else its place in the list, else the last node."""
        if self._scene is not None and self._scene.IsBatchProcessing():
            return
        nodes, before, place = self._nodes(), self._shown, self._combo_box.currentIndex
        self._unobserve(self._node_observations)
        self._combo_box.blockSignals(True)
        self._combo_box.clear()
        if self._enabled["none"]:
            self._combo_box.addItem(self._none_display, "")
        for node in nodes:
            self._combo_box.addItem(node.GetName(), node.GetID())
            tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._on_node_modified())
            self._node_observations.append((node, tag))
        self._add_actions()
        names = [node.GetID() for node in nodes]
        if before in names:
            row = names.index(before)
        elif before or not self._enabled["none"]:
            row = min(max(place - self._enabled["none"], 0), len(nodes) - 1)
        else:
            row = -1
        self._combo_box.setCurrentIndex(row + self._enabled["none"])
        self._combo_box.blockSignals(False)
        if (self._current_id() or "") != (before or ""):
            self._announce()

    def _on_node_modified(self) -> None:
        """Show new names; a new name of the current node announces it again, as in Slicer."""
        name = self._combo_box.currentText
        shown = [self._combo_box.itemText(row) for row in range(self._combo_box.count)]
        wanted = [node.GetName() for node in self._nodes()]
        first = int(self._enabled["none"])
        if shown[first : first + len(wanted)] != wanted or self._current_id() not in ["", *self._ids()]:
            self._update()
            if self._combo_box.currentText != name:
                self._announce()

    def _ids(self) -> list[str]:
        return [node.GetID() for node in self._nodes()]

    def _add_actions(self) -> None:
        if self._scene is None:
            return
        label = self.nodeTypeLabel(self._types[0] if len(self._types) == 1 else "")
        for action, text in ACTIONS.items():
            for node_type in self._types if action == "add" else [""]:
                if self._enabled[action]:
                    self._combo_box.addItem(text.format(self.nodeTypeLabel(node_type) if node_type else label), "")
                    self._combo_box.setItemData(self._combo_box.count - 1, f"{action}/{node_type}", ACTION)

    def _current_id(self) -> str:
        return self._combo_box.itemData(self._combo_box.currentIndex, NODE) or ""

    def _announce(self) -> None:
        if self._combo_box.itemData(self._combo_box.currentIndex, ACTION):
            return
        node = self.currentNode()
        self._shown = self._current_id()
        self.currentNodeChanged.emit(node)
        self._current_node_valid.emit(node is not None)
        self.currentNodeIDChanged.emit(self._shown)

    def _activate(self, row: int) -> None:
        """The user chose an entry: a node, "None", or one of the actions below."""
        action, _, node_type = (self._combo_box.itemData(row, ACTION) or "").partition("/")
        if not action:
            self.nodeActivated.emit(self.currentNode())
            return
        self.setCurrentNodeID(self._shown or "")
        if action == "add":
            node = self.addNode(node_type)
            self.nodeAddedByUserAction.emit(node)
        elif action == "remove":
            self.removeCurrentNode()
        else:
            self.renameCurrentNode()

    # nodes

    def currentNode(self):
        return self._scene.GetNodeByID(self._current_id()) if self._scene and self._current_id() else None

    def setCurrentNode(self, node):
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, nodeID):
        row = self._combo_box.findData(nodeID, NODE) if nodeID else -1
        self._combo_box.setCurrentIndex(row if row >= 0 else int(self._enabled["none"]) - 1)

    def setCurrentNodeIndex(self, index):
        nodes = self._nodes()
        self.setCurrentNode(nodes[index] if 0 <= index < len(nodes) else None)

    def addNode(self, nodeType=None):
        """A new node of the (first) type, named after `baseName`, which becomes the current one."""
        node_type = nodeType or self._types[0]
        base_name = self._base_names.get(node_type) or self.nodeTypeLabel(node_type)
        node = self._scene.AddNewNodeByClass(node_type, self._scene.GenerateUniqueName(base_name))
        for attributed_type, name, value in self._attributes:
            if attributed_type == node_type:
                node.SetAttribute(name, value)
        self._update()
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self):
        if self.currentNode():
            self._scene.RemoveNode(self.currentNode())

    def renameCurrentNode(self):
        raise NotImplementedError("the harness opens no dialog; tests rename the node itself")

    def addAttribute(self, nodeType, name, value=None):
        self._attributes.append((nodeType, name, value))
        self._update()

    def nodeTypeLabel(self, nodeType):
        label = self._scene.GetTypeDisplayNameByClassName(nodeType) if self._scene and nodeType else ""
        return label or "node"

    def _set_base_name(self, baseName, nodeType=""):
        for name in [nodeType] if nodeType else self._types:
            self._base_names[name] = baseName

    # properties, whose setters are no slots in Slicer, so that Python cannot call them

    def _set_node_types(self, nodeTypes):
        self._types = [name for name in nodeTypes if name]
        self._update()

    def _set_hide_child_node_types(self, nodeTypes):
        self._hidden_types = list(nodeTypes)
        self._update()

    def _set_show_child_node_types(self, show):
        self._show_child_types = show
        self._update()

    def _set_show_hidden(self, show):
        self._show_hidden = show
        self._update()

    def _set_none_display(self, text):
        self._none_display = text
        self._update()

    def _set_none_enabled(self, enable):
        self._enable("none", enable)

    def _set_add_enabled(self, enable):
        self._enable("add", enable)

    def _set_remove_enabled(self, enable):
        self._enable("remove", enable)

    def _set_rename_enabled(self, enable):
        self._enable("rename", enable)

    def _set_edit_enabled(self, enable):
        self._enable("edit", enable)

    def _enable(self, what: str, enable: bool) -> None:
        if self._enabled[what] != bool(enable):
            self._enabled[what] = bool(enable)
            self._update()

    nodeTypes = Property("QStringList", lambda self: self._types, _set_node_types)
    hideChildNodeTypes = Property("QStringList", lambda self: self._hidden_types, _set_hide_child_node_types)
    showChildNodeTypes = Property(bool, lambda self: self._show_child_types, _set_show_child_node_types)
    showHidden = Property(bool, lambda self: self._show_hidden, _set_show_hidden)
    noneDisplay = Property(str, lambda self: self._none_display, _set_none_display)
    noneEnabled = Property(bool, lambda self: self._enabled["none"], _set_none_enabled)
    addEnabled = Property(bool, lambda self: self._enabled["add"], _set_add_enabled)
    removeEnabled = Property(bool, lambda self: self._enabled["remove"], _set_remove_enabled)
    renameEnabled = Property(bool, lambda self: self._enabled["rename"], _set_rename_enabled)
    editEnabled = Property(bool, lambda self: self._enabled["edit"], _set_edit_enabled)
    baseName = Property(str, lambda self: self._base_names.get(next(iter(self._types), ""), ""), _set_base_name)
    currentNodeID = Property(str, lambda self: self._current_id(), setCurrentNodeID)


def _remove_observers(*lists):
    """A slot that knows the lists and not the widget, which is gone when it runs."""

    def remove():
        for observations in lists:
            for subject, tag in observations:
                subject.RemoveObserver(tag)
            observations.clear()

    return remove
