"""The page and the lines of a batch run."""

from __future__ import annotations

import csv
import io
import json
from contextlib import redirect_stdout
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from batch_fakes import FakeLabeller, batch_args, write_volume
from VertebraLabelingLib.batch import report, run
from VertebraLabelingLib.batch.discover import Entry
from VertebraLabelingLib.batch.page import page
from VertebraLabelingLib.batch.run import SomeFailedError
from VertebraLabelingLib.batch.summary import Outcome, missing_levels, write_summary
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import CancelledError

VOID = {"meta", "img", "input", "link", "br"}
NASTY = "<script>alert(\"1\")</script> & 'x' 100%"


class Page(HTMLParser):
    """What is on a page: every element is closed in order; rows as lists of cell texts; scripts; addresses."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open, self.rows, self.scripts, self.addresses, self.classes = [], [], 0, [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.classes.append(values.get("class"))
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.scripts += tag == "script"
        self.addresses += [values[key] for key in ("href", "src") if key in values]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def outcome(name: str, points=(("L1", 0.9), ("L2", 0.8)), certain=True, **more) -> Outcome:
    points = [{"level": level, "probability": p, "position_lps_mm": [0, 0, 0]} for level, p in points]
    labelling = {"points": points, "level_certain": certain, "summary": f"summary of {name}", "remarks": []}
    entry = Entry(Path(name), name, name.removesuffix(".nii"))
    return Outcome(entry, "done", 0, values={"labelling": labelling, "seconds": {"find": 1.5}}, **more)


def failed(name: str, message="It is broken.") -> Outcome:
    return Outcome(Entry(Path(name), name, name.removesuffix(".nii")), "failed", 3, message)


def test_no_cell_of_the_table_is_a_formula_to_a_spreadsheet_program(tmp_path):
    link = '=HYPERLINK("http://x", "y").nii'
    outcomes = [outcome(link), failed("+1.nii", "@SUM(1)"), outcome("-a.nii"), outcome("\tb.nii"), outcome("c=1.nii")]
    write_summary(tmp_path / "summary.csv", outcomes)
    with (tmp_path / "summary.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scan"] for row in rows] == [f"'{link}", "'+1.nii", "'-a.nii", "'\tb.nii", "c=1.nii"]
    assert (rows[0]["markups"][:2], rows[1]["message"]) == ("'=", "'@SUM(1)")
    assert (rows[0]["count"], rows[0]["seconds"], rows[1]["exit_code"]) == ("2", "1.5", "3")


def test_failures_come_first_then_the_doubtful_ones(tmp_path):
    outcomes = [
        outcome("good.nii"),
        outcome("weak.nii", (("L1", 0.9), ("L3", 0.3))),
        Outcome(Entry(Path("later.nii"), "later.nii", "later")),
        outcome("unsure.nii", certain=False),
        failed("bad.nii"),
    ]
    found = Page(page(outcomes, tmp_path, "summary.csv", is_over=True))
    assert [row[1] for row in found.rows[1:]] == ["bad.nii", "unsure.nii", "weak.nii", "good.nii", "later.nii"]
    assert found.rows[1][2] == "failed (3)"
    assert "It is broken." in found.rows[1][-1]
    assert "summary of unsure.nii" in found.rows[2][-1]
    assert found.rows[3][3:8] == ["L1-L3", "2", "certain", "1", "L2"]
    assert found.classes[1:] == ["failed", "level-unsure done", "uncertain done", "done", "waiting"]


def test_names_and_messages_are_escaped(tmp_path):
    name = f"{NASTY}.nii"
    outcomes = [outcome(name, remark=NASTY), failed(name, NASTY)]
    (tmp_path / outcomes[0].entry.stem).parent.mkdir(parents=True, exist_ok=True)
    found = Page(page(outcomes, tmp_path, "summary.csv", is_over=True))
    assert found.scripts == 1
    assert [row[1] for row in found.rows[1:]] == [name, name]
    assert all(NASTY in row[-1] for row in found.rows[1:])
    assert f"./{NASTY}.mrk.json" in [unquote(address) for address in found.addresses]


def test_pictures_are_linked_from_where_the_page_lies(tmp_path):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "c #1.png").touch()
    found = Page(page([outcome("a b/c #1.nii"), outcome("d:e.nii")], tmp_path, "summary.csv", is_over=True))
    targets = [address for address in found.addresses if address.endswith(".png")]
    assert targets == ["./a%20b/c%20%231.png"] * 2
    assert "./d%3Ae.mrk.json" in found.addresses


def test_the_page_needs_nothing_from_elsewhere(tmp_path):
    text = page([outcome("a.nii")], tmp_path, "summary.csv", is_over=True)
    assert all(address.startswith("./") for address in Page(text).addresses)
    assert "http" not in text
    assert "@import" not in text


def test_the_page_says_when_the_run_is_not_over(tmp_path):
    assert "1 scans, 1 done<" in page([outcome("a.nii")], tmp_path, "summary.csv", is_over=True)
    assert "run not finished" in page([outcome("a.nii")], tmp_path, "summary.csv", is_over=False)


@pytest.mark.parametrize(
    ("levels", "missing"),
    [
        ("", ""),
        ("L1", ""),
        ("T11 T12 L1", ""),
        ("T12 T13 L1", ""),
        ("T11 L1", "T12"),
        ("L4 S1", "L5"),
        ("C1 C4", "C2 C3"),
    ],
)
def test_missing_levels(levels, missing):
    found = missing_levels([Level[name] for name in levels.split()])
    assert " ".join(level.name for level in found) == missing


# --- lines ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path):
    for name, kind in (("a.nii", 0), ("b.nii", 4), ("c.nii", 0)):
        write_volume(tmp_path / "in" / name, kind)
    return tmp_path / "in", tmp_path / "out"


def said(place, *options) -> str:
    """What a run with one failure prints on stdout."""
    args = batch_args(*place, *options)
    args.quiet = "--quiet" in options
    with redirect_stdout(io.StringIO()) as out, pytest.raises(SomeFailedError):
        run.run_batch(args, FakeLabeller())
    return out.getvalue()


def test_json_lines(place):
    events = [json.loads(line) for line in said(place, "--json-lines").splitlines()]
    main = [e for e in events if e["event"] != "progress"]
    kinds = ["scan-started", "scan-done", "scan-started", "scan-failed", "scan-started", "scan-done", "result"]
    assert [e["event"] for e in main] == kinds
    assert main[0] == {"event": "scan-started", "scan": "a.nii", "number": 1, "count": 3}
    assert (main[1]["summary"], main[1]["markups"]) == (
        "L1-L3, 2 vertebrae, level unsure: nothing to count from",
        "a.mrk.json",
    )
    assert (main[3]["scan"], main[3]["code"]) == ("b.nii", 4)
    result = main[-1]
    counts = {key: result[key] for key in ("count", "done", "failed", "waiting", "labelled", "cancelled")}
    assert counts == {"count": 3, "done": 2, "failed": 1, "waiting": 0, "labelled": 3, "cancelled": False}
    assert result["failures"] == [{"scan": "b.nii", "code": 4, "message": main[3]["message"]}]
    assert result["files"] == {"summary": str(place[1] / "summary.csv"), "page": str(place[1] / "index.html")}
    progress = [e for e in events if e["event"] == "progress"]
    fractions = [e["fraction"] for e in progress]
    assert fractions == sorted(fractions)
    assert 0.9 < fractions[-1] <= 1.0
    last = progress[-1]
    assert (last["scan"], last["done"], last["count"]) == ("c.nii", 2, 3)
    assert last["seconds_left"] >= 0 < last["scans_per_minute"]


def test_a_line_per_scan(place):
    lines = said(place).splitlines()
    assert lines[0] == "1/3 a.nii: L1-L3, 2 vertebrae, level unsure: nothing to count from"
    assert lines[1].startswith("2/3 b.nii: FAILED (4): No vertebra")
    assert lines[3] == f"2 done, 1 failed (3 in this run) -> {place[1] / 'index.html'}"


def test_quiet_says_nothing(place):
    assert said(place, "--quiet") == ""


def test_nobody_listens(place):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    for options in ([], ["--json-lines"]):
        args = batch_args(*place, *options)
        args.quiet = False
        with redirect_stdout(Closed()), pytest.raises(CancelledError):
            run.run_batch(args, FakeLabeller())


def test_the_bar_tells_scan_rate_and_time_left(monkeypatch):
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TextColumn

    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=200)
    columns = (TextColumn("{task.description}"), TextColumn("{task.fields[pace]}"))
    monkeypatch.setattr(report.time, "monotonic", lambda: 30.0)
    with Bar(*columns, console=console, auto_refresh=False, get_time=lambda: 0.0) as bar:
        says = report.TextReporter(bar)
        says.pace = report.Pace(3, 1, 0.0)
        says.scan_started("x [b].nii")
        says.progress("network", 0.5, "x [b].nii")
        assert bar.tasks[0].completed == 1.5
        assert bar.tasks[0].fields["pace"] == "1/3, 2.0 scans/min, 60 s left"
        bar.refresh()
    assert "x [b].nii: network" in stream.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(40.4, "40 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")])
def test_duration(seconds, text):
    assert report.duration(seconds) == text
