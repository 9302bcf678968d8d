"""The evaluation as something to read: a table on the terminal, Markdown, and values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from VertebraLabelingLib.core.anatomy import Region

from .evaluate import FOUND_WITHIN_MM, IDENTIFIED_BELOW_MM, ScanResult, Score, score
from .markdown import table_lines

COLUMNS = (
    "vertebrae", "id-rate", "mean mm", "median mm", "recall", "FP", "stray", "after shift", "wholly right",
)  # fmt: skip

LEGEND = (
    "id-rate: share of the true vertebrae whose point of the same level has the right nearest truth and is closer than "
    f"{IDENTIFIED_BELOW_MM:g} mm (mm: of these). recall: with any point within {FOUND_WITHIN_MM:g} mm, one to one. "
    f"FP: labels that the truth does not have. stray: points with no truth within {IDENTIFIED_BELOW_MM:g} mm. "
    "after shift: id-rate after the best single shift of each whole column, chosen with the truth (upper bound)."
)

_REGION_NAMES = {
    Region.CERVICAL: "C (cervical)",
    Region.THORACIC: "T (thoracic)",
    Region.LUMBAR: "L (lumbar)",
    Region.SACRAL: "S (sacral)",
}


def rich_report(results: Sequence[ScanResult]) -> Group:
    """Tables per scan and per region, each with the total, and the legend."""
    tables = []
    for title, rows in _sections(results):
        table = Table(title=title, caption=LEGEND if title == "Total" else None)
        table.add_column(title.removeprefix("Per ").lower())
        for column in COLUMNS:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    return Group(*tables, *(f"note: {note}" for note in notes(results)))


def markdown_report(results: Sequence[ScanResult]) -> str:
    """The same tables in Markdown."""
    lines: list[str] = []
    for title, rows in _sections(results):
        lines += [f"### {title}", "", *table_lines((title.removeprefix("Per ").lower(), *COLUMNS), rows), ""]
    lines += [LEGEND, "", *(f"- {note}" for note in notes(results))]
    return "\n".join(lines).rstrip() + "\n"


def json_report(results: Sequence[ScanResult]) -> dict[str, Any]:
    """The same numbers as plain values; rates 0..1, lengths in mm, null where there is nothing to divide by."""
    return {
        "limits_mm": {"identified_below": IDENTIFIED_BELOW_MM, "found_within": FOUND_WITHIN_MM},
        "total": {
            **_values(score(results)),
            "scans": len(results),
            "scans_wholly_right": sum(r.wholly_right for r in results),
        },
        "regions": {region.value: _values(score(results, region)) for region in Region},
        "scans": [_scan_values(result) for result in results],
    }


def notes(results: Sequence[ScanResult]) -> list[str]:
    """What a reader of the totals has to know: missing files and scans without a vertebra."""
    missing = [r.scan_id for r in results if r.prediction_missing and r.vertebrae]
    negative = [r for r in results if not r.vertebrae]
    found = []
    if missing:
        found.append(f"no prediction, counted as all missed: {', '.join(missing)}")
    if negative:
        labels = sum(len(r.labels) for r in negative)
        without = sum(r.prediction_missing for r in negative)
        found.append(
            f"scans without a true vertebra: {len(negative)}, with {labels} label(s), all counted as FP; "
            f"{without} of them without a prediction file, as a run that finds no vertebra leaves none"
        )
    return found


def _sections(results: Sequence[ScanResult]) -> list[tuple[str, list[list[str]]]]:
    right = f"{sum(r.wholly_right for r in results)}/{len(results)} scans"
    return [
        ("Per scan", [_cells(r.scan_id, score([r]), *_remarks(r)) for r in results]),
        ("Per region", [_cells(_REGION_NAMES[x], score(results, x), "", "-") for x in Region]),
        ("Total", [_cells("all", score(results), "", right)]),
    ]


def _remarks(result: ScanResult) -> tuple[str, str]:
    """The shift in brackets, and whether the scan is wholly right."""
    right = ("yes" if result.wholly_right else "no") + (", no file" if result.prediction_missing else "")
    return f" ({result.shift:+d})" if result.shift else "", right


def _cells(name: str, s: Score, shift: str, right: str) -> list[str]:
    return [
        name, str(s.vertebrae), _percent(s.id_rate), _mm(s.mean_error_mm), _mm(s.median_error_mm), _percent(s.recall),
        str(s.false_positives), str(s.strays), _percent(s.id_rate_after_shift) + shift, right,
    ]  # fmt: skip


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _mm(length: float | None) -> str:
    return "-" if length is None else f"{length:.1f}"


def _values(s: Score) -> dict[str, Any]:
    return {
        "vertebrae": s.vertebrae,
        "identified": s.identified,
        "id_rate": s.id_rate,
        "mean_error_mm": s.mean_error_mm,
        "median_error_mm": s.median_error_mm,
        "found": s.found,
        "recall": s.recall,
        "labels": s.labels,
        "false_positives": s.false_positives,
        "strays": s.strays,
        "identified_after_shift": s.identified_after_shift,
        "id_rate_after_shift": s.id_rate_after_shift,
    }


def _scan_values(result: ScanResult) -> dict[str, Any]:
    return {
        "id": result.scan_id,
        **_values(score([result])),
        "shift": result.shift,
        "wholly_right": result.wholly_right,
        "prediction_missing": result.prediction_missing,
        "errors_mm": {v.level.name: v.error_mm for v in result.vertebrae},
    }
