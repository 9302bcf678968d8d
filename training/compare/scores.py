"""How well, how fast and with how much memory a method labels; everything a run of the comparison stores."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from VertebraLabelingLib.core.errors import NothingFoundError, VertebraLabelingError
from VertebraLabelingLib.engines.weights import find_model

from ..ablation.scan_scores import totals
from ..case_scores import labelled, truth_of
from ..cases import Case, cache_phantoms
from ..evaluate import ScanResult, evaluate_scan
from ..seeds import FRESH_SEED
from .bootstrap import id_rate_interval

if TYPE_CHECKING:
    from VertebraLabelingLib.methods.base import Method

Groups = Mapping[str, Sequence[Case]]
"""Cases to judge on, by what they are: "scans", "phantoms"."""


@dataclass(frozen=True)
class Use:
    """A method as it is used.  decode: whether the sequence decoder follows."""

    method: Method
    decode: bool = True


def ids(groups: Groups) -> dict[str, list[str]]:
    """Group -> ids of its cases, for the configuration of a run."""
    return {group: [case.id for case in cases] for group, cases in groups.items()}


def fresh_phantoms(folder: Path, count: int) -> list[Case]:
    """Random phantoms that no training has seen; made once and kept in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return list(cache_phantoms(folder, count, first_seed=FRESH_SEED))


def scores_by_group(uses: Mapping[str, Use], groups: Groups) -> dict[str, dict[str, Any]]:
    """Group -> name of the use -> `timed_totals`; a group without a case is left out."""
    return {
        group: {name: timed_totals(use, cases) for name, use in uses.items()}
        for group, cases in groups.items()
        if cases
    }


def timed_totals(use: Use, cases: Sequence[Case]) -> dict[str, Any]:
    """`totals`, and further: "id_rate_interval", "seconds_per_scan" and "failures".

    These are `bootstrap.id_rate_interval`, the mean wall time from prepared scan to names, and what is wrong.
    """
    results, seconds = [], 0.0
    for case in cases:
        started = time.perf_counter()
        found = labelled(use.method, case, use.decode)
        seconds += time.perf_counter() - started
        results.append(evaluate_scan(case.id, truth_of(case), found))
    failures = [failure(result) for result in results if not result.wholly_right]
    return {
        **totals(results),
        "id_rate_interval": id_rate_interval(results, [case.person for case in cases]),
        "seconds_per_scan": seconds / len(cases),
        "failures": failures,
    }


def failure(result: ScanResult) -> dict[str, Any]:
    """What is wrong with one scan, as plain values: levels that are not named right, and false positives."""
    return {
        "scan": result.scan_id,
        "vertebrae": len(result.vertebrae),
        "missed": [vertebra.level.name for vertebra in result.vertebrae if vertebra.error_mm is None],
        "false": [label.level.name for label in result.labels if label.false_positive],
    }


def weight_bytes(roles: Iterable[str]) -> int:
    """Size of the weight files with these roles."""
    return sum(find_model(role).weights.path.stat().st_size for role in roles)


def body_run(ct: Path, name: str, config: str) -> dict[str, Any]:
    """Seconds, peak memory and exit code of the command line on one CT, in a process of its own.

    VertebraLabelingError when it fails; to find no vertebra is no failure.
    """
    from ..bench import label_in_child

    with tempfile.TemporaryDirectory() as folder:
        child = label_in_child(ct, Path(folder) / "body.mrk.json", name, config)
    if child.exit_code not in (0, NothingFoundError.exit_code):
        raise VertebraLabelingError(f"'{name}' ended with exit code {child.exit_code}; its message is above.")
    return asdict(child)
