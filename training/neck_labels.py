"""Centroids for unlabelled neck scans: what several looks at a scan agree on and the organ masks confirm.

A network that finds vertebrae looks at each scan at several magnifications.  Two looks agree where their columns match
point by point without a gap.  The masks of the planning CT then judge: each body centre lies in front of the spinal
cord, and the brainstem ends above the ring of C1, so that the column is counted without a naming network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import NothingFoundError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling, positions_of
from VertebraLabelingLib.core.prepare import PREPARED_SPACING_MM, prepare
from VertebraLabelingLib.core.progress import silent
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.core.sequence import decode
from VertebraLabelingLib.core.spine_priors import spacing_mm
from VertebraLabelingLib.pipeline import inside

if TYPE_CHECKING:
    from VertebraLabelingLib.methods.base import Method

Points = NDArray[np.float64]
BRAINSTEM, CORD = 1, 2
AGREED_MM = 7.0
GAP = 1.5
"""A step this many times the median one hides a vertebra that both looks missed."""
LEAST_POINTS = 6
BEHIND_MM = (0.0, 28.0)
"""How far the middle of the cord lies behind a body centre; 13 to 26 mm in the annotated training necks, C1 3 to 12."""
ASIDE_MM = 6.0
C1_BELOW_BRAINSTEM_MM = 8.0
"""How far C1 lies below the lowest brainstem slice: 3 to 14 mm in the annotated training necks, C2 25 to 31 mm."""
BRAINSTEM_TOLERANCE_MM = 9.0
LAST_FIRST = Level.C6
"""A run that begins lower is too far from the brainstem to be counted from it."""
SPACING_TOLERANCE, SPACING_TOLERANCE_ABOVE_C3 = 0.25, 0.30
"""Of a step, against what is usual there; C1 and C2 lie less precisely."""


@dataclass(frozen=True)
class Verdict:
    """points: the centroids that are kept, cranial first; empty with the reason when the scan is rejected."""

    points: tuple[LabelledPoint, ...]
    reason: str = ""


@dataclass(frozen=True)
class Masks:
    """What the organ masks say; LPS mm.

    cord: (n, 3) middle of the cord in each slice that shows it.  brainstem_bottom_mm: z of its lowest slice, None
    without one.
    """

    cord: Points
    brainstem_bottom_mm: float | None


def read_masks(organs: NDArray[np.integer], geometry: Geometry) -> Masks:
    """Masks of an organ volume (z, y, x) whose slices are axial."""
    slices = [n for n in range(len(organs)) if (organs[n] == CORD).any()]
    index = np.array([[n, *np.argwhere(organs[n] == CORD).mean(0)] for n in slices]).reshape(-1, 3)
    stem = np.argwhere(organs == BRAINSTEM)
    bottom = geometry.lps_from_index_zyx(stem)[:, 2].min() if len(stem) else None
    return Masks(geometry.lps_from_index_zyx(index), None if bottom is None else float(bottom))


def judge(looks: Sequence[Labelling], masks: Masks) -> Verdict:
    """The points that two looks agree on, named and confirmed; the agreement with the most points wins."""
    reasons = []
    verdicts = []
    for first, second in combinations(looks, 2):
        verdict = _judge_pair(first, second, masks)
        (verdicts if verdict.points else reasons).append(verdict)
    if verdicts:
        return max(verdicts, key=lambda verdict: len(verdict.points))
    return reasons[-1] if reasons else Verdict((), "fewer than two looks")


def _judge_pair(first: Labelling, second: Labelling, masks: Masks) -> Verdict:
    one, other = positions_of(first.points), positions_of(second.points)
    means = {(a, b): (one[a] + other[b]) / 2 for a, b in _agreed_pairs(one, other)}
    run = _longest_run([pair for pair, mean in means.items() if _before_cord(mean, masks.cord)], one)
    if len(run) < LEAST_POINTS:
        return Verdict((), f"looks agree on {len(run)} neighbours only")
    positions = np.array([means[pair] for pair in run])
    proposals = {first.levels[run[0][0]], second.levels[run[0][1]]}
    certain = first.level_certain and second.level_certain
    return _named(positions, proposals, certain, masks)


def _named(positions: Points, proposals: set[Level], certain: bool, masks: Masks) -> Verdict:
    """The column under the first level that the brainstem confirms; without one, that both looks are sure of."""
    if masks.brainstem_bottom_mm is not None:
        first, error_mm = _counted(float(positions[0, 2]), masks.brainstem_bottom_mm, masks.cord)
        if error_mm > BRAINSTEM_TOLERANCE_MM or first not in proposals:
            return Verdict((), f"counted from the brainstem it begins with {first.name} ({error_mm:.0f} mm off)")
    elif len(proposals) == 1 and certain:
        (first,) = proposals
    else:
        return Verdict((), "the looks are not sure of one name and there is no brainstem mask")
    levels = [Level(first + n) for n in range(len(positions))]
    kept = _usually_spaced(positions, levels)
    if kept.stop - kept.start < LEAST_POINTS:
        return Verdict((), "the spacing is not that of these levels")
    pairs = list(zip(levels, positions, strict=True))[kept]
    return Verdict(tuple(LabelledPoint(v, (float(x), float(y), float(z))) for v, (x, y, z) in pairs))


def _counted(first_z_mm: float, brainstem_bottom_mm: float, cord: Points) -> tuple[Level, float]:
    """The level whose usual place below the brainstem is nearest to the first point, and how far off it is (mm)."""
    below = _along_cord_mm(first_z_mm, brainstem_bottom_mm, cord)
    levels = [level for level in Level if level <= LAST_FIRST]
    steps = [spacing_mm(a, b)[0] for a, b in pairwise(levels)]
    errors = np.abs(C1_BELOW_BRAINSTEM_MM + np.concatenate([[0.0], np.cumsum(steps)]) - below)
    return levels[int(errors.argmin())], float(errors.min())


def _along_cord_mm(low_mm: float, high_mm: float, cord: Points) -> float:
    """Length of the column between two heights, with the slope of the cord; straight down where the mask shows none."""
    path = cord[(cord[:, 2] > low_mm) & (cord[:, 2] < high_mm)]
    if len(path) < 3:
        return high_mm - low_mm
    slopes = np.polyfit(path[:, 2], path[:, :2], 1)[0]
    seen = path[:, 2].max() - path[:, 2].min()
    return float(high_mm - low_mm + seen * (np.sqrt(1 + (slopes**2).sum()) - 1))


def _usually_spaced(positions: Points, levels: Sequence[Level]) -> slice:
    """The longest part in which every step is about what is usual there at the stature of the column."""
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    ratio = steps / [spacing_mm(a, b)[0] for a, b in pairwise(levels)]
    tolerance = [SPACING_TOLERANCE_ABOVE_C3 if v < Level.C3 else SPACING_TOLERANCE for v in levels[:-1]]
    unusual = np.flatnonzero(np.abs(ratio / np.median(ratio) - 1) > tolerance)
    ends = [-1, *unusual, len(steps)]
    parts = [slice(int(a) + 1, int(b) + 1) for a, b in pairwise(ends)]
    longest = max(parts, key=lambda part: part.stop - part.start)
    return longest if 0.75 < np.median(ratio) < 1.25 else slice(0, 0)


def _before_cord(position: Points, cord: Points) -> bool:
    """Whether the cord of the same height runs behind a body centre; true where the mask shows none."""
    near = np.abs(cord[:, 2] - position[2]) < 3.0
    if not near.any():
        return True
    x, y, _ = cord[near].mean(0) - position
    return bool(abs(x) < ASIDE_MM and BEHIND_MM[0] < y < BEHIND_MM[1])


def _agreed_pairs(first: Points, second: Points) -> list[tuple[int, int]]:
    """Pairs of indices of points that are each other's nearest and closer than `AGREED_MM`."""
    if not len(first) or not len(second):
        return []
    distances = np.linalg.norm(first[:, None] - second[None], axis=-1)
    nearest = distances.argmin(1)
    return [(a, int(b)) for a, b in enumerate(nearest) if distances[a, b] < AGREED_MM and distances[:, b].argmin() == a]


def _longest_run(pairs: list[tuple[int, int]], first: Points) -> list[tuple[int, int]]:
    """The longest run of pairs in which both looks go from neighbour to neighbour without a gap.

    first: (n, 3) points of the first look.
    """
    if len(pairs) < 2:
        return pairs
    steps = np.linalg.norm(np.diff(first[[a for a, _ in pairs]], axis=0), axis=1)
    runs = [[pairs[0]]]
    for before, pair, step in zip(pairs, pairs[1:], steps, strict=False):
        neighbours = pair == (before[0] + 1, before[1] + 1) and step < GAP * np.median(steps)
        if neighbours:
            runs[-1].append(pair)
        else:
            runs.append([pair])
    return max(runs, key=len)


def look(method: Method, scan: Scan, magnification: float) -> Labelling:
    """What a method sees when the whole scan is as much larger; positions are those of the scan itself.

    Without points when it finds no spine.
    """
    prepared = prepare(scan, PREPARED_SPACING_MM / magnification)
    grid = prepared.geometry
    origin = tuple(magnification * value for value in grid.origin_lps_mm)
    larger = Geometry(grid.shape_zyx, (PREPARED_SPACING_MM,) * 3, origin, grid.direction)  # type: ignore[arg-type]
    try:
        evidence = method.find(replace(prepared, geometry=larger), silent)
    except NothingFoundError:
        return Labelling(())
    places = evidence.positions_lps_mm / magnification
    return decode(inside(replace(evidence, positions_lps_mm=places), scan.geometry))
