"""The methods as they ship: which runs there are, and what one does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from VertebraLabelingLib.methods.registry import (
    METHODS,
    PAPER_METHODS,
    load_method,
    refusal,
    used_methods,
    uses_sequence,
    weights_sha256,
)

from ..ablation.scan_scores import DEFAULT
from ..records import write_record
from .scores import Groups, Use, body_run, ids, scores_by_group, weight_bytes


@dataclass(frozen=True)
class Way:
    """A way to use shipped weights.  variant: of the method's `variant`, empty for the method as it is."""

    method: str
    config: str = "default"
    variant: Mapping[str, Any] = field(default_factory=dict)


WHOLE = {name: Way(name) for name in METHODS} | {f"{name}-paper": Way(name, "paper") for name in PAPER_METHODS}
"""Every method, and as its paper describes it."""
ENSEMBLES = {"ensemble-of-papers": Way("ensemble", variant={"members": list(PAPER_METHODS)})}
"""The ensemble with some of its members only."""
VIEWS = {f"multi-view-{k}-views": Way("multi-view", variant={"views": k}) for k in (5, 10, 20)}
BAGGING = {"multi-view-bagging": Way("multi-view", variant={"voting": False})}
"""Each vertebra has the level that most views say, see `voting.bagged`."""
WAYS = WHOLE | ENSEMBLES | VIEWS | BAGGING


@dataclass(frozen=True)
class MethodPlan:
    """One run without any training; see `records.Planned`."""

    name: str
    way: Way
    configuration: Mapping[str, Any]
    seed: int = 0


def reason_to_leave_out(name: str) -> str:
    """Why a run cannot be made here, in a sentence; "" when it can."""
    way = WAYS[name]
    return next(filter(None, map(refusal, way.variant.get("members", (way.method,)))), "")


def members_of(way: Way) -> tuple[str, ...]:
    """The methods that run; ModelError as `used_methods`."""
    return tuple(way.variant.get("members", ())) or used_methods(way.method)


def hashes_of(way: Way) -> dict[str, str]:
    """Hash of each weight file in use, by its role."""
    return {role: sha256 for member in members_of(way) for role, sha256 in weights_sha256(member).items()}


def make_method_plan(name: str, groups: Groups, measures_body: bool) -> MethodPlan:
    """The run of that name of `WAYS`; ModelError when its weights are missing."""
    way = WAYS[name]
    configuration = {
        "method": way.method,
        "config": way.config,
        "variant": dict(way.variant),
        "weights_sha256": hashes_of(way),
        "cases": ids(groups),
        "body": measures_body and name in WHOLE,
    }
    return MethodPlan(name, way, configuration)


def execute_method(plan: MethodPlan, groups: Groups, body: Path | None, output: Path) -> Path:
    """Score and store one run; returns its JSON file.  body: the CT on which time and memory are measured."""
    way = plan.way
    method = load_method(way.method, config=way.config)
    if way.variant:
        method = method.variant(**way.variant)  # type: ignore[attr-defined]
    uses = {DEFAULT: Use(method, uses_sequence(way.method, way.config))}
    values: dict[str, Any] = {
        "members": members_of(way),
        "weight_bytes": weight_bytes(hashes_of(way)),
        "scans": scores_by_group(uses, groups),
    }
    if plan.configuration["body"] and body is not None:
        values["body"] = body_run(body, way.method, way.config)
    return write_record(output, plan, values)
