"""What a method sees in cached cases, kept on disk: to run a network takes minutes, to weigh its words seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.labelling import Evidence, LabelledPoint, positions_of
from VertebraLabelingLib.pipeline import inside

from .case_scores import scan_of, truth_of
from .cases import Case
from .certainty import judged
from .crops import Piece, load_pieces, pieces_of, save_pieces
from .decoder.samples import FALSE, UNKNOWN, Sample, regions_of
from .evaluate import FOUND_WITHIN_MM

if TYPE_CHECKING:
    from VertebraLabelingLib.methods.base import Method


def gathered(file: Path | None, method: Method, cases: Sequence[Case], crops: int, seed: int = 0) -> list[Piece]:
    """The pieces of all cases, see `crops.pieces_of`; those that the file (.npz) has are not looked at again.

    The file is written after every case, and begun anew when it is of other weights, `crops` or seed; remove it when
    the code of the method has changed.
    """
    about: dict[str, Any] = {"weights": dict(method.weights_sha256), "crops": crops, "seed": seed}
    kept = _kept(file, about)
    known = {piece.scan_id for piece in kept}
    for case in cases:
        if case.id not in known:
            kept += pieces_of(scan_of(case), truth_of(case), method, crops, seed)
            if file is not None:
                save_pieces(file, kept, about)
    wanted = {case.id for case in cases}
    return [piece for piece in kept if piece.scan_id in wanted]


def _kept(file: Path | None, about: dict[str, Any]) -> list[Piece]:
    if file is None or not file.exists():
        return []
    pieces, of_file = load_pieces(file)
    return pieces if of_file == about else []


def evidence_of(piece: Piece) -> Evidence:
    """The candidates inside the piece; none where no spine was found."""
    return Evidence.nothing() if piece.evidence is None else inside(piece.evidence, piece.geometry)


def sample_of(piece: Piece) -> Sample:
    """The candidates of a piece, with their truth."""
    evidence = evidence_of(piece)
    truth = truths(piece, evidence.positions_lps_mm)
    wanted, _ = judged(piece, ())
    missed = len(wanted) - int(np.isin([point.level for point in wanted], truth).sum())
    return Sample(evidence, truth, regions_of(evidence.level_log_probs), missed, has_l6=False)


def truths(piece: Piece, positions_lps_mm: NDArray[np.float64], complete: bool = False) -> NDArray[np.intp]:
    """(n,) the true level of each position (n, 3), `FALSE` or `UNKNOWN`.

    Each vertebra belongs to at most one position, within 10 mm and as near as can be; a second one is false.  Unknown
    is what lies near a vertebra that a crop cuts and, unless the annotation is `complete`, where the column may go on
    without labels.
    """
    named = tuple(LabelledPoint(Level.C1, (x, y, z)) for x, y, z in positions_lps_mm.tolist())  # the name is not asked
    wanted, known = judged(piece, named)
    levels = np.where([point in known for point in named], FALSE, UNKNOWN).astype(np.intp)
    if complete:
        levels[_nearest_mm(positions_lps_mm, positions_of(piece.truth)) > FOUND_WITHIN_MM] = FALSE
    distances = np.linalg.norm(positions_of(wanted)[:, None] - positions_lps_mm, axis=-1)
    near = distances < FOUND_WITHIN_MM
    for vertebra, position in zip(*linear_sum_assignment(np.where(near, distances, 1e6)), strict=True):
        if near[vertebra, position]:
            levels[position] = wanted[vertebra].level
    return levels


def _nearest_mm(positions: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance (n,) of each position (n, 3) to the nearest of the targets (m, 3); infinite without any."""
    distances = np.linalg.norm(positions[:, None] - targets, axis=-1)
    return np.asarray(distances.min(axis=1, initial=np.inf))
