"""Temperature and confusion of the level evidence by maximum likelihood of the true levels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.chain import Chain, posterior
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.core.sequence import SequenceSettings, build_chain, unary_terms
from VertebraLabelingLib.core.spine_axis import steps_along_spine

from .samples import Sample

TEMPERATURES = (1.0, 1.5, 2.0, 2.5, 3.5, 5.0)
CONFUSIONS = (0.02, 0.05, 0.1, 0.2, 0.3)

_LEAST = 1e-6


def fit_emission(
    samples: Sequence[Sample],
    start: SequenceSettings,
    temperatures: Sequence[float] = TEMPERATURES,
    confusions: Sequence[float] = CONFUSIONS,
) -> tuple[SequenceSettings, dict[tuple[float, float], float]]:
    """(`start` with the best temperature and confusion of the grid, loss of each pair).

    The loss is the mean over the found vertebrae of -log posterior of the true level, in nats.
    """
    prepared = [_prepared(sample, start) for sample in samples]
    losses = {
        (temperature, confusion): _log_loss(prepared, replace(start, temperature=temperature, confusion=confusion))
        for temperature, confusion in product(temperatures, confusions)
    }
    temperature, confusion = min(losses, key=losses.__getitem__)
    return replace(start, temperature=temperature, confusion=confusion), losses


@dataclass(frozen=True)
class _Prepared:
    """A sample in the order of its chain, whose pair terms no emission changes."""

    evidence: Evidence
    truth: NDArray[np.intp]
    chain: Chain


def _prepared(sample: Sample, settings: SequenceSettings) -> _Prepared:
    found = sample.evidence
    steps = steps_along_spine(found.positions_lps_mm, found.scores)
    order = steps.order
    ordered = found.taken(order)
    return _Prepared(ordered, sample.truth[order], build_chain(ordered, steps, settings))


def _log_loss(prepared: Iterable[_Prepared], settings: SequenceSettings) -> float:
    losses: list[float] = []
    for each in prepared:
        chain = replace(each.chain, unary=unary_terms(each.evidence, settings))
        true = np.flatnonzero(each.truth >= 0)
        losses.extend(-np.log(np.maximum(posterior(chain).levels[true, each.truth[true]], _LEAST)))
    return float(np.mean(losses))
