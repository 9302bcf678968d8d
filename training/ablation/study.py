"""The runs of the comparison: each trains one network with one seed, scores it and leaves one JSON file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from VertebraLabelingLib.core.errors import UsageError

from ..cases import Case
from ..loop import load_averaged, train
from ..records import run_folder, write_record
from ..settings import RunSettings, read_configuration
from ..tasks import Task, make_task
from .baselines import VARIANTS
from .scan_scores import corridor_curve, fusion_scores, method_scores, shipped_method
from .task import VariantTask
from .window_scores import answers_of, window_scores

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
WINDOWS = "ablation-windows.toml"
WHOLE = {"qin": "ablation-qin.toml", "sites": "ablation-sites.toml"}
NAMES = (*VARIANTS, *WHOLE)
"""What can be run: the variants of Tables I-III, and the two methods on whole scans."""
HELD_OUT_PHANTOMS = 10


@dataclass(frozen=True)
class Data:
    """Cases to train on, and those to judge on: real scans (split val) and phantoms kept apart."""

    train: list[Case]
    val: list[Case]
    phantoms: list[Case]


@dataclass(frozen=True)
class Plan:
    """One run.  configuration: everything that decides its result, as plain values."""

    name: str
    seed: int
    task: Task
    run: RunSettings
    configuration: dict[str, Any]


def split_data(cases: Iterable[Case], held_out: int = HELD_OUT_PHANTOMS) -> Data:
    """Real scans by their split; of the phantoms the last `held_out` by name are kept apart.

    UsageError when there is nothing to train on or nothing to judge on.
    """
    cases = sorted(cases, key=lambda case: case.id)
    phantoms = [case for case in cases if case.split == "phantom"]
    kept = max(0, len(phantoms) - held_out)
    training = [case for case in cases if case.split == "train"] + phantoms[:kept]
    val = [case for case in cases if case.split == "val"]
    if not training or not val:
        raise UsageError("The cache has no training case or none of the split val; run `prepare` first.")
    return Data(training, val, phantoms[kept:])


def make_plan(name: str, seed: int, steps: int | None = None) -> Plan:
    """The run of that name; `steps` overrides its configuration.  UsageError for an unknown name."""
    if name not in NAMES:
        raise UsageError(f"There is no comparison '{name}'; use one of: {', '.join(NAMES)}.")
    values = read_configuration(CONFIGS / WHOLE.get(name, WINDOWS))
    run = replace(values.run, seed=seed, steps=steps or values.run.steps)
    if name in VARIANTS:
        task: Task = VariantTask(name, values.network, values.windows)
    else:
        task = make_task(values.task, values.network, values.windows)
    return plan_of(name, task, run)


def plan_of(name: str, task: Task, run: RunSettings, **more: Any) -> Plan:
    """A training as a run to plan.  more: what else decides its result."""
    configuration = {"network": task.metadata(), "windows": asdict(task.windows), "run": asdict(run), **more}
    return Plan(name, run.seed, task, run, json.loads(json.dumps(configuration)))


def execute(plan: Plan, data: Data, output: Path) -> Path:
    """Train, score and store one run; returns its JSON file.  The checkpoint stays beside it."""
    network, values = trained(plan, data, output)
    windows, scans = _scored_windows(plan, network, data), _scored_scans(plan, network, data, run_folder(output, plan))
    return write_record(output, plan, {**values, "windows": windows, "scans": scans})


def trained(
    plan: Plan, data: Data, output: Path, start_encoder: Path | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a run, trained and ready to answer, and what the record says of the training."""
    started = time.monotonic()
    checkpoint = train(plan.task, data.train, plan.run, run_folder(output, plan), start_encoder=start_encoder)
    seconds = time.monotonic() - started
    network = plan.task.build_network()
    load_averaged(network, checkpoint)
    return network.eval(), {
        "parameters": sum(p.numel() for p in network.parameters()),
        "training_seconds": round(seconds, 1),
        "cases": {key: len(getattr(data, key)) for key in ("train", "val", "phantoms")},
        "real_training_scans": sum(case.split == "train" for case in data.train),
    }


def _scored_windows(plan: Plan, network: nn.Module, data: Data) -> dict[str, Any]:
    """Window scores of "val" and "phantoms"; nothing for `sites`, which answers no fixed levels."""
    if plan.name == "sites":
        return {}
    groups = {"val": data.val, "phantoms": data.phantoms}
    return {key: window_scores(answers_of(network, plan.task, cases)) for key, cases in groups.items() if cases}


def _scored_scans(plan: Plan, network: nn.Module, data: Data, folder: Path) -> dict[str, Any]:
    """Scores of the whole scans of val by the way in which the network is used."""
    scores: dict[str, Any] = {}
    if plan.name in WHOLE:
        scores |= method_scores(shipped_method(plan.task, network, folder / "weights.npz"), data.val)
    if plan.name not in ("sites", "classification-only"):
        scores |= fusion_scores(network, corridor_curve(), data.val)
    return scores
