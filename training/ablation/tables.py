"""The comparison as Markdown: mean and standard deviation over seeds of what the runs stored, beside the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from ..markdown import table_lines
from ..records import Record

NONE = "–"


@dataclass(frozen=True)
class Column:
    """One column of measured values.

    path: keys into a record.  scale: 100 for shares shown as percentages.  digits: behind the point.
    """

    title: str
    path: tuple[str, ...]
    scale: float = 1.0
    digits: int = 1


@dataclass(frozen=True)
class Row:
    """One row.  run: name of the run.  changed: keys of the columns' paths that this row reads elsewhere."""

    title: str
    run: str
    paper: str = NONE
    changed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Comparison:
    """One table.  paper: what its last column, from the paper, shows; empty without that column."""

    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    paper: str = ""
    note: str = ""


def markdown_table(comparison: Comparison, records: Sequence[Record]) -> str:
    """The table with its title and note."""
    paper = bool(comparison.paper)
    head = ["", "seeds", *(column.title for column in comparison.columns), *[comparison.paper] * paper]
    rows = []
    for row in comparison.rows:
        of_run = [record for record in records if record["name"] == row.run]
        cells = [_cell(of_run, column, dict(row.changed)) for column in comparison.columns]
        rows.append([row.title, len(of_run), *cells, *[row.paper] * paper])
    lines = table_lines(head, rows)
    return "\n".join([f"### {comparison.title}", "", *lines, "", *[comparison.note, ""] * bool(comparison.note)])


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation (n - 1); of a single value the value alone."""
    if not values:
        return NONE
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text


def _cell(records: Sequence[Record], column: Column, changed: dict[str, str]) -> str:
    """The column's value over the seeds; `NONE` when no run stored it."""
    found = [_value(record, [changed.get(key, key) for key in column.path]) for record in records]
    return spread([column.scale * value for value in found if value is not None], column.digits)


def _value(record: Record, path: Sequence[str]) -> float | None:
    """The number at that path; None where the record has none."""
    value: Any = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
