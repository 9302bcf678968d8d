"""Cross-validation by patient: nobody is judged by a network that has seen them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import NothingFoundError
from VertebraLabelingLib.core.labelling import Evidence

from training import leave_out
from training.case_scores import judged
from training.cases import Case
from training.leave_out import folds_by_patient, followed, is_torso, run_base, run_fold, torso_to_learn
from training.settings import Configuration


def _case(name: str, split: str = "train", patient: str = "", count: int = 5) -> Case:
    levels = np.arange(Level.T1, Level.T1 + count)
    points = np.array([[200.0 - 22 * n, 50.0, 50.0] for n in range(count)]).reshape(-1, 3)
    return Case(name, split, Path(), np.zeros(3), levels, points, patient=patient)


CASES = [
    _case("a-1", patient="a"),
    _case("a-2", patient="a", count=8),
    _case("b", patient="b", count=9),
    _case("c", patient="c", count=3),
    _case("none", count=0),
    _case("c-legs", patient="c", count=0),
    _case("v", "val"),
    _case("neck-001"),
    _case("neck-002", "val"),
    _case("neck-003", "pseudo"),
    _case("phantom-0", "phantom"),
]


def test_torso_scans_are_the_real_annotated_ones() -> None:
    assert [case.id for case in CASES if is_torso(case)] == ["a-1", "a-2", "b", "c", "v"]


@pytest.mark.parametrize("count", [1, 2, 3, 99])
def test_no_patient_is_in_two_folds(count: int) -> None:
    folds = folds_by_patient(CASES[:4], count)
    assert sorted(case.id for fold in folds for case in fold) == ["a-1", "a-2", "b", "c"]
    assert len(folds) == min(count, 3)
    patients = [{case.patient for case in fold} for fold in folds]
    assert sum(map(len, patients)) == len(set.union(*patients))


def test_folds_are_of_like_size() -> None:
    assert sorted(sum(len(case.levels) for case in fold) for fold in folds_by_patient(CASES[:4], 2)) == [12, 13]


def test_nothing_learns_from_whom_it_is_judged_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    learnt: list[set[str]] = []

    def record(task: object, cases: list[Case], run: object, folder: Path, start: Path | None) -> Path:
        learnt.append({case.id for case in cases})
        folder.mkdir()
        return folder / "last.ckpt"

    monkeypatch.setattr(leave_out, "train", record)
    configuration = Configuration(task="sites")
    base = run_base(configuration, CASES, tmp_path / "base")
    run_fold(configuration, CASES, [CASES[0]], tmp_path / "fold", base)
    assert learnt[0] == {"none", "neck-001", "neck-003", "phantom-0"}
    # the other scan of the same patient is left out as well
    assert learnt[1] == {"b", "c", "c-legs", "none", "neck-001", "neck-003", "phantom-0"}


def test_scores_are_calibrated_on_torso_scans_that_the_fold_learns() -> None:
    assert [case.id for case in torso_to_learn(CASES, [CASES[0]])] == ["b", "c"]


def test_a_vertebra_is_followed_where_the_curve_of_the_corridor_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leave_out, "scan_of", lambda case: case.id)

    class Straight:
        def spine_curve(self, name: str) -> np.ndarray:
            if name == "c":
                raise NothingFoundError("nothing")
            return np.array([[50.0, 60.0, z] for z in np.arange(95.0, 300.0, 8.0)])

    assert followed(Straight(), [CASES[1], CASES[3]]) == {"a-2": (6, 8), "c": (0, 3)}  # at 68 and 46 mm it has ended


def test_a_finished_run_is_not_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(leave_out, "train", lambda *args: pytest.fail("trained again"))
    (tmp_path / "base").mkdir()
    for name in ("last.ckpt", "finished"):
        (tmp_path / "base" / name).touch()
    assert run_base(Configuration(task="sites"), CASES, tmp_path / "base") == tmp_path / "base" / "last.ckpt"


def test_a_case_is_judged_by_its_own_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    case = Case("x", "train", tmp_path, np.zeros(3), CASES[0].levels, CASES[0].points_zyx_mm)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.2mm.npy", rng.normal(0, 300, (120, 50, 50)).astype(np.int16))

    class Oracle:
        name = "oracle"

        def find(self, scan: object, progress: object) -> Evidence:
            log_probs = np.full((len(case.levels), len(Level)), -8.0)
            log_probs[np.arange(len(case.levels)), case.levels] = 0.0
            return Evidence(case.points_zyx_mm[:, ::-1].copy(), log_probs, np.full(len(case.levels), 0.95))

    monkeypatch.setattr("VertebraLabelingLib.pipeline.check_ct", lambda scan: scan)
    (result,) = judged(Oracle(), [case])
    assert result.wholly_right and len(result.vertebrae) == len(case.levels)
