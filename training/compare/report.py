"""The tables of the comparison, beside what the papers say of themselves, and the whole report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..ablation.report import TOTALS, budget
from ..ablation.scan_scores import DEFAULT
from ..ablation.tables import NONE, Column, Comparison, Row, markdown_table
from ..markdown import table_lines
from ..records import Record
from ..seeds import FRESH_SEED
from .bootstrap import SHARE
from .methods import BAGGING, ENSEMBLES, VIEWS, WHOLE, Way
from .trainings import BAGGED, TRAININGS, VARIANTS, VOTED

DATA = {"scans": "unseen real scans", "phantoms": "phantoms that no network has seen"}
TITLES = {
    "sites": "`sites` (this project)",
    "integral-regression": "`integral-regression` (Qin et al.)",
    "multi-view": "`multi-view` (Wu et al.)",
    "global-to-local": "`global-to-local` (Noothout et al.)",
    "ensemble": "`ensemble` of all four",
}
OWN_NUMBERS = (
    ("Qin et al., arXiv 2001.00170", "CSI-2014, 56 of 60 test scans (abnormal counts left out)", "89.0", "2.9"),
    ("Qin et al., TNNLS 2021", "CSI-2014", "91.1", "2.2"),
    ("Wu et al., MICCAI 2023", "VerSe19, public test", "98.12", "1.79"),
    ("Wu et al., MICCAI 2023", "VerSe19, hidden test", "96.45", "2.17"),
    ("Wu et al., MICCAI 2023", "500 CTs of their own", "98.62", "1.34"),
    ("Noothout et al., TMI 2020", "other landmarks than vertebrae", NONE, NONE),
)
"""Paper, data set, id-rate in %, mean error in mm."""
INTERVAL = f"id {SHARE:.0%} interval".replace("%", " %")
WU_TABLE_2 = {
    "multi-view-baseline": ("baseline", "84.00"),
    "multi-view-pretrained": ("+ pre-training", "85.58"),
    "multi-view-sequence": ("+ Sequence Loss", "89.41"),
}


def report(records: Sequence[Record]) -> str:
    """Everything as Markdown, to be pasted under a second-level heading."""
    tables = (*_methods(), _parts("scans"), _parts("phantoms"), *_views())
    lines = ["## Comparison of the methods", "", *_introduction(records), "", *_own_numbers(), ""]
    used = [table for table in tables if any(row.run == record["name"] for row in table.rows for record in records)]
    shown = [markdown_table(table, records) for table in used]
    trained = any(record["name"] in TRAININGS for record in records)
    return "\n".join([*lines, *shown, *_failures(records), *[budget(records, TRAININGS)] * trained])


def _introduction(records: Sequence[Record]) -> list[str]:
    if not records:
        return ["No run is finished yet."]
    machines = ", ".join(sorted({record["machine"] for record in records}))
    return [
        "Printed by `python -m training compare`. All methods on the same scans, of patients that none was trained on, "
        f"and on the same phantoms (seeds from {FRESH_SEED} on; training takes those from 0). id: the VerSe metric of "
        "`evaluate`, of all true vertebrae; mm: mean error of the identified; after shift: with the best shift of each "
        f"column, chosen with the truth; {INTERVAL}: by a bootstrap over patients, so it tells how much hangs on who "
        "they are and nothing of another training; where all is right it has no width, however few they are. Mean ± "
        "standard deviation: over seeds of training, in the tables of the parts alone; the shipped weights are of one "
        "seed each. s a scan: from the prepared scan to names, networks in memory. Body: the whole command line on one "
        "phantom of 512x512x600 voxels, in a process of its own. "
        f"Machine: {machines}.",
    ]


def _own_numbers() -> list[str]:
    """What the papers say, apart from ours: other data, other training, in part another metric."""
    return [
        "**The papers' own numbers, not comparable with the tables below**: other and far larger training sets, other "
        "test scans, and Wu et al.'s released evaluation divides by the predicted vertebrae, ours by the true ones.",
        "",
        *table_lines(("paper", "data set", "id %", "mean mm"), OWN_NUMBERS),
    ]


def _columns(use: str, *more: Column, over_patients: bool = True) -> tuple[Column, ...]:
    """Of whole scans: vertebrae, id-rate in all, its spread over patients, that by region, totals, seconds."""

    def column(title: str, *keys: str, scale: float = 1.0, digits: int = 1) -> Column:
        return Column(title, ("scans", "DATA", use, *keys), scale, digits)

    interval = tuple(
        column(title, "id_rate_interval", key, scale=100.0)
        for title, key in ((f"{INTERVAL}: from", "low"), ("to", "high"))
    )
    return (
        column("vertebrae", "total", "vertebrae", digits=0),
        column("id %", "total", "id_rate", scale=100.0),
        *interval * over_patients,
        *(column(f"{region} id %", region, "id_rate", scale=100.0) for region in "CTLS"),
        column("after shift %", "total", "id_rate_after_shift", scale=100.0),
        *(column(title, "total", key, scale=scale) for title, key, scale in TOTALS),
        column("scans right", "total", "scans_wholly_right", digits=0),
        column("s a scan", "seconds_per_scan"),
        *more,
    )


def _methods() -> list[Comparison]:
    """Every method as it ships, one table for each kind of data."""
    size = (
        Column("body s", ("body", "seconds")),
        Column("body CPU s", ("body", "cpu_seconds")),
        Column("body peak MB", ("body", "peak_bytes"), 1e-6, 0),
        Column("weights MB", ("weight_bytes",), 1e-6),
    )
    note = "Weights: all files that the method needs, fp16, with those that it shares with others."
    return [
        Comparison(f"All methods: {where}", _method_rows(data), _columns(DEFAULT, *size), note=note)
        for data, where in DATA.items()
    ]


def _method_rows(data: str) -> tuple[Row, ...]:
    changed = (("DATA", data),)
    return tuple(Row(_way_title(way), name, NONE, changed) for name, way in (WHOLE | ENSEMBLES).items())


def _way_title(way: Way) -> str:
    if members := way.variant.get("members"):
        return f"`{way.method}` of {', '.join(f'`{member}`' for member in members)}"
    paper = ", as in the paper, without our sequence decoder"
    return f"{TITLES[way.method]}{paper * (way.config == 'paper')}"


def _failures(records: Sequence[Record]) -> list[str]:
    """A line for every method and ensemble on each kind of data: the scans that are not wholly right, and why."""
    lines = []
    for record in records:
        if record["name"] not in WHOLE | ENSEMBLES:
            continue
        for data, where in DATA.items():
            failures = record["scans"].get(data, {}).get(DEFAULT, {}).get("failures")
            if failures is not None:
                told = "; ".join(map(_failure, failures)) or "nothing"
                lines.append(f"- `{record['name']}`, {where}: {told}.")
    return ["### What each method fails at", "", *lines, ""] if lines else []


def _failure(failure: Mapping[str, Any]) -> str:
    """Such as ``neck-206: 2 of 10 not named right (C1, C2), false T4``."""
    missed, false = failure["missed"], failure["false"]
    words = [f"{len(missed)} of {failure['vertebrae']} not named right ({', '.join(missed)})"] if missed else []
    words += [f"false {', '.join(false)}"] if false else []
    return f"{failure['scan']}: {', '.join(words)}"


def _parts(data: str) -> Comparison:
    """Table 2 of Wu et al. with networks of a small budget, and what the parts are worth with voting and by our way."""
    rows = [_part(f"{title}, bagging", run, BAGGED, data, number) for run, (title, number) in WU_TABLE_2.items()]
    rows.append(_part("+ weighted voting and correction", "multi-view-sequence", VOTED, data, "98.12"))
    rows += [_part(f"{WU_TABLE_2[run][0]}, with voting and correction", run, VOTED, data) for run in list(VARIANTS)[:2]]
    rows += [_part(f"{WU_TABLE_2[run][0]}, windows and decoder of ours", run, DEFAULT, data) for run in VARIANTS]
    note = (
        "Bagging: each vertebra has the level that most views say, as in the paper. Without pre-training ours start "
        "from random weights, the paper's from those of ImageNet. Mean ± standard deviation over seeds; small networks "
        "and few steps, see below: what the parts do for little training, not their final worth."
    )
    title = f"The parts of Wu et al.: {DATA[data]}"
    columns = _columns("USE", over_patients=False)
    return Comparison(title, tuple(rows), columns, "paper, VerSe19, id %", note)


def _part(title: str, run: str, use: str, data: str, paper: str = NONE) -> Row:
    return Row(title, run, paper, (("DATA", data), ("USE", use)))


def _views() -> list[Comparison]:
    """Number of views, and weighted voting or bagging, with the weights that ship."""
    note = "The same weights, more or fewer projections. Wu et al. (VerSe19): 10 better than 5, 20 as good as 10."
    rows = {name: f"K = {way.variant['views']}" for name, way in VIEWS.items()}
    rows |= dict.fromkeys(BAGGING, "K = 10, bagging in place of weighted voting")
    return [
        Comparison(
            f"Number of views: {where}",
            tuple(Row(title, name, NONE, (("DATA", data),)) for name, title in rows.items()),
            _columns(DEFAULT),
            note=note,
        )
        for data, where in DATA.items()
    ]
