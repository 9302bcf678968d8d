"""The parts of Wu et al. one by one: the same small network, trained with and without each of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn
from VertebraLabelingLib.methods.registry import uses_sequence

from ..ablation.scan_scores import DEFAULT, shipped_method
from ..ablation.study import CONFIGS, Data, Plan, plan_of, trained
from ..loop import LAST_CHECKPOINT
from ..records import is_finished, run_folder, write_record
from ..settings import read_configuration
from ..tasks import make_task
from .scores import Groups, Use, ids, scores_by_group

PRETRAINING = "multi-view-pretraining"
VARIANTS = {
    "multi-view-baseline": {"pretrained": False, "sequence_loss": False},
    "multi-view-pretrained": {"pretrained": True, "sequence_loss": False},
    "multi-view-sequence": {"pretrained": True, "sequence_loss": True},
}
"""In the order of the paper's Table 2: each adds one part to the one before."""
TRAININGS = (PRETRAINING, *VARIANTS)
BAGGED, VOTED = "bagging", "voting"


def make_training_plan(name: str, seed: int, steps: int | None, groups: Groups) -> Plan:
    """The run of that name of `TRAININGS`; `steps` overrides its configuration.  groups: what it is judged on."""
    file = "compare-pretraining.toml" if name == PRETRAINING else "compare-multi-view.toml"
    values = read_configuration(CONFIGS / file)
    run = replace(values.run, seed=seed, steps=steps or values.run.steps)
    variant = VARIANTS.get(name, {})
    switches = {"sequence_loss": variant["sequence_loss"]} if variant else {}
    task = make_task(values.task, {**values.network, **switches}, values.windows)
    return plan_of(name, task, run, **variant, **({"cases": ids(groups)} if variant else {}))


def execute_training(plan: Plan, data: Data, groups: Groups, output: Path) -> Path:
    """Train, score and store one run; returns its JSON file.  The pre-training that it starts from is run before it."""
    if plan.name == PRETRAINING:
        return write_record(output, plan, {**trained(plan, data, output)[1], "scans": {}})
    network, values = trained(plan, data, output, _encoder(plan, data, output))
    scans = scores_by_group(_uses(plan, network, run_folder(output, plan) / "weights.npz"), groups)
    return write_record(output, plan, {**values, "scans": scans})


def _encoder(plan: Plan, data: Data, output: Path) -> Path | None:
    """Checkpoint of the pre-training with the same seed and as many steps, for a run that starts from one."""
    if not plan.configuration["pretrained"]:
        return None
    before = make_training_plan(PRETRAINING, plan.seed, plan.run.steps, {})
    if not is_finished(output, before):
        execute_training(before, data, {}, output)
    return run_folder(output, before) / LAST_CHECKPOINT


def _uses(plan: Plan, network: nn.Module, file: Path) -> dict[str, Use]:
    """As in the paper without its voting, by bagging, and with it and the correction; and as we use the network."""
    paper = shipped_method(plan.task, network, file, "paper")
    bagged = paper.variant(voting=False, correct=False)  # type: ignore[attr-defined]
    decode = uses_sequence("multi-view", "paper")
    return {
        BAGGED: Use(bagged, decode),
        VOTED: Use(paper, decode),
        DEFAULT: Use(shipped_method(plan.task, network, file)),
    }
