"""The verdicts on pieces as tables in Markdown, as plain values, and as a reliability diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from VertebraLabelingLib.core.files import atomic_write

from .certainty import BINS, NONE, RIGHT, Verdict, expected_calibration_error, pooled, reliability
from .evaluate import FOUND_WITHIN_MM, IDENTIFIED_BELOW_MM
from .markdown import table_lines

LEGEND = (
    "Columns: right when all found vertebrae are named right, shifted when one shift of at most 3 levels makes them "
    "so, else wrong. Flagged: the result says 'level unsure' or all its points are uncertain. Truth listed: of the "
    "columns that are not right, those of which an alternative is. Like whole: of the vertebrae that both see "
    "entirely, those named as in the whole scan. "
    f"Id-rate (below {IDENTIFIED_BELOW_MM:g} mm), recall (within {FOUND_WITHIN_MM:g} mm) and FP as in `evaluate`. ECE: "
    "mean gap between stated probability and share that is right, over all judged points, in ten bins."
)

_COLUMNS = {
    "pieces": "pieces", "refused": "refused", "nothing_found": "no vertebra found", "vertebrae": "vertebrae",
    "id_rate": "id-rate", "recall": "recall", "false_positives": "FP", "columns_right": "right",
    "columns_shifted": "shifted", "columns_wrong": "wrong", "off_flagged": "shifted or wrong: flagged",
    "off_with_truth_listed": "truth listed", "right_flagged": "right: flagged", "agreement_with_whole": "like whole",
    "agreement_unless_flagged": "like whole, unless flagged",
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


def reliability_table(groups: Mapping[str, Sequence[Verdict]]) -> str:
    """Per bin of the stated probability: points, their mean probability, and the share that is named right."""
    bins = [reliability(*pooled(group)) for group in groups.values()]
    rows = []
    for n in range(BINS):
        rows.append([f"{n / BINS:.1f} to {(n + 1) / BINS:.1f}", *(_bin(*b[n]) for b in bins)])
    return "\n".join(table_lines(["stated", *(f"{name}: points, mean, right" for name in groups)], rows)) + "\n"


def draw_reliability(path: Path, groups: Mapping[str, Sequence[Verdict]]) -> None:
    """Write a PNG: share of right names against the stated probability, with the number of points in each bin."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    width = 0.9 / BINS / len(groups)
    for number, (name, group) in enumerate(groups.items()):
        probabilities, hits = pooled(group)
        counts, mean, share = reliability(probabilities, hits).T
        ece = expected_calibration_error(probabilities, hits)
        label = f"{name}: {len(hits)} points" + ("" if ece is None else f", ECE {ece:.3f}")
        upper.plot(mean[counts > 0], share[counts > 0], "o-", color=f"C{number}", label=label)
        places = [(n + 0.05) / BINS + (number + 0.5) * width for n in range(BINS)]
        lower.bar(places, counts, width=width, color=f"C{number}")
    figure.legend(loc="outside upper left", fontsize=8, frameon=False)
    upper.set(ylabel="share that is named right", xlim=(0, 1), ylim=(0, 1.02))
    lower.set(xlabel="stated probability", ylabel="points")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _bin(count: float, mean: float, share: float) -> str:
    return f"{count:.0f}, {mean:.1%}, {share:.1%}" if count else "-"


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key == "ece":
        return f"{value:.3f}"
    return f"{value:.1%}" if isinstance(value, float) else str(value)
