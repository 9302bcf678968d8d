"""A folder with ``scans.csv`` (id, file, split, patient, levels) and ``annotations/<id>.csv``: this project's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.formats import read_points

from ..scan_list import UNLABELLED, WITH_FILES, read_rows
from .annotated import Annotated, Points, safe_id

LIST = "scans.csv"
NECK_WEIGHT = 0.6
"""Scans below ``neck/`` are many and alike."""
HELD_OUT = ("val", "test")


def recognises(folder: Path) -> bool:
    """Whether the folder has the list."""
    return (folder / LIST).is_file()


def items(folder: Path) -> Iterator[Annotated]:
    """Annotated scans and scans without any vertebra (`levels` "none"), of the splits that the list gives.

    InputError when the list cannot be read.  Rows of the split "unlabelled" are left out.
    """
    for row in read_rows(folder / LIST, WITH_FILES):
        if row["split"] != UNLABELLED and row["levels"]:
            yield _item(folder, row, folder / "annotations" / f"{row['id']}.csv", row["split"], _weight(row))


def additional_items(folder: Path, annotations: Path, split: str, weight: float = 0.3) -> Iterator[Annotated]:
    """Unlabelled rows for which `annotations`/<id>.csv exists, for instance machine-made, as another split.

    A scan whose patient is held out elsewhere in the list cannot be read: it would show the network its exam.
    """
    for row, held_out in _unlabelled(folder):
        file = annotations / f"{row['id']}.csv"
        if file.is_file():
            yield _item(folder, row, file, split, weight, held_out)


def items_without_points(folder: Path, annotations: Path | None = None, weight: float = 0.3) -> Iterator[Annotated]:
    """Unlabelled rows for which there is no `annotations`/<id>.csv, as the split `UNLABELLED`; patients as above."""
    for row, held_out in _unlabelled(folder):
        file = (annotations or folder / "annotations") / f"{row['id']}.csv"
        if not file.is_file():
            yield _item(folder, {**row, "levels": "none"}, file, UNLABELLED, weight, held_out)


def _unlabelled(folder: Path) -> Iterator[tuple[dict[str, str], bool]]:
    """Each unlabelled row, and whether its patient is held out elsewhere in the list."""
    rows = read_rows(folder / LIST, WITH_FILES)
    held_out = {_patient(row) for row in rows if row["split"] in HELD_OUT}
    yield from ((row, _patient(row) in held_out) for row in rows if row["split"] == UNLABELLED)


def _item(
    folder: Path, row: dict[str, str], file: Path, split: str, weight: float, held_out: bool = False
) -> Annotated:
    def read() -> Points:
        if held_out:
            raise InputError(f"{row['id']} is left out: its patient {_patient(row)} is in a split that is held out.")
        return () if row["levels"] == "none" else read_points(file)

    remark = row.get("remark") or ""
    return Annotated(safe_id(row["id"]), _patient(row), split, folder / row["file"], file, read, weight, remark)


def _patient(row: dict[str, str]) -> str:
    return row.get("patient") or row["id"]


def _weight(row: dict[str, str]) -> float:
    return NECK_WEIGHT if row["file"].startswith("neck/") else 1.0
