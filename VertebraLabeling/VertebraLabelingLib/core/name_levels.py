"""From decoded levels to the labelling a user reads: probabilities, anchors, alternatives, remarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .anatomy import Level, regular_shift
from .anchors import levels_lower
from .labelling import UNCERTAIN, UNCERTAIN_BELOW, Alternative, Evidence, LabelledPoint, Labelling

Array = NDArray[np.float64]
Path = list[tuple[int, int]]
Missed = tuple[Level, ...]


_OFF_BY = {-2: 0.05, -1: 0.45, 1: 0.45, 2: 0.05}
"""Share of each number of levels in the doubt of a column without an anchor."""
_LONG_GAP_MM = 65.0
"""Four of the shortest steps: more vertebrae overlooked than the decoder allows, at least in the neck."""


@dataclass(frozen=True)
class CertaintySettings:
    """When the labelling admits doubt.

    unsure_mass: probability of all other levels, in the most doubtful part of the column, from which on the level
    counts as unsure.  alternative_probability: from which on an alternative is listed.  anchor_probability,
    anchor_evidence: an anchor counts when the decoder gives its level at least the one, and its own picture (the
    method's level probability) at least the other.  unanchored_doubt: probability that the names of a column without
    an anchor are off as a whole, whatever their pictures say of it: neighbours err together; fitted to patients that
    the network had not learnt from (`python -m training leave-out --pieces`).
    """

    unsure_mass: float = 0.2
    alternative_probability: float = 0.02
    anchor_probability: float = 0.5
    anchor_evidence: float = 0.3
    unanchored_doubt: float = 0.15


@dataclass(frozen=True)
class Decoded:
    """What the decoder found.

    evidence: n candidates, cranio-caudal.  posterior: (n, 28) probability that a candidate is a vertebra of a level.
    path: (candidate, level) of the best labelling.  best_through: best path that gives one candidate another level.
    missed: per step of the path, the levels that were probably overlooked.  held: candidates that are anchors -> the
    point that each becomes.
    """

    evidence: Evidence
    posterior: Array
    path: Path
    best_through: Callable[[tuple[int, int]], Path]
    missed: list[Missed]
    held: Mapping[int, LabelledPoint] = field(default_factory=dict)


def named(decoded: Decoded, settings: CertaintySettings) -> Labelling:
    """The labelling with all that is known of its certainty."""
    found = _anchors(decoded, settings)
    if not found:
        decoded = replace(decoded, posterior=_maybe_off(decoded.posterior, settings.unanchored_doubt))
    alternatives = _alternatives(decoded, settings.alternative_probability)
    return Labelling(
        points=tuple(_point(decoded, state) for state in decoded.path),
        alternatives=alternatives,
        anchors=found,
        level_certain=bool(found) and bool(_doubt(decoded)[_pivot(decoded)] < settings.unsure_mass),
        remarks=_remarks(decoded),
    )


def _maybe_off(posterior: Array, doubt: float) -> Array:
    """(n, 28) probabilities when the whole column may be off by one or two; T13 and L6 lose what the others gain."""
    off = [doubt * share * levels_lower(posterior, steps, 0.0) for steps, share in _OFF_BY.items()]
    return np.asarray((1.0 - doubt) * posterior + np.sum(off, axis=0))


def _point(decoded: Decoded, state: tuple[int, int]) -> LabelledPoint:
    candidate, level = state
    if candidate in decoded.held:
        return decoded.held[candidate]
    x, y, z = (float(v) for v in decoded.evidence.positions_lps_mm[candidate])
    probability = float(min(1.0, decoded.posterior[candidate, level]))
    return LabelledPoint(Level(level), (x, y, z), probability, UNCERTAIN if probability < UNCERTAIN_BELOW else "")


def _conditional(decoded: Decoded) -> Array:
    """(p, 28) level probabilities of the path's points, given that each is a vertebra."""
    mass = decoded.posterior[[candidate for candidate, _ in decoded.path]]
    return np.asarray(mass / mass.sum(axis=1, keepdims=True))


def _doubt(decoded: Decoded) -> Array:
    """(p,) probability that the level is another one, for a point together with the surer of its neighbours.

    A single doubtful point (an S1 that may be an L6) is the point's own matter; a column's level is in doubt where
    neighbours are.
    """
    conditional = _conditional(decoded)
    own = 1.0 - conditional[np.arange(len(decoded.path)), [level for _, level in decoded.path]]
    if len(own) == 1:
        return np.asarray(own)
    beside = np.maximum(np.append(own[1:], 0.0), np.insert(own[:-1], 0, 0.0))
    return np.asarray(np.minimum(own, beside))


def _pivot(decoded: Decoded) -> int:
    """Index in the path of the point at which the column's level is most in doubt."""
    return int(np.argmax(_doubt(decoded)))


def _alternatives(decoded: Decoded, least: float) -> tuple[Alternative, ...]:
    """For each other level of the pivot, the best consistent naming with it, the most probable first."""
    pivot = _pivot(decoded)
    candidate, level = decoded.path[pivot]
    mass = _conditional(decoded)[pivot]
    others = [Level(i) for i in np.argsort(-mass) if i != level and mass[i] >= least]
    return tuple(_alternative(decoded, candidate, Level(level), other, float(mass[other])) for other in others)


def _alternative(decoded: Decoded, candidate: int, level: Level, other: Level, probability: float) -> Alternative:
    renamed = {c: Level(v) for c, v in decoded.best_through((candidate, other))}
    return Alternative(tuple(renamed.get(c) for c, _ in decoded.path), _shift(level, other), probability)


def _shift(level: Level, other: Level) -> int:
    """Steps from `level` down to `other` in the regular order; between L5 and L6 or T12 and T13 one step."""
    steps = next(d for d in range(-len(Level), len(Level)) if regular_shift(level, d) == regular_shift(other, 0))
    return steps or int(np.sign(other - level))


def _anchors(decoded: Decoded, settings: CertaintySettings) -> tuple[Level, ...]:
    """Levels that fix the counting: those confirmed, and dens, first and last rib, sacrum if seen, not counted to."""
    levels = {Level(level) for _, level in decoded.path}
    return tuple(
        Level(level)
        for candidate, level in decoded.path
        if candidate in decoded.held
        or (_is_seen(decoded, candidate, level, settings) and is_anchor(Level(level), levels))
    )


def _is_seen(decoded: Decoded, candidate: int, level: int, settings: CertaintySettings) -> bool:
    own = np.exp(decoded.evidence.level_log_probs[candidate, level])
    return bool(own >= settings.anchor_evidence and decoded.posterior[candidate, level] >= settings.anchor_probability)


def is_anchor(level: Level, levels: set[Level]) -> bool:
    """Whether a level tells itself; a rib is the first or last only when the vertebra beyond it is in view."""
    if level in (Level.C1, Level.C2, Level.S1):
        return True
    needed = {
        Level.T1: {Level.C7},
        Level.T12: {Level.L1},
        Level.T13: {Level.L1},
        Level.L1: {Level.T11, Level.T12, Level.T13},
        Level.L5: {Level.S1},
        Level.L6: {Level.S1},
    }
    return bool(needed.get(level, set()) & levels)


def _remarks(decoded: Decoded) -> tuple[str, ...]:
    """Missed vertebrae, numerical variants and strong candidates that fit no consistent labelling."""
    gaps = [
        f"{', '.join(x.name for x in missed)} between {Level(above).name} and {Level(below).name} not found"
        for ((_, above), (_, below)), missed in zip(pairwise(decoded.path), decoded.missed, strict=True)
        if missed
    ]
    return (*gaps, *_variants(decoded), *_left_out(decoded))


def _variants(decoded: Decoded) -> list[str]:
    sentences = {
        (Level.T11, Level.L1): "11 thoracic vertebrae: T12 seems absent",
        (Level.T12, Level.T13): "13 thoracic vertebrae",
        (Level.L4, Level.S1): "4 lumbar vertebrae: L5 seems absent",
        (Level.L5, Level.L6): "6 lumbar vertebrae",
    }
    direct = [(a, b) for ((_, a), (_, b)), m in zip(pairwise(decoded.path), decoded.missed, strict=True) if not m]
    return [sentences[Level(a), Level(b)] for a, b in direct if (a, b) in sentences]


def _left_out(decoded: Decoded) -> list[str]:
    """Candidates that are more probably than not a vertebra by themselves but outside the path, by where they are."""
    kept = {candidate for candidate, _ in decoded.path}
    strong = [i for i, score in enumerate(decoded.evidence.scores) if score >= 0.5 and i not in kept]
    (first, top), (last, bottom) = decoded.path[0], decoded.path[-1]
    beside = [i for i in strong if first < i < last]
    beyond = [(f"above {Level(top).name}", first, [i for i in strong if i < first])]
    beyond.append((f"below {Level(bottom).name}", last, [i for i in strong if i > last]))
    remarks = [f"{_candidates(beside)} off the line left out"] if beside else []
    return remarks + [_beyond(decoded, where, end, outside) for where, end, outside in beyond if outside]


def _beyond(decoded: Decoded, where: str, end: int, outside: list[int]) -> str:
    """Of candidates past an end of the column, perhaps the rest of it beyond too many overlooked vertebrae."""
    positions = decoded.evidence.positions_lps_mm
    gap_mm = float(np.linalg.norm(positions[outside] - positions[end], axis=1).min())
    reason = f", {gap_mm:.0f} mm away: too far to count across" if gap_mm > _LONG_GAP_MM else ""
    return f"{_candidates(outside)} {where} left out{reason}"


def _candidates(indices: list[int]) -> str:
    return f"{len(indices)} candidate{'s' if len(indices) > 1 else ''}"
