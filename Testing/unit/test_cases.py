"""The cache of annotated scans: what goes in comes out at its place in the patient, and what is broken is told."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import small_phantom
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.formats import markups
from VertebraLabelingLib.core.labelling import LabelledPoint

from training.__main__ import main
from training.cases import NEGATIVE_WEIGHT, Case, Outcome, cache_annotated, cache_phantoms, read_cache
from training.datasets import read_dataset
from training.datasets.annotated import Annotated
from training.datasets.splits import hash_share, with_splits

BRIGHT_HU = 3000


@cache
def _bright_phantom() -> sitk.Image:
    """The small phantom, stored head first, with a bright block of 9 mm at the L3 centroid."""
    image = sitk.DICOMOrient(small_phantom().scan.to_sitk(), "LPI")
    i, j, k = image.TransformPhysicalPointToIndex(small_phantom().centroids[Level.L3])
    image[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2] = BRIGHT_HU
    return sitk.Cast(image, sitk.sitkInt16)


def _points() -> list[LabelledPoint]:
    return [LabelledPoint(level, place) for level, place in small_phantom().centroids.items()]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A scan with points, one that shows no vertebra, one that is no image, one that is unlabelled."""
    folder = tmp_path / "data"
    (folder / "annotations").mkdir(parents=True)
    for name in ("spine", "thigh", "later"):
        sitk.WriteImage(_bright_phantom(), str(folder / f"{name}.nii.gz"))
    (folder / "broken.nii.gz").write_text("not an image")
    lines = [f"{p.level.name},{','.join(map(str, p.position_lps_mm))}" for p in _points()]
    for name in ("spine", "broken"):
        (folder / "annotations" / f"{name}.csv").write_text("\n".join(["label,x,y,z", *lines[::-1]]) + "\n")
    rows = ["spine,spine.nii.gz,train,A,T12-S2", "broken,broken.nii.gz,train,B,T12-S2"]
    rows += ["thigh,thigh.nii.gz,val,C,none", "later,later.nii.gz,unlabelled,D,"]
    (folder / "scans.csv").write_text("\n".join(["id,file,split,patient,levels", *rows]) + "\n")
    return folder


def _fill(data: Path, cache: Path) -> dict[str, Outcome]:
    return {outcome.item.id: outcome for outcome in cache_annotated(read_dataset(data), cache)}


def _case(outcome: Outcome) -> Case:
    assert outcome.case is not None, outcome.problem
    return outcome.case


def test_scans_are_cached_in_order_and_a_broken_one_is_told_and_passed_over(data: Path, tmp_path: Path) -> None:
    outcomes = _fill(data, tmp_path / "cache")
    assert outcomes["broken"].case is None and "broken.nii.gz is damaged" in outcomes["broken"].problem
    spine, thigh = _case(outcomes["spine"]), _case(outcomes["thigh"])
    assert spine.levels.tolist() == sorted(small_phantom().centroids), "cranio-caudal, whatever the file's order"
    assert (spine.patient, spine.spacing_zyx_mm, spine.weight) == ("A", (3.0, 3.0, 3.0), 1.0)
    assert thigh.points_zyx_mm.shape == (0, 3) and thigh.weight == NEGATIVE_WEIGHT
    assert {case.id for case in read_cache(tmp_path / "cache")} == {"spine", "thigh"}
    assert [case.id for case in read_cache(tmp_path / "cache", ("val",))] == ["thigh"]
    for spacing_mm in (2.0, 4.0, 8.0):
        _require_bright_at_l3(spine, spacing_mm)


def _require_bright_at_l3(case: Case, spacing_mm: float) -> None:
    """The brightest voxels lie at the centroid, to half a voxel and the rounding of the block to whole voxels."""
    hu = case.volume(spacing_mm)
    brightest = np.argwhere(hu > 0.95 * hu.max()).mean(axis=0)
    found = (brightest + 0.5) * spacing_mm + case.corner_zyx_mm
    l3 = case.points_zyx_mm[case.levels.tolist().index(Level.L3)]
    assert np.abs(found - l3).max() < 1.5 + spacing_mm / 2


def test_a_cached_case_is_not_read_again_but_corrected_points_are(data: Path, tmp_path: Path) -> None:
    first = _case(_fill(data, tmp_path / "cache")["spine"])
    (data / "spine.nii.gz").unlink()
    assert _case(_fill(data, tmp_path / "cache")["spine"]).levels.tolist() == first.levels.tolist()
    table = data / "annotations" / "spine.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line for line in lines if not line.startswith("S2")) + "\n")
    later = (tmp_path / "cache" / "spine.json").stat().st_mtime + 5
    os.utime(table, (later, later))
    again = _case(_fill(data, tmp_path / "cache")["spine"])
    assert again.levels.tolist() == first.levels.tolist()[:-1]
    np.testing.assert_array_equal(again.volume(4.0), first.volume(4.0))


def test_descriptions_without_the_optional_keys_stay_valid(data: Path, tmp_path: Path) -> None:
    _fill(data, tmp_path / "cache")
    file = tmp_path / "cache" / "spine.json"
    values = json.loads(file.read_text())
    for key in ("patient", "source", "spacing_zyx_mm"):
        del values[key]
    file.write_text(json.dumps(values))
    (case,) = read_cache(tmp_path / "cache", ("train",))
    assert (case.id, case.patient, case.spacing_zyx_mm) == ("spine", "", ())
    (data / "spine.nii.gz").unlink()
    again = _case(_fill(data, tmp_path / "cache")["spine"])
    assert again.patient == "A", "noted later, without reading the scan again"
    np.testing.assert_array_equal(again.points_zyx_mm, case.points_zyx_mm)
    assert (again.split, again.weight) == (case.split, case.weight)


def test_two_scans_of_one_name_are_not_mixed_up(data: Path, tmp_path: Path) -> None:
    (item,) = [item for item in read_dataset(data) if item.id == "spine"]
    other = replace(item, scan_file=data / "thigh.nii.gz")
    outcomes = list(cache_annotated([item, other], tmp_path / "cache"))
    assert outcomes[0].case and not outcomes[1].case
    assert "describes another scan" in outcomes[1].problem


def test_points_of_another_scan_are_noticed(data: Path, tmp_path: Path) -> None:
    far = tuple(replace(p, position_lps_mm=(500.0, *p.position_lps_mm[1:])) for p in _points())
    item = Annotated("far", "A", "train", data / "spine.nii.gz", data / "scans.csv", lambda: far)
    (outcome,) = cache_annotated([item], tmp_path / "cache")
    assert outcome.case is None and "outside the scan" in outcome.problem
    assert read_cache(tmp_path / "cache") == []


def test_phantoms_come_as_a_split_of_their_own(tmp_path: Path) -> None:
    (case,) = cache_phantoms(tmp_path, 1)
    assert (case.id, case.split) == ("phantom-0000", "phantom")
    index = (case.points_zyx_mm - case.corner_zyx_mm) / 2
    assert np.all(index > 0) and np.all(index < case.volume(2.0).shape)
    assert np.all(np.diff(case.levels) > 0)


def _item(name: str, patient: str, split: str | None = None) -> Annotated:
    return Annotated(name, patient, split, Path(name), Path(name), lambda: ())


def test_patients_are_split_by_a_hash_that_other_patients_do_not_change() -> None:
    items = [_item(f"{patient}-{n}", f"patient {patient}") for patient in range(400) for n in range(2)]
    splits = {item.id: item.split for item in with_splits(items, 0.2)}
    assert all(splits[f"{patient}-0"] == splits[f"{patient}-1"] for patient in range(400))
    assert 0.15 < np.mean([split == "val" for split in splits.values()]) < 0.25
    assert {item.id: item.split for item in with_splits(items[200:], 0.2)}.items() <= splits.items()
    assert {item.split for item in with_splits(items, 0.0)} == {"train"}
    assert hash_share("patient 1") != hash_share("patient 2")


def test_a_patient_whom_the_set_has_in_two_splits_is_held_out_as_a_whole() -> None:
    items = with_splits([_item("a", "p", "train"), _item("b", "p", "val"), _item("c", "q", "train")], 0.5)
    assert {item.id: item.split for item in items} == {"a": "val", "b": "val", "c": "train"}
    assert "moved from train to val" in items[0].remark


def test_prepare_reports_what_it_took_and_what_it_skipped(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "later.csv").write_text((data / "annotations" / "spine.csv").read_text())
    arguments = ["--data", str(data), "--cache", str(tmp_path / "cache"), "--annotations", str(made), "--weight", "0.4"]
    assert main(["prepare", *arguments]) == 0
    assert "skipped  broken" in capsys.readouterr().out
    (pseudo,) = read_cache(tmp_path / "cache", ("pseudo",))
    assert (pseudo.id, pseudo.weight, len(pseudo.levels)) == ("later", 0.4, len(small_phantom().centroids))
    assert {case.id for case in read_cache(tmp_path / "cache")} == {"spine", "thigh", "later"}
    report = (tmp_path / "cache" / "report.md").read_text()
    assert "| train | 1 | 1 | 0 | 8 | 3-3, 3-3, 3-3 |" in report and "| val | 1 | 1 | 1 | 0 |" in report
    assert "| L3 | 1 | 1 | 0 |" in report, "pseudo, train, val"
    assert "3 scans are cached, 1 were skipped" in report and "- broken: " in report


def test_prepare_can_replace_a_split_of_additional_annotations(data: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "later.csv").write_text((data / "annotations" / "spine.csv").read_text())
    arguments = ["prepare", "--data", str(data), "--cache", str(tmp_path / "cache"), "--annotations", str(made)]
    assert main(arguments) == 0
    (made / "later.csv").unlink()
    assert main(arguments) == 0
    assert len(read_cache(tmp_path / "cache", ("pseudo",))) == 1
    assert main([*arguments, "--replace"]) == 0
    assert {case.id for case in read_cache(tmp_path / "cache")} == {"spine", "thigh"}
    assert not list((tmp_path / "cache").glob("later*"))


def test_points_that_became_unusable_are_no_longer_learnt_from(data: Path, tmp_path: Path) -> None:
    _fill(data, tmp_path / "cache")
    table = data / "annotations" / "spine.csv"
    table.write_text("label,x,y,z\nL1,500,0,0\n")
    later = (tmp_path / "cache" / "spine.json").stat().st_mtime + 5
    os.utime(table, (later, later))
    outcome = _fill(data, tmp_path / "cache")["spine"]
    assert outcome.case is None and "outside the scan" in outcome.problem
    assert [case.id for case in read_cache(tmp_path / "cache")] == ["thigh"]


def test_prepare_fails_when_no_scan_could_be_used(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.nii.gz").write_text("not an image")
    markups.write(tmp_path / "data" / "a.mrk.json", _points())
    assert main(["prepare", "--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]) == 3
    assert main(["prepare", "--data", str(tmp_path / "nowhere"), "--cache", str(tmp_path / "cache")]) == 2


def test_additional_annotations_cannot_become_part_of_a_split_of_the_data(data: Path, tmp_path: Path) -> None:
    arguments = ["prepare", "--data", str(data), "--cache", str(tmp_path / "cache"), "--annotations", str(tmp_path)]
    assert main([*arguments, "--as", "val"]) == 2
    assert not (tmp_path / "cache").exists()
