"""The cache of annotated scans: what goes in comes out at its place in the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib.core.anatomy import Level

from training.cases import cache_phantoms, cache_scans, read_cache

POINT_LPS = np.array([-31.0, 12.0, 205.0])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two scans: one with a bright voxel block at the L1 centroid, stored head first; one without any vertebra."""
    folder = tmp_path / "data"
    (folder / "annotations").mkdir(parents=True)
    image = sitk.Image(40, 30, 50, sitk.sitkInt16) - 1000
    image.SetSpacing((2.0, 3.0, 4.0))
    image.SetOrigin((-70.0, -20.0, 300.0))
    image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
    i, j, k = image.TransformPhysicalPointToIndex(POINT_LPS.tolist())
    image[i - 2 : i + 3, j - 2 : j + 3, k - 2 : k + 3] = 900
    sitk.WriteImage(image, str(folder / "spine.nii.gz"))
    sitk.WriteImage(image, str(folder / "thigh.nii.gz"))
    (folder / "annotations" / "spine.csv").write_text("label,x,y,z\nL2,-31,12,170\nL1,-31,12,205\n")
    rows = ["spine,spine.nii.gz,train,L1-L2", "thigh,thigh.nii.gz,val,none", "later,later.nii.gz,unlabelled,"]
    (folder / "scans.csv").write_text("\n".join(["id,file,split,levels", *rows]) + "\n")
    return folder


def test_annotated_scans_and_negatives_are_cached_and_unlabelled_ones_are_not(data: Path, tmp_path: Path) -> None:
    cases = {case.id: case for case in cache_scans(data, tmp_path / "cache")}
    assert {name: case.split for name, case in cases.items()} == {"spine": "train", "thigh": "val"}
    assert cases["spine"].levels.tolist() == [Level.L1, Level.L2], "cranio-caudal, whatever the file's order"
    assert cases["thigh"].points_zyx_mm.shape == (0, 3)
    assert [case.id for case in read_cache(tmp_path / "cache", ("train",))] == ["spine"]


@pytest.mark.parametrize("spacing_mm", [2.0, 4.0, 8.0])
def test_the_bright_block_is_found_at_the_centroid_on_every_grid(data: Path, tmp_path: Path, spacing_mm: float) -> None:
    case = next(c for c in cache_scans(data, tmp_path / "cache") if c.id == "spine")
    weight = np.clip(case.volume(spacing_mm).astype(float) + 950, 0, None)
    grid = (np.moveaxis(np.indices(weight.shape), 0, -1) + 0.5) * spacing_mm + case.corner_zyx_mm
    found = (grid * weight[..., None]).sum((0, 1, 2)) / weight.sum()
    # the block is whole voxels of 2 x 3 x 4 mm around the point
    assert np.abs(found - case.points_zyx_mm[0]).max() < 2.5


def test_a_cached_case_is_not_read_again(data: Path, tmp_path: Path) -> None:
    first = list(cache_scans(data, tmp_path / "cache"))
    (data / "spine.nii.gz").unlink()
    again = list(cache_scans(data, tmp_path / "cache"))
    assert [case.id for case in again] == [case.id for case in first]


def test_phantoms_come_as_a_split_of_their_own(tmp_path: Path) -> None:
    (case,) = cache_phantoms(tmp_path, 1)
    assert (case.id, case.split) == ("phantom-0000", "phantom")
    index = (case.points_zyx_mm - case.corner_zyx_mm) / 2
    assert np.all(index > 0) and np.all(index < case.volume(2.0).shape)
    assert np.all(np.diff(case.levels) > 0)
