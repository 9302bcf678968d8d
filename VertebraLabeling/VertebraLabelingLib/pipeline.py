"""The whole way of the data, from a scan to its labelling; knows no files and no method by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from .core.anatomy import Level
from .core.anchors import check_anchors, confirmed, unclaimed
from .core.checks import check_ct
from .core.errors import InputError, NothingFoundError
from .core.geometry import Geometry
from .core.labelling import UNCERTAIN_BELOW, Evidence, LabelledPoint, Labelling, positions_of, with_remark
from .core.prepare import prepare
from .core.progress import Progress, part, silent
from .core.scan import Scan
from .core.sequence import decode as decode_sequence
from .methods.base import Method

Refine = Callable[[Scan, Labelling, Progress], Labelling]
"""A stage that moves named points to better places: checked scan and labelling -> labelling."""

BORDER_MM = 10.0
"""About half the height of a vertebral body."""
FEW_POINTS, FEW_POINTS_LEAST = 3, 1 / 3
"""So few points count as nothing where no name has at least that probability."""


@dataclass
class Stopwatch:
    """Seconds of wall time per stage, in the order in which the stages ended."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class LabelledScan:
    """A labelling with the scan it belongs to (as checked, with its notes) and the seconds each stage took."""

    scan: Scan
    labelling: Labelling
    seconds: dict[str, float]


def label_scan(
    scan: Scan,
    method: Method,
    progress: Progress = silent,
    decode: bool = True,
    refine: Refine | None = None,
    anchors: Sequence[LabelledPoint] = (),
) -> LabelledScan:
    """Name the vertebrae of a CT.

    decode: False skips the sequence decoder and takes each candidate's most likely level (the paper's own system).
    refine: local refinement of the named points, None for none.
    anchors: points that the user has confirmed; they are in the labelling exactly, and all others are named by them.
    Raises InputError when the scan is not like a CT or anchors contradict each other, NothingFoundError when no
    vertebra is in view and none is confirmed, and whatever `progress` raises to stop the run.
    """
    watch = Stopwatch()
    progress("checking", 0.0)
    with watch.stage("check"):
        scan = check_ct(scan)
        check_anchors(anchors)
        require_inside(scan, anchors)
    progress("preparing", 0.02)
    with watch.stage("prepare"):
        prepared = prepare(scan)
    with watch.stage("find"):
        evidence = inside(_found(method, prepared, part(progress, 0.08, 0.95), anchors), scan.geometry)
        scan = replace(scan, notes=(*scan.notes, *evidence.notes))
    progress("naming", 0.95)
    with watch.stage("name"):
        labelling = decode_sequence(evidence, anchors=anchors) if decode else most_likely(evidence, anchors)
    if not labelling.points or is_lone_guess(labelling):
        raise NothingFoundError.in_scan(scan.name)
    if refine is not None:
        with watch.stage("refine"):
            labelling = refine(scan, labelling, part(progress, 0.96, 1.0))
    progress("naming", 1.0)
    return LabelledScan(scan, with_border_remarks(labelling, scan.geometry), watch.seconds)


def require_inside(scan: Scan, points: Sequence[LabelledPoint]) -> None:
    """InputError for points of which none lies in the scan: they belong to another one."""
    if points and not scan.geometry.contains_lps(positions_of(points)).any():
        raise InputError(f"None of the points given lies inside '{scan.name}'; give points that belong to it.")


def _found(method: Method, prepared: Scan, progress: Progress, anchors: Sequence[LabelledPoint]) -> Evidence:
    """What the method finds; to find nothing is no failure where the user has confirmed something."""
    try:
        return method.find(prepared, progress)
    except NothingFoundError:
        if not anchors:
            raise
        return Evidence.nothing()


def inside(evidence: Evidence, geometry: Geometry) -> Evidence:
    """The candidates whose position lies inside a grid: a body centre outside the volume is not in view."""
    return evidence.taken(geometry.contains_lps(evidence.positions_lps_mm))


def is_lone_guess(labelling: Labelling) -> bool:
    """Whether all there is is one point of an uncertain name, or a few of wholly uncertain ones.

    More often the head of a femur or the base of a skull than vertebrae.
    """
    surest = max((point.probability for point in labelling.points), default=0.0)
    few = 0 < len(labelling.points) <= FEW_POINTS
    return few and surest < (UNCERTAIN_BELOW if len(labelling.points) == 1 else FEW_POINTS_LEAST)


def with_border_remarks(labelling: Labelling, geometry: Geometry) -> Labelling:
    """The labelling with a remark at each point whose body the border of the scan may cut."""
    distances = geometry.border_distance_mm(positions_of(labelling.points))
    pairs = zip(labelling.points, distances, strict=True)
    return replace(labelling, points=tuple(_beside_border(p) if d < BORDER_MM else p for p, d in pairs))


def _beside_border(point: LabelledPoint) -> LabelledPoint:
    return replace(point, remark=with_remark(point.remark, "next to the border of the scan"))


def most_likely(evidence: Evidence, anchors: Sequence[LabelledPoint] = ()) -> Labelling:
    """Every candidate under its most likely level, the likelier one where two want the same; no sequence.

    anchors: take the place of the candidates that they stand for, and their levels from all others.
    """
    free = unclaimed(evidence, anchors)
    levels = np.argmax(free.level_log_probs, axis=1)
    probabilities = free.scores * np.exp(np.max(free.level_log_probs, axis=1, initial=-np.inf))
    best: dict[Level, LabelledPoint] = {}
    for index in np.argsort(probabilities):
        x, y, z = (float(v) for v in free.positions_lps_mm[index])
        level = Level(int(levels[index]))
        best[level] = LabelledPoint(level, (x, y, z), float(probabilities[index]))
    best |= {anchor.level: confirmed(anchor) for anchor in anchors}
    remark = "every level named by itself, without a look at the order"
    held = tuple(sorted(anchor.level for anchor in anchors))
    return Labelling(tuple(best[v] for v in sorted(best)), anchors=held, level_certain=False, remarks=(remark,))
