"""Stand-in for `slicer.app`: a real QApplication with the Slicer names that Python code uses."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import qt
from PySide6.QtCore import Property, Signal

from harness.io import CoreIOManager
from harness.layout import LayoutManager
from harness.modules import ModuleManager
from harness.signals import disconnect_all


class Application(qt.QApplication):
    """Settings and temporary files live in a folder of their own, which goes when the process ends."""

    startupCompleted = Signal()
    mrmlSceneChanged = Signal(object)
    SIGNALS: ClassVar = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    def __init__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="slicer-harness-"))
        qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
        qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, str(self._folder / "settings"))
        super().__init__(["Slicer"])
        self.setOrganizationName("slicer.org")
        self.setApplicationName("Slicer")
        self.setApplicationVersion(version("slicer-core"))
        self.setQuitOnLastWindowClosed(False)
        self._settings, self._world, self._render_pauses = qt.QSettings(), None, 0
        self._modules, self._layout, self._io = ModuleManager(), LayoutManager(), CoreIOManager()
        self._temporary_path = self._folder / "tmp"
        self._temporary_path.mkdir()

    # the scene

    def _set_world(self, world) -> None:
        """Everything anew: panels of the last test go, then settings and temporary files, then there is a new scene."""
        import slicer

        self._modules._unload_scripted()
        for lasting in (self, self._modules, self._layout):
            disconnect_all(lasting)
        self.sendPostedEvents(None, int(qt.QEvent.DeferredDelete.value))
        self._settings.clear()
        shutil.rmtree(self._temporary_path)
        self._temporary_path.mkdir()
        self._world, slicer.mrmlScene = world, world.scene
        self._modules._set_logics(world.logics)
        self._layout._set_world(world)
        self._io._set_world(world)
        self.mrmlSceneChanged.emit(world.scene)

    def mrmlScene(self):
        return self._world.scene

    def applicationLogic(self):
        return self._world.application_logic

    def layoutManager(self):
        return self._layout

    def moduleManager(self):
        return self._modules

    def coreIOManager(self):
        return self._io

    def ioManager(self):
        return self._io

    # surroundings

    def settings(self):
        return self._settings

    def userSettings(self):
        return self._settings

    def testingEnabled(self):
        return True

    def startupEnvironment(self):
        return qt.QProcessEnvironment.systemEnvironment()

    def moduleDocumentationUrl(self, moduleName):
        return self.documentationBaseUrl + f"user_guide/modules/{moduleName.lower()}.html"

    def setRenderPaused(self, pause):
        self._render_pauses += 1 if pause else -1

    def pauseRender(self):
        self.setRenderPaused(True)

    def resumeRender(self):
        self.setRenderPaused(False)

    temporaryPath = Property(str, lambda self: str(self._temporary_path))
    slicerHome = Property(str, lambda self: str(self._folder))
    documentationBaseUrl = Property(str, lambda self: "https://slicer.readthedocs.io/en/latest/")
