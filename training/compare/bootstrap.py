"""How far the id-rate would be another one with other patients: a bootstrap over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..evaluate import ScanResult

RESAMPLES = 10_000
SHARE = 0.95
_SEED = 0


def id_rate_interval(results: Sequence[ScanResult], patients: Sequence[str]) -> dict[str, float] | None:
    """The middle `SHARE` of the id-rates of as many patients drawn with replacement: "low" and "high", 0..1.

    patients: of each result; all scans of one are drawn together.  Those without a vertebra, of which an id-rate says
    nothing, are left out; None when all are.
    """
    true, named = Counter[str](), Counter[str]()
    for result, patient in zip(results, patients, strict=True):
        true[patient] += len(result.vertebrae)
        named[patient] += sum(vertebra.error_mm is not None for vertebra in result.vertebrae)
    counts = np.array([(named[patient], count) for patient, count in true.items() if count])
    if not len(counts):
        return None
    draws = np.random.default_rng(_SEED).integers(0, len(counts), (RESAMPLES, len(counts)))
    named_there, true_there = counts[draws].sum(1).T
    low, high = np.quantile(named_there / true_there, [(1 - SHARE) / 2, (1 + SHARE) / 2]).tolist()
    return {"low": low, "high": high}
