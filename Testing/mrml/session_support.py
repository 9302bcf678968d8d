"""What the tests of the session share: runs that end as the test says, a scene with a CT, and what a scene holds."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import slicer
from scenes import add_volume
from VertebraLabelingLib.app.points_node import read_column
from VertebraLabelingLib.app.session import Session

LUMBAR = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
STEP_MM = 35.0


class FakeJob:
    """A run of either kind: `finish`, `fail` and `stop` end it at the next poll."""

    made: ClassVar[list[FakeJob]] = []

    def __init__(self, *arguments):
        self.arguments = arguments
        self.request = arguments[0]
        self.state, self.stage, self.fraction, self.seconds_left = "ready", "", 0.0, None
        self.result, self.message, self.log = None, "", ""
        self.start_failure, self.end, self.is_closed = "", "", False
        FakeJob.made.append(self)

    @property
    def is_running(self):
        return self.state in ("running", "cancelling")

    def start(self):
        self.state, self.stage = ("failed", "") if self.start_failure else ("running", "Finding the spine")
        self.message = self.start_failure

    def poll(self):
        assert not self.is_closed
        self.state = self.end or self.state

    def cancel(self):
        self.state = "cancelling"

    def close(self):
        self.is_closed = True

    def finish(self, result):
        self.result, self.end = result, "done"

    def fail(self, message):
        self.message, self.end = message, "failed"

    def stop(self):
        self.end, self.message = "cancelled", "Cancelled."


class Asked:
    """Answers questions as the test says (True for all, or one after the other) and remembers them."""

    def __init__(self):
        self.questions, self.answers = [], []

    def __call__(self, question):
        self.questions.append(question)
        return self.answers.pop(0) if self.answers else True


class Desk:
    """A session in a scene with one CT, and all that it said."""

    def __init__(self, scene, **jobs):
        FakeJob.made.clear()
        self.scene, self.asked, self.failures, self.changes = scene, Asked(), [], 0
        self.ct = add_volume(scene, np.zeros((12, 12, 12), np.int16), name="CT")
        self.session = self.open(**jobs)
        self.session.set_input_volume(self.ct)

    def open(self, **jobs):
        session = Session(self.scene, **({"make_job": FakeJob, "make_refine_job": FakeJob} | jobs), ask=self.asked)
        session.failed.connect(self.failures.append)
        session.changed.connect(self.count)
        return session

    def count(self):
        self.changes += 1

    @property
    def job(self):
        return FakeJob.made[-1]

    def label(self, levels=LUMBAR, **values):
        """A whole run; returns the points node."""
        assert self.session.label(), self.failures
        self.job.finish(result(levels, **values))
        self.session.poll()
        return self.session.points_node

    @property
    def labels(self):
        return labels_of(self.session.points_node)


def result(levels=LUMBAR, alternatives=(), confirmed=(), **values):
    """A result event: the levels straight down, `STEP_MM` apart, probabilities 0.9; LPS mm."""
    points = [
        {
            "level": level,
            "position_lps_mm": [1.0, 2.0, -STEP_MM * index],
            "probability": 0.9,
            "remark": "",
            "confirmed": level in confirmed,
        }
        for index, level in enumerate(levels)
    ]
    return {
        "event": "result",
        "summary": f"{levels[0]}-{levels[-1]}, {len(levels)} vertebrae, level certain: S1 in view",
        "level_certain": True,
        "anchors": ["S1"],
        "remarks": [],
        "notes": [],
        "points": points,
        "alternatives": list(alternatives),
        "weights_sha256": {"sites": "0" * 64},
    } | values


def unsure(levels=LUMBAR, other=("L1", "L2", "L3", "L4", "L5", "S1", "S2")):
    """A result event whose column could be one level lower."""
    alternative = {"shift": 1, "probability": 0.18, "levels": list(other)}
    summary = f"{levels[0]}-{levels[-1]}, {len(levels)} vertebrae, level unsure: nothing to count from; could be"
    return result(
        levels, [alternative], summary=f"{summary} 1 level lower (18%)", level_certain=False, anchors=[], remarks=["A."]
    )


def labels_of(node):
    return [point.label for point in read_column(node)]


def positions_of(node):
    return [point.position_lps_mm for point in read_column(node)]


def add_points(scene, *labels, name="Mine"):
    """A point list of the user's own, straight down."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    for index, label in enumerate(labels):
        node.AddControlPoint([-1.0, -2.0, -STEP_MM * index], label)
    return node


def drag(node, index, *stops_ras_mm):
    """What a mouse does to a point: press, move over the stops, release."""
    node.InvokeEvent(node.PointStartInteractionEvent)
    for stop in stops_ras_mm:
        node.SetNthControlPointPosition(index, *stop)
    node.InvokeEvent(node.PointEndInteractionEvent)


def scene_text(scene):
    """The whole scene as its file, and the points, which that file leaves to files of their own."""
    scene.SetSaveToXMLString(1)
    scene.Commit()
    points = [
        [
            (
                node.GetNthControlPointID(i),
                node.GetNthControlPointLabel(i),
                node.GetNthControlPointDescription(i),
                node.GetNthControlPointPosition(i),
                node.GetNthControlPointLocked(i),
                node.GetNthControlPointSelected(i),
            )
            for i in range(node.GetNumberOfControlPoints())
        ]
        for node in slicer.util.getNodesByClass("vtkMRMLMarkupsNode", scene)
    ]
    return scene.GetSceneXMLString(), points


@pytest.fixture
def desk(scene):
    desk = Desk(scene)
    yield desk
    desk.session.close()
