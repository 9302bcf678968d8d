"""Data sets of annotated CTs, one file per layout; each reader is a generator of `Annotated`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from VertebraLabelingLib.core.errors import UsageError

from .annotated import Annotated

FORMATS = ("listed", "verse", "csi2014", "totalsegmentator", "pairs", "ctspine1k")
"""Modules of this package with ``recognises(folder) -> bool`` and ``items(folder) -> Iterator[Annotated]``; the order
in which they are asked: the layouts with the plainest names last, because others have them inside."""


def recognise(folder: Path) -> str:
    """The format of a data folder; UsageError when it is none that is known."""
    if not folder.is_dir():
        raise UsageError(f"The data folder {folder} does not exist; check the path.")
    for name in FORMATS:
        if import_module(f"{__name__}.{name}").recognises(folder):
            return name
    raise UsageError(
        f"{folder} has no data set that is known: no scans.csv, no VerSe, CSI-2014, TotalSegmentator or CTSpine1K "
        "folders, and no CT with a .mrk.json or .csv of the same name next to it."
    )


def read_dataset(folder: Path, name: str = "auto") -> Iterator[Annotated]:
    """The scans of a data folder in the format of that name; UsageError for a folder without it."""
    name = recognise(folder) if name == "auto" else name
    module = import_module(f"{__name__}.{name}")
    if not module.recognises(folder):
        raise UsageError(f"{folder} does not have the layout '{name}'; see --format in the README of training.")
    yield from module.items(folder)
