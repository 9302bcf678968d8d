"""Runs in the Slicer application only (`unittest`, no pytest): the module loads and its panel answers."""

import unittest

import slicer


class VertebraLabelingModuleTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        self.widget = slicer.util.getModuleWidget("VertebraLabeling")

    def test_the_panel_shows_the_command_for_the_chosen_volume(self):
        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
        volumeNode.AddDefaultStorageNode("/data/scan.nrrd")
        self.widget.ui.inputSelector.setCurrentNode(None)
        self.assertEqual(self.widget.ui.commandLineEdit.text, "")
        self.widget.ui.inputSelector.setCurrentNode(volumeNode)
        self.assertIn('label "/data/scan.nrrd"', self.widget.ui.commandLineEdit.text)
        self.assertFalse(self.widget.ui.applyButton.enabled)
