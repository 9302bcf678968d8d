"""Cross-validation by patient: is the result on `val` luck?

One base network learns from everything but real torso scans; from it, one network per fold learns the torso scans of
all patients but the fold's, and is judged on those and, for comparison, on the torso scans of `val`, which none learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from VertebraLabelingLib.methods.base import Method

from .cases import Case
from .loop import LAST_CHECKPOINT, load_averaged, train
from .settings import Configuration
from .tasks import make_task

FINISHED = "finished"
"""A file of this name tells a run that came to its end; checkpoints are written before."""
NECK_PREFIX = "neck-"
"""The head-neck planning scans; their 13 levels are plentiful and judged apart."""


def is_torso(case: Case) -> bool:
    """Whether a case is a real, annotated scan of the trunk or head from a whole-body or torso protocol."""
    return case.split in ("train", "val") and len(case.levels) > 0 and not case.id.startswith(NECK_PREFIX)


def folds_by_patient(cases: Sequence[Case], count: int) -> list[list[Case]]:
    """The cases in `count` groups of about as many vertebrae, never one patient in two."""
    by_patient: dict[str, list[Case]] = {}
    for case in cases:
        by_patient.setdefault(case.patient or case.id, []).append(case)
    groups: list[list[Case]] = [[] for _ in range(min(count, len(by_patient)))]
    for patient in sorted(by_patient.values(), key=lambda group: (-_vertebrae(group), group[0].id)):
        min(groups, key=_vertebrae).extend(patient)
    return groups


def _vertebrae(cases: Sequence[Case]) -> int:
    return sum(len(case.levels) for case in cases)


def run_base(configuration: Configuration, cases: Sequence[Case], folder: Path) -> Path:
    """The checkpoint that knows no patient with a real torso scan; an existing one is taken as it is."""
    patients = {case.patient or case.id for case in cases if is_torso(case)}
    known = [case for case in cases if case.split != "val" and (case.patient or case.id) not in patients]
    return _trained(configuration, known, folder / "base", None)


def run_fold(
    configuration: Configuration,
    cases: Sequence[Case],
    held_out: Sequence[Case],
    folder: Path,
    start: Path,
) -> Path:
    """The checkpoint after learning from all but `val` and the patients of `held_out`."""
    patients = {case.patient or case.id for case in held_out}
    known = [case for case in cases if case.split != "val" and (case.patient or case.id) not in patients]
    return _trained(configuration, known, folder, start)


def _trained(configuration: Configuration, cases: Sequence[Case], folder: Path, start: Path | None) -> Path:
    last, finished = folder / LAST_CHECKPOINT, folder / FINISHED
    task = make_task(configuration.task, configuration.network, configuration.windows)
    if not finished.exists():
        last = train(task, cases, configuration.run, folder, start)
        finished.touch()
    return last


def method_of(configuration: Configuration, checkpoint: Path, score_calibration: tuple[float, float]) -> Method:
    """The `sites` method with the network of a checkpoint and the corridor that ships."""
    from VertebraLabelingLib.engines.network import TorchNetwork
    from VertebraLabelingLib.engines.weights import load_model
    from VertebraLabelingLib.methods.corridor import load_corridor
    from VertebraLabelingLib.methods.sites import Sites
    from VertebraLabelingLib.methods.sites.settings import SitesSettings

    task = make_task(configuration.task, configuration.network, configuration.windows)
    network = task.build_network()
    load_averaged(network, checkpoint)
    settings = replace(SitesSettings.from_metadata(task.metadata()), score_calibration=score_calibration)
    return Sites(TorchNetwork(network), settings, load_corridor(load_model("corridor"), "cpu"), {})
