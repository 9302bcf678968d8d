"""Family 10 in the module: whatever ends the child of a run at whatever stage, the scene stays as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scenes import add_volume, ijk_to_ras
from session_support import Desk, add_points, scene_text
from small_ct import VOXEL_MM, trunk_hu
from VertebraLabelingLib.app.base_job import OUTPUT
from VertebraLabelingLib.app.job import LabelJob

TRUST = Path(__file__).resolve().parents[1] / "trust"
RECORD = OUTPUT.replace(".mrk.json", ".run.json")
STAGES = (
    "reading",
    "preparing",
    "network",
    *(f"{verb} {name}" for verb in ("writing", "moving") for name in (OUTPUT, RECORD)),
)
PATIENCE_S = 120.0

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX")


def trunk(scene):
    """A CT that passes for one."""
    return add_volume(scene, trunk_hu(), ijk_to_ras(np.eye(3), (VOXEL_MM,) * 3, np.zeros(3)), name="Trunk")


def harmed_child(stage, harm, arguments):
    """In the place of Python: the program with a method that needs no network, and a trap."""
    words = [*arguments[arguments.index("label") :]]
    folder = str(Path(words[words.index("--output") + 1]).parent)
    case = [] if harm is None else ["--once", json.dumps({"stage": stage, "harm": harm, "folder": folder})]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(TRUST)])}
    command = [sys.executable, str(TRUST / "interruption.py"), *(case or ["--once", "null"]), *words]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )


def run(scene, stage, harm):
    """(session, scene before, scene after) of a run that ends by harm."""
    desk = Desk(scene, make_job=partial(LabelJob, launch=partial(harmed_child, stage, harm)))
    desk.session.set_input_volume(trunk(scene))
    add_points(scene, "L1", "L2")
    before = scene_text(scene)
    assert desk.session.label(), desk.failures
    end = time.monotonic() + PATIENCE_S
    while desk.session.is_running:
        assert time.monotonic() < end, desk.session.log
        time.sleep(0.05)
        desk.session.poll()
    return desk, before


QUICK = {("network", "kill"), (f"writing {RECORD}", "quota")}


@pytest.mark.parametrize(
    ("stage", "harm"),
    [
        pytest.param(stage, harm, id=f"{harm} while {stage}", marks=() if (stage, harm) in QUICK else pytest.mark.slow)
        for stage in STAGES
        for harm in ("kill", "cancel", "quota", "full")
        if harm != "full" or " " in stage
    ],
)
def test_a_run_that_is_harmed_leaves_the_scene_as_it_was(scene, stage, harm, record_property):
    """A cancel that comes too late finds the result there; and what is moved needs no room."""
    record_property("counts", {"cases": 1, "kills": int(harm == "kill")})
    desk, before = run(scene, stage, harm)
    labelled = desk.session.points_node is not None and scene_text(scene) != before
    kind = stage.split()[0]
    assert labelled == ((harm, kind) in {("cancel", "writing"), ("cancel", "moving"), ("quota", "moving")})
    if not labelled:
        assert scene_text(scene) == before
        assert len(desk.failures) == (harm != "cancel"), desk.session.log
    assert not desk.session.is_running
    desk.session.close()


@pytest.mark.slow
def test_a_run_that_is_not_harmed_names_the_points(scene):
    desk, before = run(scene, "network", None)
    assert desk.failures == [] and scene_text(scene) != before
    assert len(desk.session.column) == 4
    desk.session.close()
