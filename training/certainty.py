"""Does a labelling know when it is wrong?  Pieces judged by kind: columns, warnings, alternatives, probabilities.

A column is *right* when every vertebra that was found (a point within 10 mm) is named right, *shifted* when one shift
of at most 3 levels makes all of them right, else *wrong*; *none* when nothing was found.  It is *flagged* when the
labelling says that its level is unsure or when each of its points is uncertain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.labelling import Alternative, LabelledPoint, Labelling, positions_of
from VertebraLabelingLib.core.name_levels import is_anchor
from VertebraLabelingLib.core.sequence import SequenceSettings, decode
from VertebraLabelingLib.pipeline import BORDER_MM, inside, is_lone_guess

from .crops import CROP, NEGATIVE, PHANTOM, WHOLE, Piece, Points
from .evaluate import FOUND_WITHIN_MM, ScanResult, evaluate_scan, score

RIGHT, SHIFTED, WRONG, NONE = "right", "shifted", "wrong", "none"
CUT_MARGIN_MM = 5.0
"""A body whose centre is this close to a face of a crop is neither asked for nor held against the method."""
BINS = 10
UNCUT = "whole scans and phantoms"


@dataclass(frozen=True)
class Verdict:
    """What a labelling of a piece is worth.

    anchor: whether the true levels in the piece hold one that fixes the counting (the dens, the first or last rib with
    the vertebra beyond, the sacrum).  column: right, shifted, wrong or none.  truth_listed: an alternative makes a
    column that is not right so.  result: scores of the judged vertebrae and points.  probabilities, hits: (n,) of the
    judged points, and whether each is the vertebra it is named.  same, both: vertebrae that this and the labelling of
    the whole scan name alike, and that both see entirely.
    """

    piece: Piece
    anchor: bool
    column: str
    flagged: bool
    truth_listed: bool
    answered: bool
    result: ScanResult
    probabilities: tuple[float, ...]
    hits: tuple[bool, ...]
    same: int = 0
    both: int = 0


def judge_all(pieces: Iterable[Piece], settings: SequenceSettings) -> list[Verdict]:
    """A verdict for each piece; the whole scan comes before its pieces, as `pieces_of` yields them."""
    verdicts = []
    whole: dict[str, Points] = {}
    for piece in pieces:
        labelling = answer(piece, settings)
        if piece.kind == WHOLE:
            whole[piece.scan_id] = labelling.points
        same, both = _agreement(piece, labelling.points, whole[piece.scan_id]) if piece.kind == CROP else (0, 0)
        verdicts.append(replace(judge(piece, labelling), same=same, both=both))
    return verdicts


def answer(piece: Piece, settings: SequenceSettings) -> Labelling:
    """What the user gets to see of the evidence (`pipeline.label_scan`); no points for "no vertebra found"."""
    if piece.evidence is None:
        return Labelling(())
    labelling = decode(inside(piece.evidence, piece.geometry), settings)
    return Labelling(()) if is_lone_guess(labelling) else labelling


def judge(piece: Piece, labelling: Labelling) -> Verdict:
    """Compare a labelling of a piece with the truth."""
    truth, points = judged(piece, labelling.points)
    result = evaluate_scan(piece.name, truth, points)
    column = column_of(result)
    hit = {v.level for v in result.vertebrae if v.error_mm is not None}
    return Verdict(
        piece=piece,
        anchor=has_anchor({point.level for point in truth}),
        column=column,
        flagged=not labelling.level_certain or all(point.is_uncertain for point in labelling.points),
        truth_listed=column in (SHIFTED, WRONG) and any(_is_right(piece, labelling, a) for a in labelling.alternatives),
        answered=bool(labelling.points),
        result=result,
        probabilities=tuple(point.probability for point in points),
        hits=tuple(point.level in hit for point in points),
    )


def judged(piece: Piece, points: Points) -> tuple[Points, Points]:
    """The true vertebrae that the piece has to show, and the points of which the truth can tell what they are.

    Left out: bodies at the faces of a crop, and points beyond the labelled stretch, unless it ends with C1 or S2.
    """
    margin_mm = CUT_MARGIN_MM if piece.kind in (CROP, PHANTOM) else 0.0
    truth = tuple(t for t in piece.truth if _border_mm(piece, t) >= margin_mm)
    elsewhere = positions_of([t for t in piece.truth if t not in truth])
    near = [bool(np.any(np.linalg.norm(elsewhere - p.position_lps_mm, axis=1) < FOUND_WITHIN_MM)) for p in points]
    known = (p for p, dropped in zip(points, near, strict=True) if not dropped)
    return truth, tuple(p for p in known if not _is_beyond(p, piece.truth))


def column_of(result: ScanResult) -> str:
    """Right, shifted, wrong or none; wrong also when there are points and none of them is near a true vertebra."""
    found = [v for v in result.vertebrae if v.found]
    if not found:
        return WRONG if result.labels and result.vertebrae else NONE
    if all(v.error_mm is not None for v in found):
        return RIGHT
    return SHIFTED if result.shift and all(v.identified_after_shift for v in found) else WRONG


def has_anchor(levels: set[Level]) -> bool:
    """Whether levels that are in view together fix the counting."""
    return any(is_anchor(level, levels) for level in levels)


def summaries(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """One row of plain values per group of pieces; shares 0..1, None where there is nothing to divide by."""
    positive = [v for v in verdicts if v.piece.kind != NEGATIVE]
    groups = {
        f"{kind}, {'anchor' if anchor else 'no anchor'}": [
            v for v in positive if v.piece.kind == kind and v.anchor == anchor
        ]
        for kind in (WHOLE, CROP)
        for anchor in (True, False)
    }
    groups[PHANTOM] = [v for v in positive if v.piece.kind == PHANTOM]
    groups[UNCUT] = calibrated_groups(verdicts)[UNCUT]
    groups["all with vertebrae"] = positive
    groups["negative"] = [v for v in verdicts if v.piece.kind == NEGATIVE]
    return [{"group": name, **_summary(group)} for name, group in groups.items()]


def calibrated_groups(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """Whole scans and phantoms, on which the calibration is judged, and the crops, which are harder."""
    kinds = {UNCUT: (WHOLE, PHANTOM), "crops": (CROP,)}
    return {name: [v for v in verdicts if v.piece.kind in wanted] for name, wanted in kinds.items()}


def pooled(verdicts: Iterable[Verdict]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n,) probabilities of all judged points, and whether each is right."""
    verdicts = tuple(verdicts)
    probabilities = [p for v in verdicts for p in v.probabilities]
    return np.array(probabilities, float), np.array([hit for v in verdicts for hit in v.hits], bool)


def reliability(probabilities: NDArray[np.float64], hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(bins, 3): number, mean probability and share of hits in ten equal bins of probability; NaN in an empty one."""
    index = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    counts = np.bincount(index, minlength=BINS).astype(float)
    sums = [np.bincount(index, weights, minlength=BINS) for weights in (probabilities, hits.astype(float))]
    with np.errstate(invalid="ignore"):
        return np.column_stack([counts, *(s / counts for s in sums)])


def expected_calibration_error(probabilities: NDArray[np.float64], hits: NDArray[np.bool_]) -> float | None:
    """Mean gap between probability and share of hits, weighted by the bins' numbers (Naeini et al. 2015)."""
    if len(hits) == 0:
        return None
    counts, mean, share = reliability(probabilities, hits).T
    return float(np.nansum(counts * np.abs(mean - share)) / len(hits))


def _summary(group: Sequence[Verdict]) -> dict[str, Any]:
    total = score(v.result for v in group)
    columns = {name: [v for v in group if v.column == name] for name in (RIGHT, SHIFTED, WRONG, NONE)}
    off = columns[SHIFTED] + columns[WRONG]
    return {
        "pieces": len(group),
        "refused": sum(bool(v.piece.refused) for v in group),
        "nothing_found": _share([not v.answered for v in group]),
        "vertebrae": total.vertebrae,
        "id_rate": total.id_rate,
        "recall": total.recall,
        "false_positives": total.false_positives,
        **{f"columns_{name}": len(columns[name]) for name in (RIGHT, SHIFTED, WRONG)},
        "off_flagged": _share([v.flagged for v in off]),
        "right_flagged": _share([v.flagged for v in columns[RIGHT]]),
        "off_with_truth_listed": _share([v.truth_listed for v in off]),
        "agreement_with_whole": _agreed(group),
        "agreement_unless_flagged": _agreed([v for v in group if not v.flagged]),
        "points": len(pooled(group)[1]),
        "ece": expected_calibration_error(*pooled(group)),
    }


def _agreed(group: Sequence[Verdict]) -> float | None:
    both = sum(v.both for v in group)
    return sum(v.same for v in group) / both if both else None


def _share(flags: list[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _is_right(piece: Piece, labelling: Labelling, alternative: Alternative) -> bool:
    pairs = zip(labelling.points, alternative.levels, strict=True)
    renamed = tuple(replace(point, level=level) for point, level in pairs if level is not None)
    truth, points = judged(piece, renamed)
    return column_of(evaluate_scan(piece.name, truth, points)) == RIGHT


def _agreement(piece: Piece, points: Points, whole: Points) -> tuple[int, int]:
    """Vertebrae of both labellings that are named alike, and all that both see, none cut by the faces of the piece."""
    entire = tuple(point for point in whole if _border_mm(piece, point) >= BORDER_MM)
    found = [v for v in evaluate_scan("", entire, points).vertebrae if v.found]
    return sum(v.error_mm is not None for v in found), len(found)


def _border_mm(piece: Piece, point: LabelledPoint) -> float:
    return float(piece.geometry.border_distance_mm(np.array(point.position_lps_mm)))


def _is_beyond(point: LabelledPoint, truth: Points) -> bool:
    """Whether a point lies where the column may go on without labels."""
    if not truth:
        return False
    z, (top, bottom) = point.position_lps_mm[2], (f(truth, key=lambda t: t.level) for f in (min, max))
    above = z > top.position_lps_mm[2] + FOUND_WITHIN_MM and top.level != Level.C1
    return above or (z < bottom.position_lps_mm[2] - FOUND_WITHIN_MM and bottom.level != Level.S2)
