"""The list of spines: read, matched with its detections, split by patient."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError

from training.spines import fit_and_apart, is_kept_apart, matched, patient_of, read_spines

SPINES = """scan,source,file,keypoint,level,x,y,z
a,COLONOG,COLONOG/COLO1/P1/study/series,body,L2,0,0,-34
a,COLONOG,COLONOG/COLO1/P1/study/series,body,L1,0,0,0
a,COLONOG,COLONOG/COLO1/P1/study/series,left,L1,30,0,0
b,verse19,verse19/x/sub-verse416/sub-verse416_split-verse247_ct.mha,body,T9,5,0,0
"""
DETECTIONS = """scan,file,keypoint,segment,pC,pT,pL,x,y,z
a,COLONOG/COLO1/P1/study/series,body,L,0.1,0.2,0.9,1,0,-33
a,COLONOG/COLO1/P1/study/series,body,L,0.1,0.2,0.8,0,4,0
a,COLONOG/COLO1/P1/study/series,body,L,0.1,0.2,0.7,0,2,0
a,COLONOG/COLO1/P1/study/series,right,L,0.1,0.2,0.7,0,2,0
a,COLONOG/COLO1/P1/study/series,body,T,0.1,0.6,0.1,60,0,0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("spines.csv.gz", SPINES), ("spine_detections.csv.gz", DETECTIONS)):
        with gzip.open(tmp_path / name, "wt") as file:
            file.write(text)
    return tmp_path


def test_bodies_are_read_in_order_with_their_detections(folder: Path) -> None:
    first, second = read_spines(folder)
    assert (first.id, first.patient, first.source, first.levels) == ("a", "P1", "COLONOG", (Level.L1, Level.L2))
    np.testing.assert_array_equal(first.positions_lps_mm, [[0, 0, 0], [0, 0, -34]])
    assert list(first.steps()) == [(Level.L1, Level.L2, 34.0)]
    assert first.detections_lps_mm.shape == first.regions.shape == (4, 3)
    assert second.levels == (Level.T9,) and second.detections_lps_mm.shape == (0, 3)


def test_detections_are_matched_one_to_one_nearest_first(folder: Path) -> None:
    spine = read_spines(folder)[0]
    assert matched(spine).tolist() == [1, -1, 0, -1]


@pytest.mark.parametrize(
    ("file", "patient"),
    [
        ("COLONOG/COLO4/1.3.6.0777/01-01-2000-55/1718", "1.3.6.0777"),
        ("Pancreas-CT/data/PANCREAS_0077.nii.gz", "PANCREAS_0077"),
        ("verse19/t/rawdata/sub-verse416/sub-verse416_split-verse279_ct.mha", "sub-verse416"),
        ("verse20/03_test/rawdata/sub-gl195/sub-gl195_dir-ax_ct.mha", "sub-gl195"),
    ],
)
def test_the_patient_is_in_the_path(file: str, patient: str) -> None:
    assert patient_of(file) == patient


def test_the_split_is_fixed_and_about_three_in_ten() -> None:
    assert [is_kept_apart(f"p{i}") for i in range(6)] == [True, False, True, True, False, False]
    assert np.mean([is_kept_apart(f"p{i}") for i in range(5000)]) == pytest.approx(0.3, abs=0.02)


def test_a_missing_or_foreign_file_is_refused(folder: Path) -> None:
    with gzip.open(folder / "spines.csv.gz", "wt") as file:
        file.write("a,b\n1,2\n")
    with pytest.raises(InputError, match="no rows"):
        read_spines(folder)
    (folder / "spines.csv.gz").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read_spines(folder)


@pytest.mark.shared
def test_no_patient_is_on_both_sides(shared_data: Path) -> None:
    fit, apart = fit_and_apart(read_spines(shared_data))
    assert not {s.patient for s in fit} & {s.patient for s in apart}
    assert (len(fit), len(apart)) == (1313, 634)
