"""What a network says of whole scans: the votes of its windows fused in several ways, scored with the VerSe metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn
from VertebraLabelingLib.core.errors import NothingFoundError
from VertebraLabelingLib.core.fuse import Fused, Votes
from VertebraLabelingLib.core.progress import silent
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.engines.network import TorchNetwork
from VertebraLabelingLib.engines.weights import load_model, save_weights
from VertebraLabelingLib.methods.corridor import load_corridor
from VertebraLabelingLib.methods.integral_regression.method import CONFIGURATIONS, IntegralRegression
from VertebraLabelingLib.methods.level_evidence import evidence_of
from VertebraLabelingLib.methods.registry import load_method
from VertebraLabelingLib.pipeline import inside, most_likely

from ..case_scores import Named, judged, scan_of, truth_of
from ..cases import Case
from ..evaluate import ScanResult, evaluate_scan
from ..evaluation_report import json_report
from ..tasks import Task
from .fusions import FUSIONS

if TYPE_CHECKING:
    from VertebraLabelingLib.core.geometry import Points
    from VertebraLabelingLib.methods.base import Method

THRESHOLD = 0.5
"""Presence from which on a window's vote counts, as in the paper."""
PLACEMENTS = {"dense": True, "corridor": False}
DEFAULT = "default"
"""The whole method as it ships: corridor, fusion, sequence decoder."""

Scores = dict[str, Any]


def corridor_curve() -> Callable[[Scan], Points]:
    """Prepared scan -> (m, 3) LPS mm along the spine, by the corridor network that ships."""
    return load_corridor(load_model("corridor"), "cpu").spine_curve


def shipped_method(task: Task, network: nn.Module, file: Path, config: str = "default") -> Method:
    """The whole method with this network, by way of a weight file, as a user would run it."""
    save_weights(file, network.state_dict(), {"model": task.model_id, "network": task.metadata()})
    return load_method(task.model_id, file, config=config)


def fusion_scores(network: nn.Module, curve: Callable[[Scan], Points], cases: Iterable[Case]) -> dict[str, Scores]:
    """Scores of the fused votes by use ("dense k-means", "corridor weighted", ...), without the sequence decoder."""
    cases = tuple(cases)
    scores = {}
    for placement, dense in PLACEMENTS.items():
        votes = [votes_of(network, curve, scan_of(case), dense) for case in cases]
        for name, fuse in FUSIONS.items():
            found = ((case, _fused_points(v, fuse, case)) for v, case in zip(votes, cases, strict=True))
            scores[f"{placement} {name}"] = totals(evaluate_scan(c.id, truth_of(c), points) for c, points in found)
    return scores


def method_scores(method: Method, cases: Iterable[Case]) -> dict[str, Scores]:
    """`DEFAULT` -> scores of a whole method with the sequence decoder."""
    return {DEFAULT: totals(judged(method, cases))}


def votes_of(network: nn.Module, curve: Callable[[Scan], Points], scan: Scan, dense: bool) -> Votes | None:
    """What every window of a prepared scan says; None when there is no window, as no spine was found.

    curve: prepared scan -> (m, 3) LPS mm along the spine.
    """
    seen: list[Votes] = []

    def record(votes: Votes, threshold: float) -> Fused:
        seen.append(votes)
        return Fused(np.full((votes.presences.shape[1], 3), np.nan), votes.presences.max(axis=0))

    configuration = replace(CONFIGURATIONS[DEFAULT], dense=dense, fuse=record, threshold=THRESHOLD)
    try:
        IntegralRegression(TorchNetwork(network), network.settings, curve, configuration).find(scan, silent)
    except NothingFoundError:  # always: nothing was fused
        return seen[0] if seen else None
    raise AssertionError("candidates without a position")


def totals(results: Iterable[ScanResult]) -> Scores:
    """Totals and regions of `json_report`, without the rows of single scans."""
    report = json_report(tuple(results))
    return {"total": report["total"], **report["regions"]}


def _fused_points(votes: Votes | None, fuse: Callable[[Votes, float], Fused], case: Case) -> Named:
    if votes is None:
        return ()
    return most_likely(inside(evidence_of(fuse(votes, THRESHOLD)), scan_of(case).geometry)).points
