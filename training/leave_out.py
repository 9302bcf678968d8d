"""Cross-validation by patient: is the result on `val` luck?

One base network learns from everything but real torso scans; from it, one network per fold learns the torso scans of
all patients but the fold's, and is judged on those and, for comparison, on the torso scans of `val`, which none learns.
The corridor that all of them search in knows no real torso scan at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scipy.spatial import cKDTree
from VertebraLabelingLib.core.errors import NothingFoundError
from VertebraLabelingLib.engines.weights import load_weights, save_weights
from VertebraLabelingLib.methods.base import Method
from VertebraLabelingLib.methods.corridor import Corridor
from VertebraLabelingLib.methods.registry import method_of

from .calibration import fitted
from .case_scores import scan_of
from .cases import Case
from .evidence import gathered, sample_of
from .loop import LAST_CHECKPOINT, train
from .method_calibration import judged_candidates
from .run_weights import weights_of_run
from .settings import Configuration
from .tasks import make_task

FINISHED = "finished"
"""A file of this name tells a run that came to its end; checkpoints are written before."""
NEAR_MM = 20.0
"""Windows along a curve that runs this near show a vertebra well."""
NECK_PREFIX = "neck-"
"""The head-neck planning scans; their 13 levels are plentiful and judged apart."""


def is_torso(case: Case) -> bool:
    """Whether a case is a real, annotated scan of the trunk or head from a whole-body or torso protocol."""
    return case.split in ("train", "val") and len(case.levels) > 0 and not case.id.startswith(NECK_PREFIX)


def folds_by_patient(cases: Sequence[Case], count: int) -> list[list[Case]]:
    """The cases in `count` groups of about as many vertebrae, never one patient in two."""
    by_patient: dict[str, list[Case]] = {}
    for case in cases:
        by_patient.setdefault(case.person, []).append(case)
    groups: list[list[Case]] = [[] for _ in range(min(count, len(by_patient)))]
    for patient in sorted(by_patient.values(), key=lambda group: (-_vertebrae(group), group[0].id)):
        min(groups, key=_vertebrae).extend(patient)
    return groups


def _vertebrae(cases: Sequence[Case]) -> int:
    return sum(len(case.levels) for case in cases)


def run_base(configuration: Configuration, cases: Sequence[Case], folder: Path) -> Path:
    """The checkpoint that knows no patient with a real torso scan; an existing one is taken as it is."""
    return _trained(configuration, _without(cases, [case for case in cases if is_torso(case)]), folder, None)


def run_fold(
    configuration: Configuration,
    cases: Sequence[Case],
    held_out: Sequence[Case],
    folder: Path,
    start: Path,
) -> Path:
    """The checkpoint after learning from all but `val` and the patients of `held_out`."""
    return _trained(configuration, _without(cases, held_out), folder, start)


def torso_to_learn(cases: Sequence[Case], held_out: Sequence[Case]) -> list[Case]:
    """The real torso scans that `run_fold` learns from."""
    return [case for case in _without(cases, held_out) if is_torso(case)]


def _without(cases: Sequence[Case], held_out: Sequence[Case]) -> list[Case]:
    """Neither `val` nor any scan of these patients."""
    patients = {case.person for case in held_out}
    return [case for case in cases if case.split != "val" and case.person not in patients]


def _trained(configuration: Configuration, cases: Sequence[Case], folder: Path, start: Path | None) -> Path:
    last, finished = folder / LAST_CHECKPOINT, folder / FINISHED
    task = make_task(configuration.task, configuration.network, configuration.windows)
    if not finished.exists():
        last = train(task, cases, configuration.run, folder, start)
        finished.touch()
    return last


def followed(corridor: Corridor, cases: Sequence[Case]) -> dict[str, tuple[int, int]]:
    """By case, how many of its vertebrae lie within `NEAR_MM` of the curve that the corridor finds, of how many."""
    return {case.id: (_near(corridor, case), len(case.levels)) for case in cases}


def _near(corridor: Corridor, case: Case) -> int:
    try:
        curve_lps_mm = corridor.spine_curve(scan_of(case))
    except NothingFoundError:
        return 0
    distances, _ = cKDTree(curve_lps_mm).query(case.points_zyx_mm[:, ::-1])
    return int((distances < NEAR_MM).sum())


def fold_method(
    configuration: Configuration, checkpoint: Path, corridor: Corridor, learnt: Sequence[Case], folder: Path
) -> Method:
    """The method with the network of a checkpoint, its scores calibrated on scans that it learnt from.

    folder: for its weight files.
    """
    raw = weights_of_run(configuration, [checkpoint], folder / "raw.npz")
    pieces = gathered(folder / "evidence.npz", method_of(raw, corridor=corridor), learnt, crops=0)
    calibration = list(fitted(*judged_candidates([sample_of(piece) for piece in pieces])))
    network = {**raw.metadata["network"], "score_calibration": calibration}
    save_weights(folder / "weights.npz", raw.arrays, {**raw.metadata, "network": network})
    return method_of(load_weights(folder / "weights.npz"), corridor=corridor)
