"""The measured trust of the ensemble as source, and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from VertebraLabelingLib.methods import ensemble
from VertebraLabelingLib.methods.ensemble.trust import Trust

from .markdown import table_lines

SOURCE = Path(ensemble.__path__[0]) / "measured.py"
_DIGITS = 4

_HEAD = '''"""What the word of each method is worth; `python -m training calibrate --method ensemble` writes this file.

Measured on {basis}.
See `trust.Trust` for what the numbers mean, and `training/trust.py` for how they are found.
"""

from __future__ import annotations

from collections.abc import Mapping

from .trust import Trust

TRUSTS: tuple[Mapping[str, Trust], ...] = (
{tables})
"""By method: of all members together, then of other sets of them."""
'''


def source_of(trusts: Sequence[Mapping[str, Trust]], basis: str) -> str:
    """The text of `ensemble/measured.py`.

    trusts: of all members together, then of other sets of them.  basis: what it was measured on.
    """
    tables = ("".join(_row(name, of_it) for name, of_it in trust.items()) for trust in trusts)
    return _HEAD.format(basis=basis, tables="".join(f"    {{\n{rows}    }},\n" for rows in tables))


def table_of(trust: Mapping[str, Trust]) -> str:
    """A table in Markdown, a method a line; by region C, T, L, S."""
    titles = ["method", *(field.name for field in fields(Trust))]
    rows = ([name, *(_words(value) for value in astuple(of_it))] for name, of_it in trust.items())
    return "\n".join(table_lines(titles, rows))


def _row(name: str, trust: Trust) -> str:
    values = "".join(f"            {field.name}={_rounded(getattr(trust, field.name))},\n" for field in fields(trust))
    return f'        "{name}": Trust(\n{values}        ),\n'


def _rounded(value: float | tuple[float, ...]) -> float | tuple[float, ...]:
    return tuple(round(v, _DIGITS) for v in value) if isinstance(value, tuple) else round(value, _DIGITS)


def _words(value: float | tuple[float, ...]) -> str:
    return " ".join(f"{v:.2f}" for v in (value if isinstance(value, tuple) else (value,)))
