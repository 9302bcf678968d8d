"""``refine``: the local network moves points of a file; reader, checks and writer are the real ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from test_predict import LEVELS, POSITIONS, body_image
from VertebraLabelingLib import predict
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.formats import read_points, write_points
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling
from VertebraLabelingLib.methods import refinement

STEP = np.array([1.0, -2.0, 2.0])
POINTS = tuple(
    LabelledPoint(level, tuple(p), probability, f"remark on {level.name}")
    for level, p, probability in zip(LEVELS, POSITIONS.tolist(), (0.25, 0.4, 0.55, 0.7, 1.0), strict=True)
)


class Shifting:
    """Moves every point that may move by `STEP`, in the place of the network."""

    weights_sha256 = {"refinement": "ef" * 32}  # noqa: RUF012

    def positions(self, scan, positions_lps_mm, progress, movable):
        progress("refining", 0.5)
        return np.asarray(positions_lps_mm) + np.outer(movable, STEP)


@pytest.fixture(autouse=True)
def network(monkeypatch):
    monkeypatch.setattr(refinement, "load_shipped", lambda *_: Shifting())


@pytest.fixture(scope="module")
def body(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "body.nii.gz"
    sitk.WriteImage(body_image(), str(path))
    return path


def refine(ct, points, output, *more) -> int:
    arguments = ["refine", ct, "--points", points, "--output", output, "--device", "cpu", *more]
    return predict.main([str(a) for a in arguments])


def saved(path: Path, *points: LabelledPoint) -> Path:
    write_points(path, Labelling(points))
    return path


def moved(before, after) -> list[Level]:
    """Levels that moved by `STEP`; all else must be as it was."""
    levels = []
    for old, new in zip(before, after, strict=True):
        assert new == replace(old, position_lps_mm=new.position_lps_mm)
        if new != old:
            np.testing.assert_allclose(np.subtract(new.position_lps_mm, old.position_lps_mm), STEP)
            levels.append(new.level)
    return levels


def test_all_points_that_are_not_locked_move(body, tmp_path):
    before = [replace(POINTS[0], confirmed=True), *POINTS[1:]]
    assert refine(body, saved(tmp_path / "a.mrk.json", *before), tmp_path / "b.mrk.json", "--quiet") == 0
    assert moved(before, read_points(tmp_path / "b.mrk.json")) == list(LEVELS[1:])


def test_only_named_points_move_even_locked_ones(body, tmp_path):
    before = [replace(POINTS[0], confirmed=True), *POINTS[1:]]
    path = saved(tmp_path / "a.mrk.json", *before)
    assert refine(body, path, path, "--only", "L4", "l2", "--quiet") == 0
    assert moved(before, read_points(path)) == [Level.L2, Level.L4]


def test_events(body, tmp_path, capsys):
    path = saved(tmp_path / "a.mrk.json", *POINTS)
    assert refine(body, path, tmp_path / "b.mrk.json", "--only", "L3", "--json-lines") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    fractions = [e["fraction"] for e in events[:-1]]
    assert {e["event"] for e in events[:-1]} == {"progress"}
    assert fractions == sorted(fractions)
    assert {"reading", "loading the network", "refining", "writing"} <= {e["stage"] for e in events[:-1]}
    result = events[-1]
    assert result["event"] == "result"
    assert [p["level"] for p in result["points"]] == [level.name for level in LEVELS]
    assert result["points"][1]["position_lps_mm"] == pytest.approx(POSITIONS[1] + STEP)
    assert result["moved_mm"] == {"L3": pytest.approx(3.0)}
    assert (result["method"], result["engine"], result["device"]) == ("refinement", "torch", "cpu")
    assert result["weights_sha256"] == Shifting.weights_sha256
    assert result["files"] == {"markups": str(tmp_path / "b.mrk.json")}
    assert list(result["seconds"]) == ["read", "load", "refine"]


def test_the_moves_are_told(body, tmp_path, capsys):
    path = saved(tmp_path / "a.mrk.json", *POINTS[:2])
    assert refine(body, path, tmp_path / "b.mrk.json") == 0
    output = capsys.readouterr().out.splitlines()
    assert output == ["L2    moved 3.0 mm", "L3    moved 3.0 mm", f"-> {tmp_path / 'b.mrk.json'}"]


def locked_above() -> list[LabelledPoint]:
    """A point in the scan that may not move."""
    return [LabelledPoint(Level.T12, (2.0, 0.0, 90.0), confirmed=True)]


def fails(body, tmp_path, capsys, points, *more) -> tuple[int, str]:
    code = refine(body, points, tmp_path / "out.mrk.json", *more)
    assert not (tmp_path / "out.mrk.json").exists()
    return code, capsys.readouterr().err


def test_failures(body, tmp_path, capsys):
    path = saved(tmp_path / "a.mrk.json", *POINTS)
    code, message = fails(body, tmp_path, capsys, path, "--only", "T4")
    assert code == 2
    assert "no point T4" in message
    code, message = fails(body, tmp_path, capsys, path, "--only", "X4")
    assert code == 2
    assert "invalid level value: 'X4'" in message
    assert fails(body, tmp_path, capsys, path, "--device", "gpu")[0] == 2
    assert fails(body, tmp_path, capsys, tmp_path / "none.mrk.json")[0] == 3
    locked = saved(tmp_path / "b.mrk.json", *(replace(p, confirmed=True) for p in POINTS))
    code, message = fails(body, tmp_path, capsys, locked)
    assert code == 3
    assert "unlock some" in message
    away = [replace(p, position_lps_mm=(0.0, 0.0, 900.0 - 30 * p.level)) for p in POINTS]
    code, message = fails(body, tmp_path, capsys, saved(tmp_path / "c.mrk.json", *away, *locked_above()))
    assert code == 3
    assert "None of the points given lies inside 'body.nii.gz'" in message


def test_out_of_memory_names_the_device(body, tmp_path, capsys, monkeypatch):
    def exhaust(*_):
        raise MemoryError

    monkeypatch.setattr(Shifting, "positions", exhaust)
    assert refine(body, saved(tmp_path / "a.mrk.json", *POINTS), tmp_path / "b.mrk.json", "--json-lines") == 6
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (event["event"], event["device"]) == ("error", "cpu")


def test_a_cancelled_run_leaves_the_points_as_they_were(body, tmp_path, capsys):
    path = saved(tmp_path / "a.mrk.json", *POINTS)
    flag = tmp_path / "cancel"
    flag.touch()
    assert refine(body, path, path, "--cancel-file", flag) == 130
    assert read_points(path) == POINTS
