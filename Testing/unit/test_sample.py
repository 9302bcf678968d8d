"""The phantom that ships with the Slicer module is what the project makes, small, and labelled right."""

from __future__ import annotations

import csv
import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.predict import main as vertebra_labeling

from training.__main__ import main as training
from training.commands.sample import NAME, RESOURCES
from training.phantom.sample import HU_STEP, THUMBNAIL_PIXELS

SCAN = RESOURCES / "SampleData" / f"{NAME}.nrrd"
TRUTH = RESOURCES / "SampleData" / f"{NAME}.truth.csv"
THUMBNAIL = RESOURCES / "Icons" / f"{NAME}.png"
LARGEST_BYTES = 1_000_000
WRONG_MM = 10.0


def centroids(path: Path) -> dict[str, list[float]]:
    """LPS mm by label."""
    with path.open(newline="", encoding="utf-8") as stream:
        return {row["label"]: [float(row[axis]) for axis in "xyz"] for row in csv.DictReader(stream)}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The folder that the command has written to."""
    folder = tmp_path_factory.mktemp("sample")
    assert training(["sample", "--output", str(folder)]) == 0
    return folder


def test_the_shipped_scan_is_the_one_that_the_command_makes(made):
    shipped, again = read_scan(SCAN), read_scan(made / "SampleData" / SCAN.name)
    assert shipped.geometry == again.geometry
    # other versions of NumPy may round a few voxels to the neighbouring step
    assert np.abs(shipped.hu - again.hu).max() <= HU_STEP
    assert np.mean(shipped.hu != again.hu) < 1e-3


def test_the_shipped_truth_is_the_one_that_the_command_writes(made):
    again = centroids(made / "SampleData" / TRUTH.name)
    shipped = centroids(TRUTH)
    assert list(shipped) == list(again)
    assert list(shipped.values()) == [pytest.approx(position, abs=2e-3) for position in again.values()]


def test_the_thumbnail_is_a_picture_of_the_right_size(made):
    for path in (THUMBNAIL, made / "Icons" / THUMBNAIL.name):
        head = path.read_bytes()[:24]
        assert head.startswith(b"\x89PNG\r\n\x1a\n")
        assert struct.unpack(">II", head[16:]) == THUMBNAIL_PIXELS


def test_the_command_prints_the_hash_that_the_module_pins(tmp_path, capsys):
    assert training(["sample", "--output", str(tmp_path)]) == 0
    written = (tmp_path / "SampleData" / SCAN.name).read_bytes()
    assert hashlib.sha256(written).hexdigest() in capsys.readouterr().out


def test_the_files_are_small():
    assert SCAN.stat().st_size + TRUTH.stat().st_size + THUMBNAIL.stat().st_size < LARGEST_BYTES


def test_every_level_from_t6_to_s2_is_in_it():
    expected = [level.name for level in Level if Level.T6 <= level <= Level.S2 and level.name not in ("T13", "L6")]
    assert list(centroids(TRUTH)) == expected


@pytest.mark.slow
def test_the_shipped_weights_label_it_right(tmp_path):
    output = tmp_path / "out.mrk.json"
    assert vertebra_labeling(["label", str(SCAN), "--output", str(output), "--phantom", "--quiet"]) == 0
    points = json.loads(output.read_text(encoding="utf-8"))["markups"][0]["controlPoints"]
    found, truth = {point["label"]: point["position"] for point in points}, centroids(TRUTH)
    assert list(found) == list(truth)
    assert max(np.linalg.norm(np.subtract(found[name], truth[name])) for name in truth) < WRONG_MM
