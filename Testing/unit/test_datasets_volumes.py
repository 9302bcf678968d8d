"""Readers of data sets with masks: miniature sets whose "vertebrae" are blocks, so that the body is the block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError

from training.datasets import ctspine1k, read_dataset, recognise, totalsegmentator

CENTRES_LPS_MM = {Level.L5: (4.0, 30.0, 470.0), Level.L6: (2.0, 32.0, 440.0), Level.T13: (6.0, 28.0, 500.0)}


def labels(numbers: dict[Level, int], orientation: str = "RAS") -> sitk.Image:
    """Blocks of 28 x 24 x 18 mm around the centres, in a volume that begins 100 mm right, front and below."""
    made = sitk.Image(48, 40, 60, sitk.sitkUInt8)
    made.SetSpacing((2.0, 2.0, 2.0))
    made.SetOrigin((-40.0, -10.0, 410.0))
    for level, number in numbers.items():
        i, j, k = made.TransformPhysicalPointToIndex(CENTRES_LPS_MM[level])
        made[i - 7 : i + 8, j - 6 : j + 7, k - 4 : k + 5] = number
    return sitk.DICOMOrient(made, orientation)


def write(made: sitk.Image, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(made, str(file))
    return file


def places(points) -> dict[Level, np.ndarray]:
    return {point.level: np.array(point.position_lps_mm) for point in points}


def require_centres(points, levels: set[Level]) -> None:
    found = places(points)
    assert found.keys() == levels
    for level in levels:
        assert np.linalg.norm(found[level] - CENTRES_LPS_MM[level]) < 1.0


def test_ctspine1k_pairs_parallel_folders_and_reads_its_split_file(tmp_path: Path) -> None:
    numbers = {Level.L5: 24, Level.L6: 25, Level.T13: 28}
    scan = write(labels({}), tmp_path / "rawdata" / "volumes" / "MSD" / "liver_3.nii.gz")
    write(labels(numbers), tmp_path / "rawdata" / "labels" / "MSD" / "liver_3_seg.nii.gz")
    (tmp_path / "data_split.txt").write_text("trainset:\nliver_1.nii.gz\n\ntest_public:\nliver_3.nii.gz\n")
    assert recognise(tmp_path) == "ctspine1k"
    (item,) = read_dataset(tmp_path)
    assert (item.id, item.split, item.scan_file) == ("liver_3", "val", scan)
    require_centres(item.points, set(numbers))


def test_ctspine1k_says_which_mask_is_empty(tmp_path: Path) -> None:
    write(labels({}), tmp_path / "a.nii.gz")
    write(labels({}), tmp_path / "a_seg.nii.gz")
    (item,) = ctspine1k.items(tmp_path)
    with pytest.raises(InputError, match=r"a_seg\.nii\.gz has no whole"):
        _ = item.points


def test_totalsegmentator_reads_one_file_a_vertebra(tmp_path: Path) -> None:
    folder = tmp_path / "s0007"
    write(labels({}), folder / "ct.nii.gz")
    write(labels({Level.L5: 1}), folder / "segmentations" / "vertebrae_L5.nii.gz")
    write(labels({}), folder / "segmentations" / "vertebrae_L4.nii.gz")
    write(labels({Level.L6: 1}), folder / "segmentations" / "sacrum.nii.gz")
    (tmp_path / "meta.csv").write_text("image_id;age;split\ns0007;61;test\n", encoding="utf-8-sig")
    assert recognise(tmp_path) == "totalsegmentator"
    (item,) = read_dataset(tmp_path)
    assert (item.id, item.patient, item.split) == ("s0007", "s0007", "test")
    require_centres(item.points, {Level.L5})


def test_totalsegmentator_reads_one_mask_of_all_classes(tmp_path: Path) -> None:
    write(labels({}), tmp_path / "s1" / "ct.nii.gz")
    write(labels({Level.L5: 27, Level.T13: 52}), tmp_path / "s1" / "segmentations.nii.gz")
    (item,) = totalsegmentator.items(tmp_path)
    require_centres(item.points, {Level.L5})
    assert [totalsegmentator.LABELS[n] for n in (26, 27, 32, 44, 50)] == [
        Level.S1, Level.L5, Level.T12, Level.C7, Level.C1,
    ]  # fmt: skip


def test_totalsegmentator_without_vertebrae_is_a_negative_and_without_masks_an_error(tmp_path: Path) -> None:
    for name in ("leg", "none"):
        write(labels({}), tmp_path / name / "ct.nii.gz")
        (tmp_path / name / "segmentations").mkdir()
    write(labels({}), tmp_path / "leg" / "segmentations" / "vertebrae_L5.nii.gz")
    items = {item.id: item for item in totalsegmentator.items(tmp_path)}
    assert items["leg"].points == ()
    with pytest.raises(InputError, match="no vertebrae_"):
        _ = items["none"].points
