"""Which tables there are, what the paper says in them, and the whole report.

Numbers of the paper: C. Qin et al., arXiv 2001.00170, CSI-2014, whole scans.
"""

from __future__ import annotations

from collections.abc import Sequence

from VertebraLabelingLib.core.anatomy import Region

from ..markdown import table_lines
from ..records import Record
from .fusions import FUSIONS
from .scan_scores import DEFAULT, PLACEMENTS
from .study import NAMES
from .tables import NONE, Column, Comparison, Row, markdown_table, spread
from .window_scores import WINDOWS_PER_CASE

_REGIONS = tuple(region.value for region in Region)
_FUSION_TITLES = {
    "k-means": "K-means as in the paper, one cluster a level: the plain mean",
    "k-means-2": "K-means with two clusters a level, the larger one",
    "weighted": "ours: trimmed mean, weight presence² × border distance",
}
_ERROR = tuple(Column(f"{name} mm", ("windows", "DATA", name, "error_mm")) for name in ("all", *_REGIONS))
_IDENTIFIED = tuple(Column(f"{name} id %", ("windows", "DATA", name, "id_rate"), 100.0) for name in ("all", *_REGIONS))
_PRECISION = tuple(Column(f"{name} mAP %", ("windows", "DATA", name, "mAP"), 100.0) for name in ("all", *_REGIONS))
_DATA = {"val": "unseen real scans (val)", "phantoms": "unseen phantoms"}

TABLE_1 = (
    ("integral regression", "joint", "2.9 mm (C 2.2, T 3.4, L 2.9, S 2.2)"),
    ("Gaussian heat map + argmax", "heat-map", "13.6 mm"),
    ("fully connected regression", "fully-connected", "7.05 mm"),
)
TABLE_2 = (("with Bi-LSTM", "joint", "mAP 90.3 %"), ("without Bi-LSTM", "without-lstm", "mAP 85.6 %"))
TABLE_3 = (
    ("localisation and classification", "joint", "id 89.0 % (C 90.8, T 86.7, L 89.7, S 96.9)"),
    ("localisation only", "localisation-only", "id 62.7 %"),
    ("classification only", "classification-only", NONE),
)


def comparisons() -> tuple[Comparison, ...]:
    """All tables, in the order of the paper, then those that it does not have."""
    tables = []
    for data, where in _DATA.items():
        tables += [
            _windows(f"Table I, localisation: {where}", TABLE_1, (*_ERROR, *_IDENTIFIED), data),
            _windows(f"Table II, classification: {where}", TABLE_2, _PRECISION, data),
            _windows(f"Table III, one task or both: {where}", TABLE_3, (_PRECISION[0], *_ERROR, _IDENTIFIED[0]), data),
        ]
    tables.append(_whole_scans())
    return (*tables, *(_fusion(run) for run in ("joint", "qin")), _methods())


def _windows(title: str, rows: Sequence[tuple[str, str, str]], columns: tuple[Column, ...], data: str) -> Comparison:
    changed = (("DATA", data),)
    return Comparison(title, tuple(Row(*row, changed) for row in rows), columns, "paper, CSI-2014")


def _scan_columns(*paths: tuple[str, str, float]) -> tuple[Column, ...]:
    """Whole-scan id-rates, then totals of json_report: (title, key, scale)."""
    rates = [Column("id %", ("scans", "USE", "total", "id_rate"), 100.0)]
    rates += [Column(f"{name} id %", ("scans", "USE", name, "id_rate"), 100.0) for name in _REGIONS]
    return (*rates, *(Column(title, ("scans", "USE", "total", key), scale) for title, key, scale in paths))


TOTALS = (("mean mm", "mean_error_mm", 1.0), ("recall %", "recall", 100.0), ("FP", "false_positives", 1.0))


def _whole_scans() -> Comparison:
    """Tables I and III once more, after fusion over a scan."""
    rows = [Row(title, run, paper, (("USE", "corridor k-means"),)) for title, run, paper in (*TABLE_1, TABLE_3[1])]
    note = (
        "Windows along the spine, presence > 0.5, K-means as in the paper; without a classifier every level is named."
    )
    title = "Tables I and III on whole real scans (val)"
    return Comparison(title, tuple(rows), _scan_columns(*TOTALS), "paper, CSI-2014", note)


def _fusion(run: str) -> Comparison:
    """The same votes, fused in several ways."""
    rows = [
        Row(f"{place}: {_FUSION_TITLES[name]}", run, changed=(("USE", f"{place} {name}"),))
        for place in PLACEMENTS
        for name in FUSIONS
    ]
    note = "dense: windows over the volume, half overlapping; corridor: along the spine. No sequence decoder."
    return Comparison(f"Fusion, whole real scans (val), network `{run}`", tuple(rows), _scan_columns(*TOTALS), "", note)


def _methods() -> Comparison:
    rows = (
        Row(
            "Qin et al. as in the paper: dense, presence > 0.5, K-means",
            "qin",
            "id 89.0 %, 2.9 mm",
            _use("dense k-means"),
        ),
        Row("the same weights, our corridor, fusion and sequence", "qin", NONE, _use(DEFAULT)),
        Row("`sites`", "sites", NONE, _use(DEFAULT)),
    )
    columns = (*_scan_columns(*TOTALS, ("after shift %", "id_rate_after_shift", 100.0)),)
    columns += (Column("training min", ("training_seconds",), 1 / 60),)
    note = "Same cases, number and size in mm of the windows, channels, steps; `sites` reads them at 2 mm, Qin at 4 mm."
    return Comparison("Qin et al. and `sites`, whole real scans (val)", rows, columns, "paper, CSI-2014", note)


def _use(name: str) -> tuple[tuple[str, str], ...]:
    return (("USE", name),)


def report(records: Sequence[Record]) -> str:
    """Everything as Markdown, to be pasted under a second-level heading."""
    lines = ["## Ablations", "", *_introduction(records), ""]
    return "\n".join([*lines, budget(records, NAMES), *(markdown_table(table, records) for table in comparisons())])


def _introduction(records: Sequence[Record]) -> list[str]:
    if not records:
        return ["No run is finished yet."]
    cases, real = records[0]["cases"], records[0]["real_training_scans"]
    machines = ", ".join(sorted({record["machine"] for record in records}))
    return [
        "The comparisons of Qin et al. (arXiv 2001.00170), printed by `python -m training ablate`. **Measured on our "
        "data, not on CSI-2014**, with networks and budgets far below the paper's: compare rows with each other, not "
        f"with the paper's column. Trained on {real} real scans and {cases['train'] - real} phantoms, judged on the "
        f"{cases['val']} real scans of val and on {cases['phantoms']} phantoms kept apart. Machine: {machines}.",
        "",
        "Mean ± standard deviation over seeds, which tells nothing of the spread over patients. Windows: "
        f"{WINDOWS_PER_CASE} fixed ones a case, no augmentation; mm: mean error over all present levels, identified or "
        "not; id: the nearest of the vertebrae present is the right one and closer than 20 mm. Whole scans: the VerSe "
        "metric of `evaluate`, whose mm is the mean error of the identified.",
    ]


def budget(records: Sequence[Record], names: Sequence[str]) -> str:
    """What each training was given: one row per name of a run."""
    head = ("run", "parameters", "grid mm", "window z y x", "channels", "steps × batch", "training min")
    by_name = {name: [record for record in records if record["name"] == name] for name in names}
    rows = [_budget_row(name, of_run) for name, of_run in by_name.items() if of_run]
    return "\n".join([*table_lines(head, rows), ""])


def _budget_row(name: str, records: Sequence[Record]) -> list[str]:
    network, run = (records[0]["configuration"][key] for key in ("network", "run"))
    minutes = spread([record["training_seconds"] / 60 for record in records])
    window, widths = (" ".join(map(str, network[key])) for key in ("window_zyx", "widths"))
    parameters = f"{records[0]['parameters'] / 1e6:.2f} M"
    spacing = f"{network['spacing_mm']:g}"
    budget = f"{run['steps']} × {run['batch']}"
    return [name, parameters, spacing, window, widths, budget, minutes]
