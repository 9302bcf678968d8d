"""The list of scans, scans.csv: which are annotated, and to which split they belong."""

from __future__ import annotations

import csv
from pathlib import Path

from VertebraLabelingLib.core.errors import InputError

COLUMNS = ("id", "split", "levels")
WITH_FILES = (*COLUMNS, "file")
UNLABELLED = "unlabelled"
"""The split of scans whose vertebrae nobody has annotated; in training they teach only what teachers say of them."""


def read_rows(scans: Path, columns: tuple[str, ...] = COLUMNS) -> list[dict[str, str]]:
    """All rows; InputError when the list cannot be read or lacks one of these columns."""
    try:
        rows = list(csv.DictReader(scans.read_text(encoding="utf-8-sig").splitlines()))
    except UnicodeDecodeError as error:
        raise InputError(f"'{scans}' is not a text file in UTF-8; save it as such.") from error
    except OSError as error:
        raise InputError(f"'{scans}' cannot be read ({error.strerror}); check the path.") from error
    if rows and not set(columns) <= rows[0].keys():
        raise InputError(f"'{scans}' has no header with {', '.join(columns)}.")
    return rows


def annotated_rows(scans: Path, splits: tuple[str, ...], columns: tuple[str, ...] = COLUMNS) -> list[dict[str, str]]:
    """Rows of the given splits whose vertebrae are known; `levels` is "none" where there is none.

    InputError as of `read_rows`.
    """
    return [row for row in read_rows(scans, columns) if row["split"] in splits and row["levels"]]
