"""The harness as an application: one test sees nothing of another, files go through `slicer.util`, modules load."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import numpy as np
import pytest
import qt
import slicer
from harness import boot, modules

MODULE = """
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *

EVENTS = []

class Sample(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Sample")

class SampleWidget(ScriptedLoadableModuleWidget):
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        EVENTS.append("setup")
    def enter(self):
        EVENTS.append("enter")
    def exit(self):
        EVENTS.append("exit")
    def cleanup(self):
        EVENTS.append("cleanup")

class SampleLogic(ScriptedLoadableModuleLogic):
    pass

class SampleTest(ScriptedLoadableModuleTest):
    def runTest(self):
        EVENTS.append("test")
"""


@pytest.fixture
def sample(scene, tmp_path):
    """The Python module and the panel of a module file as Slicer would find it."""
    path = tmp_path / "Sample.py"
    path.write_text(MODULE)
    yield modules.load(path)
    sys.modules.pop("Sample", None)


def test_every_test_starts_with_an_empty_scene_and_fresh_settings(scene):
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer.app.userSettings().setValue("VertebraLabeling/Engine", "onnx")
    before = slicer.mrmlScene
    boot.fresh_scene()
    assert slicer.mrmlScene is not before
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert slicer.app.applicationLogic().GetMRMLScene() is slicer.mrmlScene
    assert slicer.util.settingsValue("VertebraLabeling/Engine", "none") == "none"


def test_what_a_test_connects_to_the_application_ends_with_it(scene):
    heard = []
    slicer.app.connect("startupCompleted()", lambda: heard.append("startup"))
    slicer.app.connect("mrmlSceneChanged(vtkMRMLScene*)", heard.append)
    slicer.app.startupCompleted.emit()
    assert heard == ["startup"]
    boot.fresh_scene()
    slicer.app.startupCompleted.emit()
    assert heard == ["startup"]


def test_settings_are_files_of_the_harness(scene):
    assert slicer.app.slicerHome in qt.QSettings().fileName()
    assert slicer.app.slicerHome in slicer.app.temporaryPath


def test_jumping_moves_every_slice_view(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.AddControlPoint([1.0, 2.0, 3.0], "T1")
    slicer.modules.markups.logic().JumpSlicesToNthPointInMarkup(node.GetID(), 0, True)
    for name in slicer.app.layoutManager().sliceViewNames():
        matrix = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode().GetSliceToRAS()
        assert [matrix.GetElement(row, 3) for row in range(3)] == [1.0, 2.0, 3.0]


def test_a_module_lives_as_in_slicer(sample):
    module, widget = sample
    assert slicer.util.getModuleWidget("Sample") is widget
    assert slicer.modules.sample.title == "Sample"
    assert widget.resourcePath("a.ui").endswith("Resources/a.ui")
    assert not widget.parent.isEntered
    widget.parent.enter()
    assert widget.parent.isEntered
    widget.parent.exit()
    slicer.selfTests["Sample"]()
    boot.fresh_scene()
    assert module.EVENTS == ["setup", "enter", "exit", "test", "cleanup"]
    assert not hasattr(slicer.modules, "sample")


def test_the_parameter_node_of_a_module_is_one(sample):
    logic = sample[0].SampleLogic()
    node = logic.getParameterNode()
    assert logic.getParameterNode() is node
    assert node.GetSingletonTag() == "Sample"


def test_markups_are_saved_and_loaded(scene, tmp_path):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    node.AddControlPoint([1.0, 2.0, 3.0], "T1")
    path = tmp_path / "points.mrk.json"
    assert slicer.util.saveNode(node, str(path))
    loaded = slicer.util.loadMarkups(str(path))
    assert loaded.GetNthControlPointPosition(0) == (1.0, 2.0, 3.0)


def test_volumes_are_saved_and_loaded(scene, tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    node = slicer.util.addVolumeFromArray(array, np.diag([1.0, 2.0, 3.0, 1.0]), "CT")
    assert slicer.util.saveNode(node, str(tmp_path / "ct.nrrd"))
    loaded = slicer.util.loadVolume(str(tmp_path / "ct.nrrd"))
    assert (slicer.util.arrayFromVolume(loaded) == array).all()
    assert loaded.GetSpacing() == (1.0, 2.0, 3.0)


def test_scenes_are_saved_and_loaded(scene, tmp_path):
    scene.AddNewNodeByClass("vtkMRMLTextNode", "note").SetText("C1")
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    boot.fresh_scene()
    assert slicer.util.loadScene(str(tmp_path / "scene.mrml"))
    assert slicer.util.getNode("note").GetText() == "C1"


def test_a_child_process_is_started_and_heard_without_blocking(scene):
    """The real slicer.util.launchConsoleProcess: its timer runs in our event loop."""
    lines, codes = [], []
    slicer.util.launchConsoleProcess(
        [sys.executable, "-c", "print('C1'); raise SystemExit(4)"],
        useStartupEnvironment=False,
        blocking=False,
        logCallback=lines.append,
        completedCallback=codes.append,
    )
    clock = qt.QElapsedTimer()
    clock.start()
    while not codes and clock.elapsed() < 30_000:
        slicer.app.processEvents()
    assert [line.strip() for line in lines] == ["C1"]
    assert codes == [4]


def test_the_startup_environment_can_be_given_to_a_child(scene):
    assert slicer.util.startupEnvironment()["PATH"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal")
def test_none_survives_many_calls_of_qt(scene):
    button = qt.QPushButton()
    for _ in range(20_000):
        button.setEnabled(True)
    gc.collect()
    assert sys.getrefcount(None) > 1 << 30


def test_slicers_own_files_can_take_the_place_of_ours(tmp_path):
    (tmp_path / "i18n.py").write_text("def tr(text):\n    return text.upper()\n")
    (tmp_path / "ScriptedLoadableModule.py").write_text("from slicer.i18n import tr\nOWN = tr('own')\n")
    code = (
        "from harness import boot; boot.boot(); import slicer; from slicer.i18n import tr; "
        "print(tr('c1'), slicer.ScriptedLoadableModule.OWN)"
    )
    environment = {**os.environ, "SLICER_PY": str(tmp_path), "PYTHONPATH": str(boot.TESTING)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["C1", "OWN"], run.stderr
