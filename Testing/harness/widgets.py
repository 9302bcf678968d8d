"""Stand-ins for the custom widgets of Slicer and CTK that a panel uses: real Qt widgets with the names of api.json."""

from __future__ import annotations

from typing import ClassVar

import qt
from PySide6.QtCore import Property, QEvent, Signal

from harness.refusal import accepts_attribute


class StandIn:
    """Refuses new attributes as the C++ class would; ours begin with an underscore."""

    def __setattr__(self, name, value):
        if name.startswith("_") or accepts_attribute(self, name):
            super().__setattr__(name, value)


class qMRMLWidget(StandIn, qt.QWidget):
    """A widget with a scene, which it hands on to the widgets connected to it."""

    mrmlSceneChanged = Signal(object)
    SIGNALS: ClassVar = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    def __init__(self, parent=None):
        super().__init__(*([parent] if parent else []))
        self._scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class ctkCollapsibleButton(StandIn, qt.QAbstractButton):
    """A header that shows or hides what is laid out below it; what was hidden by itself stays hidden."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *args):
        super().__init__(*(argument for argument in args if isinstance(argument, qt.QWidget)))
        self._hidden_by_us = []
        self.setText(next((argument for argument in args if isinstance(argument, str)), ""))
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.Preferred)
        self.setContentsMargins(0, self._header_height(), 0, 0)
        self.toggled.connect(lambda expanded: self._collapse(not expanded))

    def _get_collapsed(self) -> bool:
        return not self.isChecked()

    def setCollapsed(self, collapsed):
        self.setChecked(not collapsed)

    collapsed = Property(bool, _get_collapsed, setCollapsed)

    def _header_height(self) -> int:
        return self.fontMetrics().height() + 8

    def _contents(self) -> list:
        return [child for child in self.children() if isinstance(child, qt.QWidget)]

    def _collapse(self, collapsed: bool) -> None:
        if collapsed:
            for child in self._contents():
                child.installEventFilter(self)
                if not child.isHidden():
                    self._keep_hidden(child)
        else:
            waiting, self._hidden_by_us = self._hidden_by_us, []
            for child in self._contents():
                child.removeEventFilter(self)
            for child in waiting:
                child.show()
        self.setMaximumHeight(self._header_height() if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def _keep_hidden(self, child) -> None:
        """Hide what is shown again when the section opens."""
        if child not in self._hidden_by_us:
            self._hidden_by_us.append(child)
        child.hide()

    def eventFilter(self, child, event):
        """A child that is shown while we are collapsed waits; one that is hidden twice Qt does not tell of, nor CTK."""
        if event.type() == QEvent.ShowToParent and not self.isChecked():
            self._keep_hidden(child)
        return False

    def childEvent(self, event):
        """As eventFilter, for a child that is laid out while we are collapsed."""
        super().childEvent(event)
        if event.type() == QEvent.ChildPolished and event.child().isWidgetType() and not self.isChecked():
            event.child().installEventFilter(self)
            self._keep_hidden(event.child())

    def hitButton(self, position):
        return position.y() < self._header_height()

    def minimumSizeHint(self):
        return self._with_header(lambda layout: layout.minimumSize()).expandedTo(qt.QSize(120, 0))

    def sizeHint(self):
        return self._with_header(lambda layout: layout.sizeHint()).expandedTo(self.minimumSizeHint())

    def _with_header(self, size_of):
        """Size of the contents with the header above it; a layout does not count the margins of its widget."""
        inner = size_of(self.layout()) if self.layout() and self.isChecked() else qt.QSize(0, 0)
        return qt.QSize(inner.width(), inner.height() + self._header_height())

    def paintEvent(self, event):
        painter = qt.QPainter(self)
        header = qt.QRect(0, 0, self.width, self._header_height())
        painter.fillRect(header, self.palette.color(qt.QPalette.Button).darker(108))
        painter.drawText(header.adjusted(24, 0, 0, 0), int(qt.Qt.AlignVCenter), self.text)
        painter.drawText(header.adjusted(8, 0, 0, 0), int(qt.Qt.AlignVCenter), "▾" if self.isChecked() else "▸")
        painter.end()


class ctkPathLineEdit(StandIn, qt.QWidget):
    """A line for a path with a button that opens a file dialog (not imitated: browsing)."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    SIGNALS: ClassVar = {"currentPathChanged(QString)": "currentPathChanged"}
    Dirs, Files, Drives, NoSymLinks, Readable, Writable, Executable = 1, 2, 4, 8, 16, 32, 64

    def __init__(self, parent=None):
        super().__init__(*([parent] if parent else []))
        self._filters, self._name_filters, self._label, self._setting_key = 7, [], "", ""
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._line, self._button = qt.QLineEdit(), qt.QToolButton()
        self._button.setText("...")
        layout.addWidget(self._line)
        layout.addWidget(self._button)
        self._line.textChanged.connect(self.currentPathChanged)
        self._button.clicked.connect(lambda: self.browse())

    def _get_path(self) -> str:
        return self._line.text

    def setCurrentPath(self, path):
        self._line.setText(path)

    def browse(self):
        raise NotImplementedError("the harness opens no file dialog; tests set currentPath")

    def _get_filters(self) -> int:
        return self._filters

    def setFilters(self, filters):
        self._filters = int(filters)

    def _get_name_filters(self) -> list:
        return self._name_filters

    def setNameFilters(self, name_filters):
        self._name_filters = list(name_filters)

    def _get_setting_key(self) -> str:
        return self._setting_key

    def setSettingKey(self, key):
        self._setting_key = key

    def _get_label(self) -> str:
        return self._label

    def setLabel(self, label):
        self._label = label

    currentPath = Property(str, _get_path, setCurrentPath)
    filters = Property(int, _get_filters, setFilters)
    nameFilters = Property("QStringList", _get_name_filters, setNameFilters)
    settingKey = Property(str, _get_setting_key, setSettingKey)
    label = Property(str, _get_label, setLabel)
