"""Stand-ins for the module manager and for what `slicer.modules.<name>` and a module panel's parent are."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import ClassVar

import qt
from PySide6.QtCore import Property, Signal

from harness.widgets import qMRMLWidget


class Modules:
    """`slicer.modules`: one attribute per loaded module, its name in lower case."""


class LoadableModule:
    """A module written in C++ (qSlicerLoadableModule); its logic is the real one."""

    def __init__(self, name: str, logic):
        self.name, self.title, self._logic = name, name, logic

    def logic(self):
        return self._logic


class qSlicerScriptedLoadableModule:
    """What a scripted module describes itself in (`self.parent` of the module class)."""

    __slots__ = (
        "_widget",
        "acknowledgementText",
        "associatedNodeTypes",
        "categories",
        "contributors",
        "dependencies",
        "helpText",
        "hidden",
        "icon",
        "index",
        "name",
        "path",
        "title",
    )

    def __init__(self, name: str, path: str):
        self.name, self.path = name, path
        self.title, self.helpText, self.acknowledgementText = name, "", ""
        self.categories, self.dependencies, self.contributors = [], [], []
        self.icon, self.hidden, self.index, self.associatedNodeTypes = qt.QIcon(), False, -1, []
        self._widget = None

    def widgetRepresentation(self):
        return self._widget


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The panel's frame (`self.parent` of the widget class)."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._python_instance, self._entered = None, False

    def self(self):
        return self._python_instance

    def enter(self):
        self._entered = True
        getattr(self._python_instance, "enter", lambda: None)()

    def exit(self):
        self._entered = False
        getattr(self._python_instance, "exit", lambda: None)()

    isEntered = Property(bool, lambda self: self._entered)


class ModuleManager(qt.QObject):
    """`slicer.app.moduleManager()`."""

    moduleLoaded = Signal(str)
    moduleAboutToBeUnloaded = Signal(str)
    SIGNALS: ClassVar = {
        "moduleLoaded(QString)": "moduleLoaded",
        "moduleAboutToBeUnloaded(QString)": "moduleAboutToBeUnloaded",
    }

    def __init__(self):
        super().__init__()
        self._modules = {}

    def modulesNames(self):
        return tuple(self._modules)

    def module(self, name):
        return self._modules.get(name)

    def _add(self, module) -> None:
        import slicer

        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)
        self.moduleLoaded.emit(module.name)

    def _set_logics(self, logics: dict) -> None:
        for name, logic in logics.items():
            self._add(LoadableModule(name, logic))

    def _unload_scripted(self) -> None:
        """Take scripted modules away as Slicer does when it quits: panels clean up, then all is deleted."""
        import slicer

        scripted = [name for name, module in self._modules.items() if hasattr(module, "_widget")]
        for name in scripted:
            self.moduleAboutToBeUnloaded.emit(name)
            module = self._modules.pop(name)
            delattr(slicer.modules, name.lower())
            vars(slicer.modules).pop(f"{name}Widget", None)
            if module._widget is not None:
                module._widget.close()
                module._widget.deleteLater()


def load(path: Path):
    """Import the module file and make its panel, in Slicer's order; the Python module and the widget object."""
    import slicer

    name = path.stem
    python_module = _imported(name, path)
    module = qSlicerScriptedLoadableModule(name, str(path))
    getattr(python_module, name)(module)
    slicer.app.moduleManager()._add(module)
    frame = module._widget = qSlicerScriptedLoadableModuleWidget()
    frame.setLayout(qt.QVBoxLayout())
    frame.setMRMLScene(slicer.mrmlScene)
    widget = frame._python_instance = getattr(python_module, f"{name}Widget")(frame)
    setattr(slicer.modules, f"{name}Widget", widget)
    widget.setup()
    return python_module, widget


def _imported(name: str, path: Path):
    """A fresh import of the file, with its folder on the path, where Slicer puts it."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    specification = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(sys.modules[name])
    return sys.modules[name]
