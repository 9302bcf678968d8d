"""What the panel tests share: a panel with dialogs that answer by themselves, points, and a run without a network."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
import slicer

LUMBAR = ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1")


class FakeDialogs:
    """Answers as the test says and remembers what it was asked."""

    def __init__(self):
        self.answer = True
        self.path: Path | None = None
        self.questions, self.failures, self.copied, self.opened = [], [], [], []

    def ask(self, question):
        self.questions.append(question)
        return self.answer

    def failure(self, message):
        self.failures.append(message)

    def save_path(self, title, name, suffix):
        return self.path

    def open_path(self, title, pattern):
        return self.path

    def open_folder(self, folder):
        self.opened.append(folder)

    def copy(self, text):
        self.copied.append(text)


class FakeJob:
    """A run that ends when the test says so: `state`, `result` and so on are set from outside."""

    made: ClassVar[list[FakeJob]] = []

    def __init__(self, request, *args, **keywords):
        self.request = request
        self.state, self.stage, self.fraction, self.seconds_left = "ready", "", 0.0, None
        self.result, self.message, self.log = None, "", "first line\n"
        FakeJob.made.append(self)

    is_running = property(lambda self: self.state in ("running", "cancelling"))
    volume_node = property(lambda self: self.request.volume_node if self.request.volume_node.GetScene() else None)

    def start(self):
        self.state = "running"

    def poll(self):
        pass

    def cancel(self):
        self.state, self.message = "cancelled", "Cancelled."

    def close(self):
        if self.is_running:
            self.state = "cancelled"

    def finish(self, levels, probability=0.97):
        """Done, with one point for each level, 35 mm apart."""
        self.result = {
            "summary": f"{levels[0]}-{levels[-1]}, {len(levels)} vertebrae, level certain: S1 in view",
            "level_certain": True,
            "anchors": ["S1"],
            "remarks": [],
            "notes": [],
            "points": [
                {
                    "level": level,
                    "position_lps_mm": [0.0, 0.0, -35.0 * index],
                    "probability": probability,
                    "remark": "",
                    "confirmed": False,
                }
                for index, level in enumerate(levels)
            ],
            "alternatives": [],
            "weights_sha256": {"sites": "0" * 64},
            "method": "sites",
            "engine": "onnx",
            "device": "cpu",
            "seconds": {},
        }
        self.state = "done"


def points_node(*labels, gap_mm=35.0, probabilities=()):
    """A point list in the scene, straight down, and its control points' descriptions."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Spine")
    node.CreateDefaultDisplayNodes()
    for index, label in enumerate(labels):
        node.AddControlPoint([0.0, 0.0, -gap_mm * index], label)
    for index, probability in enumerate(probabilities):
        node.SetNthControlPointDescription(index, f"p={probability:.2f}")
    return node


def labels_of(node):
    return [node.GetNthControlPointLabel(index) for index in range(node.GetNumberOfControlPoints())]


def volume_node(array=None, spacing_mm=3.0, name="CT"):
    """A CT-like volume in the scene; array: (z, y, x) HU."""
    import numpy as np
    import vtk

    array = np.full((12, 12, 12), -1000, np.int16) if array is None else array
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    node.SetAndObserveImageData(image)
    slicer.util.arrayFromVolume(node)[:] = array
    node.SetSpacing(spacing_mm, spacing_mm, spacing_mm)
    node.Modified()
    return node


def wait_until(condition, seconds):
    """Let Qt's timers run until something holds; False when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        slicer.app.processEvents()
        time.sleep(0.02)
    return True


def loaded_panel(make_job=None, dialogs=None):
    """The module's widget on the scene of now, open, with dialogs and (where given) runs of the test."""
    from harness import boot
    from VertebraLabelingLib.app import dialogs as dialogs_module
    from VertebraLabelingLib.app import session as session_module

    dialogs = dialogs or FakeDialogs()
    session_class = session_module.Session
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialogs_module, "Dialogs", lambda: dialogs)
        if make_job is not None:
            patch.setattr(session_module, "Session", partial(session_class, make_job=make_job))
        _module, widget = boot.load_module()
    widget.parent.enter()
    return widget, dialogs


def cell(widget, row, index):
    return widget.ui.pointsTable.item(row, index).text()


def table_column(widget, index):
    return [cell(widget, row, index) for row in range(widget.ui.pointsTable.rowCount)]


def select_rows(widget, *rows):
    """As a user does with Ctrl and clicks."""
    table = widget.ui.pointsTable
    table.clearSelection()
    for row in rows:
        for index in range(table.columnCount):
            table.item(row, index).setSelected(True)
