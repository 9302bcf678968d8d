"""Slicer module VertebraLabeling: for now a panel that names the command which labels the chosen CT."""

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
            "This version labels on the command line; the panel shows the command for the chosen CT. "
            "Research use only, not a medical device."
        )
        self.parent.acknowledgementText = _(
            "Methods: Qin et al. (IEEE TNNLS 2021), Wu et al. (MICCAI 2023), Noothout et al. (IEEE TMI 2020)."
        )


class VertebraLabelingWidget(ScriptedLoadableModuleWidget):
    """The panel."""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/VertebraLabeling.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = VertebraLabelingLogic()
        self.ui.inputSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onInputChanged)
        self.onInputChanged(self.ui.inputSelector.currentNode())

    def onInputChanged(self, volumeNode):
        """Show the command for the chosen CT."""
        self.ui.commandLineEdit.setText(self.logic.command(volumeNode) if volumeNode else "")


class VertebraLabelingLogic(ScriptedLoadableModuleLogic):
    """What the panel needs to know of a volume."""

    def command(self, volumeNode):
        """Shell command that labels the file from which `volumeNode` was loaded; empty when it has no file."""
        storageNode = volumeNode.GetStorageNode()
        fileName = storageNode.GetFileName() if storageNode else None
        if not fileName:
            return ""
        stem = fileName.removesuffix(".gz").rpartition(".")[0] or fileName
        return f'vertebra-labeling label "{fileName}" --output "{stem}.mrk.json"'


class VertebraLabelingTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer (Reload and Test) and as a ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_commandNamesTheFile()

    def test_commandNamesTheFile(self):
        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
        logic = VertebraLabelingLogic()
        self.assertEqual(logic.command(volumeNode), "")
        volumeNode.AddDefaultStorageNode("/data/one scan.nii.gz")
        self.assertEqual(
            logic.command(volumeNode),
            'vertebra-labeling label "/data/one scan.nii.gz" --output "/data/one scan.mrk.json"',
        )
