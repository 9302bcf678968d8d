"""Slicer module VertebraLabeling: names the vertebrae in a CT.  Everything of weight is in VertebraLabelingLib."""

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class VertebraLabeling(ScriptedLoadableModule):
    """Metadata of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Vertebra Labeling")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        self.parent.dependencies = []
        self.parent.contributors = ["VertebraLabeling contributors"]
        self.parent.helpText = _(
            "Names the vertebrae in a CT: one labelled point (C1 to S2) in the centre of every visible vertebral body. "
            "Choose a CT, click <i>Label vertebrae</i>, look at the points marked as uncertain, and correct what is "
            "wrong: the whole column by one level with one click, a single point by dragging it. "
            "Nothing leaves this computer. Research use only, not a medical device."
        )
        self.parent.acknowledgementText = _(
            "Methods: Qin et al. (IEEE TNNLS 2021), Wu et al. (MICCAI 2023), Noothout et al. (IEEE TMI 2020)."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer a phantom in the module Sample Data."""
    from VertebraLabelingLib.app.sample_data import register

    register()


class VertebraLabelingWidget(ScriptedLoadableModuleWidget):
    """The panel."""

    session = panel = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/VertebraLabeling.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        from VertebraLabelingLib.app.dialogs import Dialogs
        from VertebraLabelingLib.app.panel.panel import Panel

        self.logic, dialogs = VertebraLabelingLogic(), Dialogs()
        self.session = self.logic.newSession(dialogs.ask)
        self.panel = Panel(self.ui, self.session, slicer.util.mainWindow() or self.parent, dialogs)

    def enter(self):
        self.panel.open()

    def exit(self):
        if self.panel is not None:
            self.panel.leave()

    def cleanup(self):
        """The module is unloaded or Slicer ends: a run ends with it."""
        if self.panel is not None:
            self.panel.close()
            self.session.close()
            self.panel = self.session = None

    def onReload(self):
        """Developer tool: read the library's files again, too."""
        import sys

        self.cleanup()
        for name in [name for name in sys.modules if name.partition(".")[0] == "VertebraLabelingLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class VertebraLabelingLogic(ScriptedLoadableModuleLogic):
    """Labelling without a panel, for scripts."""

    def newSession(self, ask=lambda question: True):
        """What a panel or a script drives; `ask(question)` answers whether something may be replaced."""
        from VertebraLabelingLib.app.session import Session

        return Session(slicer.mrmlScene, ask=ask)

    def process(self, volumeNode, roiNode=None, **options):
        """Label a CT and wait for the end; returns a new vtkMRMLMarkupsFiducialNode with the named points.

        options: method, engine, device, refine, model_file.  RuntimeError with the reason when nothing was labelled.
        """
        from VertebraLabelingLib.app.scripting import label_and_wait

        return label_and_wait(self.newSession(), volumeNode, roiNode, **options)


class VertebraLabelingTest(ScriptedLoadableModuleTest):
    """Runs in Slicer (Reload and Test, ctest, Testing/slicer/selftest.py) and in the harness; needs no network."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            self.setUp()
            getattr(self, name)()

    def test_corrections(self):
        """A column that is one level off is put right, and back."""
        session, node = VertebraLabelingLogic().newSession(), self.points("T12", "L1", "L2")
        session.set_points_node(node)
        self.assertTrue(session.shift(1))
        self.assertEqual(self.labels(node), ["L1", "L2", "L3"])
        self.assertTrue(session.undo())
        self.assertEqual(self.labels(node), ["T12", "L1", "L2"])
        session.close()

    def test_panel(self):
        """The table follows the points, and its buttons change them."""
        node, widget = self.points("L1", "L2"), slicer.util.getModuleWidget("VertebraLabeling")
        widget.ui.pointsSelector.setCurrentNode(node)
        self.assertEqual(widget.ui.pointsTable.rowCount, 2)
        widget.ui.shiftUpButton.click()
        self.assertEqual(self.labels(node), ["T12", "L1"])
        widget.ui.undoButton.click()
        self.assertEqual(self.labels(node), ["L1", "L2"])

    def test_refusal(self):
        """Without a CT nothing can start, and the button says why."""
        widget = slicer.util.getModuleWidget("VertebraLabeling")
        widget.ui.inputSelector.setCurrentNode(None)
        self.assertFalse(widget.ui.labelButton.enabled)
        self.assertIn(widget.session.refusal or "a sentence", widget.ui.labelButton.toolTip)
        with self.assertRaises(RuntimeError):
            VertebraLabelingLogic().process(None)

    def points(self, *labels):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Test")
        for index, label in enumerate(labels):
            node.AddControlPoint([0.0, 0.0, -35.0 * index], label)
        return node

    def labels(self, node):
        return [node.GetNthControlPointLabel(index) for index in range(node.GetNumberOfControlPoints())]
