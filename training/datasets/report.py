"""``report.md`` of a cache: what went in, and what did not and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.files import atomic_write

from ..cases import Case, Outcome, read_cache
from ..markdown import table_lines
from ..scan_list import UNLABELLED

REPORT = "report.md"


def write_report(cache: Path, data: Path, outcomes: Sequence[Outcome]) -> Path:
    """Write what the whole cache holds and what became of the scans of `data`; returns the file."""
    cases = read_cache(cache)
    parts = [
        "# The cache of training cases",
        _splits_table(cases),
        "## Vertebrae of each level",
        _levels_table(cases),
        f"## The last data set: {data}",
        _last(outcomes),
    ]
    with atomic_write(cache / REPORT) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return cache / REPORT


def _splits_table(cases: Sequence[Case]) -> str:
    rows = []
    for split in sorted({case.split for case in cases}):
        of_split = [case for case in cases if case.split == split]
        negatives = "-" if split == UNLABELLED else sum(len(case.levels) == 0 for case in of_split)
        patients = len({case.person for case in of_split})
        vertebrae = sum(len(case.levels) for case in of_split)
        rows.append((split, len(of_split), patients, negatives, vertebrae, _spacing_range(of_split)))
    head = ("split", "scans", "patients", "without vertebra", "vertebrae", "voxel size of the scans (z, y, x) mm")
    return "\n".join(table_lines(head, rows))


def _spacing_range(cases: Sequence[Case]) -> str:
    known = np.array([case.spacing_zyx_mm for case in cases if case.spacing_zyx_mm])
    if not len(known):
        return "unknown"
    return ", ".join(f"{low:.2g}-{high:.2g}" for low, high in zip(known.min(axis=0), known.max(axis=0), strict=True))


def _levels_table(cases: Sequence[Case]) -> str:
    splits = sorted({case.split for case in cases})
    counts = {split: Counter(v for case in cases if case.split == split for v in case.levels) for split in splits}
    shown = [level for level in Level if any(counts[split][level] for split in splits)]
    rows = [(level.name, *(counts[split][level] for split in splits)) for level in shown]
    return "\n".join(table_lines(("level", *splits), rows))


def _last(outcomes: Sequence[Outcome]) -> str:
    skipped = [outcome for outcome in outcomes if outcome.case is None]
    lines = [f"{len(outcomes) - len(skipped)} scans are cached, {len(skipped)} were skipped."]
    lines += [f"- {outcome.item.id}: {outcome.problem}" for outcome in skipped]
    moved = [outcome.item for outcome in outcomes if outcome.case and "moved from" in outcome.item.remark]
    lines += [f"- {item.id}: {item.remark}" for item in moved]
    return "\n".join([lines[0], "", *lines[1:]]).rstrip()
