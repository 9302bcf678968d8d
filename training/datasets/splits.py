"""Splits by patient: no patient is ever in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from .annotated import Annotated

STRICTEST = ("test", "val", "train")
"""A patient of whom the data set has scans in several splits goes with all scans into the first of these."""


def with_splits(items: Iterable[Annotated], val_share: float) -> list[Annotated]:
    """The items, each with a split.

    Where the data set gives none, `val_share` of the patients become "val", chosen by a hash of the patient: the same
    patients at each call, whatever else is in the folder.
    """
    known = list(items)
    given: dict[str, set[str]] = {}
    for item in known:
        given.setdefault(item.patient, set()).update({item.split} - {None})
    splits = {patient: _split(patient, names, val_share) for patient, names in given.items()}
    return [_moved(item, splits[item.patient]) for item in known]


def _split(patient: str, given: set[str], val_share: float) -> str:
    if not given:
        return "val" if hash_share(patient) < val_share else "train"
    return next((name for name in STRICTEST if name in given), sorted(given)[0])


def _moved(item: Annotated, split: str) -> Annotated:
    if item.split in (None, split):
        return replace(item, split=split)
    remark = f"moved from {item.split} to {split}, where its patient {item.patient} has other scans"
    return replace(item, split=split, remark="; ".join(filter(None, (item.remark, remark))))


def hash_share(patient: str) -> float:
    """Number in 0..1 that depends on the patient alone, evenly spread over patients."""
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") / 2**64
