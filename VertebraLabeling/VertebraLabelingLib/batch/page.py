"""One page on all scans of a batch run, with the preview pictures beside it; needs nothing but itself.

It lies in the output folder and links to the pictures there, failures first.  Names are escaped: they come from files.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from urllib.parse import quote

from .. import __version__
from ..core.files import atomic_write
from .page_template import TEMPLATE
from .summary import Outcome, counts, missing_levels

BEGINS = "<!DOCTYPE html>\n<!-- vertebra-labeling batch -->\n"
"""By which the program knows its own page again."""
_COLUMNS = ("preview", "scan", "state", "levels", "count", "counting", "uncertain", "missing", "seconds", "remarks")


def write_page(path: Path, outcomes: Sequence[Outcome], summary_name: str, is_over: bool) -> None:
    """Write the page; `is_over`: whether the run has ended.  Pictures are looked for beside the page."""
    with atomic_write(path) as temporary:
        text = page(outcomes, path.parent, summary_name, is_over)
        temporary.write_text(text, encoding="utf-8", errors="xmlcharrefreplace")


def page(outcomes: Sequence[Outcome], folder: Path, summary_name: str, is_over: bool) -> str:
    """The whole text; `folder`: where it will lie."""
    order = sorted(range(len(outcomes)), key=lambda index: (_urgency(outcomes[index]), index))
    return BEGINS + string.Template(TEMPLATE).substitute(
        title=escape(_title(outcomes, is_over)),
        written=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        version=escape(__version__),
        summary=_address(summary_name),
        filters=_filters(outcomes),
        columns="".join(_head(name) for name in _COLUMNS),
        rows="\n".join(_row(outcomes[index], index, folder) for index in order),
    )


def _title(outcomes: Sequence[Outcome], is_over: bool) -> str:
    numbers = counts(outcomes)
    parts = [f"{len(outcomes)} scans", *(f"{number} {state}" for state, number in numbers.items() if number)]
    return ", ".join([*parts, *([] if is_over else ["run not finished"])])


def kinds(outcome: Outcome) -> tuple[str, ...]:
    """What a scan is listed under, the most urgent first."""
    tests = {
        "failed": outcome.state == "failed",
        "level-unsure": outcome.level_certain is False,
        "uncertain": outcome.uncertain > 0,
        "done": outcome.state == "done",
        "waiting": outcome.state == "waiting",
    }
    return tuple(name for name, applies in tests.items() if applies)


def _urgency(outcome: Outcome) -> int:
    order = ("failed", "level-unsure", "uncertain", "done", "waiting")
    return order.index(kinds(outcome)[0])


def _filters(outcomes: Sequence[Outcome]) -> str:
    """A button for all scans and one for each kind that there is."""
    names = {
        "failed": "failed", "level-unsure": "level unsure", "uncertain": "with uncertain points", "done": "done",
        "waiting": "waiting",
    }  # fmt: skip
    numbers = {kind: sum(kind in kinds(outcome) for outcome in outcomes) for kind in names}
    buttons = [_filter("", f"all {len(outcomes)}", True)]
    return "".join(buttons + [_filter(kind, f"{names[kind]} {n}", False) for kind, n in numbers.items() if n])


def _filter(kind: str, text: str, pressed: bool) -> str:
    return f'<button type="button" data-kind="{kind}" aria-pressed="{str(pressed).lower()}">{text}</button>'


def _head(name: str) -> str:
    if name == "preview":
        return '<th scope="col">preview</th>'
    return f'<th scope="col" aria-sort="none"><button type="button">{name}</button></th>'


def _row(outcome: Outcome, index: int, folder: Path) -> str:
    levels, failed = outcome.levels, outcome.state == "failed"
    extent = "-".join(dict.fromkeys((levels[0].name, levels[-1].name))) if levels else ""
    certain = {True: "certain", False: "unsure", None: ""}[outcome.level_certain]
    remarks = [outcome.message, *([outcome.summary] if certain == "unsure" else []), *outcome.notes]
    done = outcome.state == "done"
    cells = (
        _cell(_picture(outcome, folder), "", "picture"),
        _cell(_name(outcome), index, "name"),
        _cell(f"failed ({outcome.exit_code})" if failed else outcome.state, _urgency(outcome), "state"),
        _cell(escape(extent), int(levels[0]) if levels else -1),
        _cell(str(len(levels)) if done else "", len(levels), "number"),
        _cell(certain, certain),
        _cell(str(outcome.uncertain) if done else "", outcome.uncertain, "number"),
        _cell(" ".join(level.name for level in missing_levels(levels)), len(missing_levels(levels))),
        _cell("" if outcome.seconds is None else f"{outcome.seconds:.1f}", outcome.seconds or 0.0, "number"),
        _cell("".join(f"<p>{escape(remark)}</p>" for remark in remarks if remark), len("".join(remarks))),
    )
    return f'<tr class="{" ".join(kinds(outcome))}">{"".join(cells)}</tr>'


def _cell(content: str, value: object, kind: str = "") -> str:
    """Table cell of HTML `content`; value: what the column is sorted by."""
    return f'<td class="{kind}" data-value="{escape(str(value))}">{content}</td>'


def _picture(outcome: Outcome, folder: Path) -> str:
    name = f"{outcome.entry.stem}.png"
    if outcome.state != "done" or not (folder / name).is_file():
        return ""
    words = escape(f"Labelled vertebrae of {outcome.entry.relative}")
    return f'<a href="{_address(name)}"><img src="{_address(name)}" alt="{words}" loading="lazy"></a>'


def _name(outcome: Outcome) -> str:
    """Name of the scan, linked to its markups."""
    name = escape(outcome.entry.relative)
    return f'<a href="{_address(outcome.entry.stem + ".mrk.json")}">{name}</a>' if outcome.state == "done" else name


def _address(name: str) -> str:
    """Relative address of a file; "./" keeps a name with a colon from being taken for a protocol."""
    return escape("./" + quote(name, errors="surrogateescape"))
