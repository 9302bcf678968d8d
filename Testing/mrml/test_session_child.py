"""A whole session with the real child on a phantom: labelled, corrected, labelled again from a confirmed point."""

from __future__ import annotations

import time

import numpy as np
import pytest
from phantoms import small_phantom
from scenes import add_linear_transform, add_volume, ijk_to_ras
from session_support import Desk, labels_of, scene_text
from VertebraLabelingLib.app.job import LabelJob, RefineJob

PATIENCE_S = 300.0


def volume_of_phantom(scene, phantom):
    """The phantom's CT as Slicer would load it."""
    geometry = phantom.scan.geometry
    axes = np.reshape(geometry.direction, (3, 3)) * [[-1], [-1], [1]]
    origin_ras_mm = np.array(geometry.origin_lps_mm) * [-1, -1, 1]
    hu = phantom.scan.hu.astype(np.int16)
    return add_volume(scene, hu, ijk_to_ras(axes, geometry.spacing_xyz_mm, origin_ras_mm), name="Phantom")


def wait(session):
    end = time.monotonic() + PATIENCE_S
    while session.is_running:
        assert time.monotonic() < end, session.log
        time.sleep(0.05)
        session.poll()


@pytest.mark.slow
def test_a_phantom_is_labelled_corrected_and_labelled_again(scene, tmp_path):
    pytest.importorskip("onnxruntime")
    phantom = small_phantom()
    desk = Desk(scene, make_job=LabelJob, make_refine_job=RefineJob)
    session = desk.session
    session.set_input_volume(volume_of_phantom(scene, phantom))
    add_linear_transform(scene, session.input_volume)
    session.set_options(engine="onnx", device="cpu")
    before, stages = scene_text(scene), []
    session.progressed.connect(lambda: stages.append(session.stage))

    assert session.label(), desk.failures
    session.cancel()
    wait(session)
    assert desk.failures == []
    assert scene_text(scene) == before

    assert session.label(), desk.failures
    wait(session)
    assert desk.failures == []
    assert len(set(stages)) > 2
    node = session.points_node
    truth = {level.name: np.array(place) for level, place in phantom.centroids.items()}
    shared = [point for point in session.column if point.label in truth]
    errors_mm = [np.linalg.norm(truth[point.label] - point.position_lps_mm) for point in shared]
    assert len(shared) >= 6
    assert np.median(errors_mm) < 5.0
    assert session.summary_lines[0].startswith(f"{labels_of(node)[0]}-{labels_of(node)[-1]}")

    # the whole column one level up, a wrong confirmation on purpose: the run must honour it
    third = session.column[2]
    assert session.shift(-1)
    named = session.column[2].label
    assert named != third.label
    assert session.confirm((2,))
    assert session.label()
    wait(session)
    assert desk.failures == []
    kept = next(point for point in session.column if point.locked)
    assert kept.label == named
    assert kept.position_lps_mm == pytest.approx(third.position_lps_mm, abs=1e-3)

    moved = [*session.column]
    node.SetNthControlPointPosition(3, *(np.array(node.GetNthControlPointPosition(3)) + [0, 4, 0]))
    assert session.refine((3,)), desk.failures
    wait(session)
    assert desk.failures == []
    assert np.linalg.norm(np.subtract(session.column[3].position_lps_mm, moved[3].position_lps_mm)) < 4.0
    assert session.undo_text.startswith("refine")
    assert session.export(tmp_path / "phantom.csv")
    session.close()
