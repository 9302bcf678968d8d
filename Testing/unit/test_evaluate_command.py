"""``python -m training evaluate`` from files to tables."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError, UsageError
from VertebraLabelingLib.core.formats import write_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling

from training.commands.evaluate import POINT_SUFFIXES, add_parser, scan_id

LUMBAR = {Level.L1: (1.0, 2.0, 60.0), Level.L2: (1.0, 2.0, 30.0), Level.L3: (1.0, 2.0, 0.0)}


def labelling(shift_x_mm: float = 0.0, levels: tuple[Level, ...] = tuple(LUMBAR)) -> Labelling:
    places = LUMBAR.values()
    return Labelling(
        tuple(LabelledPoint(level, (x + shift_x_mm, y, z)) for level, (x, y, z) in zip(levels, places, strict=True))
    )


def evaluate(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["evaluate", *map(str, arguments)])
    return args.run(args)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    truth, predictions = tmp_path / "truth", tmp_path / "predictions"
    truth.mkdir()
    predictions.mkdir()
    return truth, predictions


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acrin-001-a.mrk.json", "acrin-001-a"),
        ("acrin-001-a.csv", "acrin-001-a"),
        ("phantom.truth.csv", "phantom"),
        ("sub-verse004_seg-vb_ctd.json", "sub-verse004"),
        ("sub-verse500_dir-ax_ct.mrk.json", "sub-verse500_dir-ax"),
        ("acrin-001-a.run.json", None),
    ],
)
def test_the_scan_id_is_the_name_without_suffixes(name, expected):
    assert scan_id(name, POINT_SUFFIXES) == expected


def test_markups_are_scored_against_csv_and_written_as_json_and_markdown(folders, tmp_path, capsys):
    truth, predictions = folders
    write_points(truth / "a.csv", labelling())
    write_points(truth / "b.truth.csv", labelling())
    write_points(predictions / "a.mrk.json", labelling(shift_x_mm=3.0))
    write_points(predictions / "extra.mrk.json", labelling())
    (predictions / "a.run.json").write_text("{}")
    numbers, tables = tmp_path / "r.json", tmp_path / "r.md"
    assert evaluate("--truth", truth, "--predictions", predictions, "--json", numbers, "--markdown", tables) == 0
    total = json.loads(numbers.read_text())["total"]
    assert (total["vertebrae"], total["identified"], total["scans_wholly_right"]) == (6, 3, 1)
    assert total["mean_error_mm"] == pytest.approx(3.0)
    assert "| L (lumbar) | 6 | 50.0% | 3.0 |" in tables.read_text()
    printed = capsys.readouterr().out
    assert "counted as all missed: b" in printed
    assert "nothing true is known of them: extra" in printed


def test_markups_win_over_a_csv_of_the_same_scan(folders, tmp_path):
    truth, predictions = folders
    write_points(truth / "a.csv", labelling())
    write_points(predictions / "a.csv", labelling(shift_x_mm=50.0))
    write_points(predictions / "a.mrk.json", labelling())
    numbers = tmp_path / "r.json"
    evaluate("--truth", truth, "--predictions", predictions, "--json", numbers)
    assert json.loads(numbers.read_text())["total"]["identified"] == 3


def test_verse_voxels_become_millimetres_with_the_grid_of_the_ct(folders, tmp_path):
    truth, predictions = folders
    geometry = Geometry((40, 16, 16), (1.5, 1.0, 2.0), (-5.0, -5.0, -8.0))
    image = sitk.GetImageFromArray(np.zeros(geometry.shape_zyx, np.int16))
    image.SetSpacing(geometry.spacing_xyz_mm)
    image.SetOrigin(geometry.origin_lps_mm)
    images = tmp_path / "ct"
    (images / "sub-verse004").mkdir(parents=True)
    sitk.WriteImage(image, str(images / "sub-verse004" / "sub-verse004_ct.nii.gz"))
    write_points(truth / "sub-verse004_seg-vb_ctd.json", labelling(), geometry)
    write_points(predictions / "sub-verse004_ct.mrk.json", labelling(shift_x_mm=4.0))
    numbers = tmp_path / "r.json"
    evaluate("--truth", truth, "--predictions", predictions, "--images", images, "--json", numbers)
    total = json.loads(numbers.read_text())["total"]
    assert total["identified"] == 3
    assert total["mean_error_mm"] == pytest.approx(4.0, abs=0.01)
    with pytest.raises(UsageError, match="--images"):
        evaluate("--truth", truth, "--predictions", predictions)


def test_a_list_chooses_the_split_and_adds_scans_without_a_vertebra(folders, tmp_path):
    truth, predictions = folders
    scans = tmp_path / "scans.csv"
    scans.write_text("id,split,levels\na,val,L1-L3\nb,train,L1-L3\nthigh,val,none\nc,val,\n")
    for name in ("a", "b"):
        write_points(truth / f"{name}.csv", labelling())
    for name in ("a", "thigh"):
        write_points(predictions / f"{name}.csv", labelling())
    numbers = tmp_path / "r.json"
    evaluate("--truth", truth, "--predictions", predictions, "--scans", scans, "--json", numbers)
    values = json.loads(numbers.read_text())
    assert [scan["id"] for scan in values["scans"]] == ["a", "thigh"]
    assert values["total"]["false_positives"] == 3
    assert values["total"]["id_rate"] == 1.0
    (truth / "a.csv").unlink()
    with pytest.raises(UsageError, match="no points for a"):
        evaluate("--truth", truth, "--predictions", predictions, "--scans", scans)


def test_missing_and_empty_folders_and_doubled_scans_are_named(folders, tmp_path):
    truth, predictions = folders
    with pytest.raises(UsageError, match="has no file"):
        evaluate("--truth", truth, "--predictions", predictions)
    write_points(predictions / "a.csv", labelling())
    with pytest.raises(UsageError, match="does not exist"):
        evaluate("--truth", tmp_path / "nowhere", "--predictions", predictions)
    write_points(truth / "a.csv", labelling())
    write_points(truth / "a.truth.csv", labelling())
    with pytest.raises(UsageError, match="same scan"):
        evaluate("--truth", truth, "--predictions", predictions)


def test_a_list_without_the_columns_is_refused(folders, tmp_path):
    truth, predictions = folders
    write_points(truth / "a.csv", labelling())
    write_points(predictions / "a.csv", labelling())
    scans = tmp_path / "scans.csv"
    scans.write_text("name\na\n")
    with pytest.raises(InputError, match="id, split, levels"):
        evaluate("--truth", truth, "--predictions", predictions, "--scans", scans)
