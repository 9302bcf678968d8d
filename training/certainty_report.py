"""The verdicts on pieces as tables in Markdown, as plain values, and as a reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from VertebraLabelingLib.core.files import atomic_write

from .certainty import BINS, NONE, RIGHT, Verdict, expected_calibration_error, pooled, reliability
from .evaluate import FOUND_WITHIN_MM, IDENTIFIED_BELOW_MM
from .markdown import table_lines

LEGEND = (
    "Columns: right when all found vertebrae are named right, shifted when one shift of at most 3 levels makes them "
    "so, else wrong. Flagged: the result says 'level unsure' or all its points are uncertain. Truth listed: of the "
    "columns that are not right, those of which an alternative is. Like whole: vertebrae named as in the whole scan. "
    f"Id-rate (below {IDENTIFIED_BELOW_MM:g} mm), recall (within {FOUND_WITHIN_MM:g} mm) and FP as in `evaluate`. ECE: "
    "mean gap between stated probability and share that is right, over all judged points, in ten bins."
)

_COLUMNS = {
    "pieces": "pieces", "refused": "refused", "nothing_found": "no vertebra found", "vertebrae": "vertebrae",
    "id_rate": "id-rate", "recall": "recall", "false_positives": "FP", "columns_right": "right",
    "columns_shifted": "shifted", "columns_wrong": "wrong", "off_flagged": "shifted or wrong: flagged",
    "off_with_truth_listed": "truth listed", "right_flagged": "right: flagged", "agreement_with_whole": "like whole",
    "points": "points", "ece": "ECE",
}  # fmt: skip


def markdown_table(rows: Sequence[dict[str, Any]], first: str = "group") -> str:
    """A table of summaries (`certainty.summaries`); `first` names the leading column, which every row has."""
    cells = ([row[first], *(_cell(key, row[key]) for key in _COLUMNS)] for row in rows)
    return "\n".join(table_lines([first, *_COLUMNS.values()], cells)) + "\n"


def piece_values(verdict: Verdict) -> dict[str, Any]:
    """One piece as plain values."""
    piece, result = verdict.piece, verdict.result
    return {
        "name": piece.name, "kind": piece.kind, "refused": piece.refused, "answered": verdict.answered,
        "anchor": verdict.anchor, "column": verdict.column, "shift": result.shift, "flagged": verdict.flagged,
        "truth_listed": verdict.truth_listed, "levels": [v.level.name for v in result.vertebrae],
        "named": [label.level.name for label in result.labels], "found": sum(v.found for v in result.vertebrae),
        "identified": sum(v.error_mm is not None for v in result.vertebrae),
        "size_xyz_mm": [round(mm, 1) for mm in reversed(piece.geometry.extent_zyx_mm)],
    }  # fmt: skip


def silent_errors(verdicts: Sequence[Verdict]) -> list[str]:
    """A line for every column that is not right and says nothing, and for every negative that was answered."""
    silent = [v for v in verdicts if v.column not in (RIGHT, NONE) and not v.flagged]
    lines = [f"{v.piece.name}: {v.column} ({v.result.shift:+d}), not flagged" for v in silent]
    invented = [v for v in verdicts if v.answered and not v.result.vertebrae]
    return lines + [f"{v.piece.name}: {len(v.result.labels)} point(s) where there is no vertebra" for v in invented]


def draw_reliability(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write a PNG: share of right names against the stated probability, with the number of points in each bin."""
    from matplotlib.figure import Figure

    probabilities, hits = pooled(verdicts)
    counts, mean, share = reliability(probabilities, hits).T
    figure = Figure(figsize=(5.0, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    upper.plot(mean[counts > 0], share[counts > 0], "o-", color="tab:blue")
    for x, y, n in zip(mean, share, counts, strict=True):
        if n:
            upper.annotate(f"{n:.0f}", (x, y), xytext=(5, -9), textcoords="offset points", fontsize=7, color="0.35")
    ece = expected_calibration_error(probabilities, hits)
    title = "no points" if ece is None else f"{len(hits)} points, ECE {ece:.3f}"
    upper.set(ylabel="share that is named right", xlim=(0, 1), ylim=(0, 1.02), title=title)
    lower.bar([(n + 0.5) / BINS for n in range(BINS)], counts, width=0.9 / BINS, color="0.6")
    lower.set(xlabel="stated probability", ylabel="points")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key == "ece":
        return f"{value:.3f}"
    return f"{value:.1%}" if isinstance(value, float) else str(value)
