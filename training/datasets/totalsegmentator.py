"""TotalSegmentator: ``s0001/ct.nii.gz`` with ``s0001/segmentations/vertebrae_L1.nii.gz`` ..., or with one mask of all.

The one mask is what ``TotalSegmentator --ml`` writes, here ``segmentations.nii.gz``, ``segmentation.nii.gz`` or
``labels.nii.gz`` next to the CT, with the numbers of the task "total" of version 2 (26 = S1 ... 50 = C1).
``meta.csv`` (semicolons; image_id, split) gives the splits.  Masks become body centroids, see `masks`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.formats.common import load_text

from .annotated import Annotated, Points, safe_id
from .masks import points_of_labels, points_of_masks

LABELS = {50 - n: level for n, level in enumerate(level for level in REGULAR_LEVELS if level <= Level.S1)}
"""Numbers of the task "total", version 2, from 50 = C1 down to 26 = S1."""
_ONE_MASK = ("segmentations.nii.gz", "segmentation.nii.gz", "labels.nii.gz")


def recognises(folder: Path) -> bool:
    """Whether a subject folder lies in the folder or is it."""
    return next(_subjects(folder), None) is not None


def items(folder: Path) -> Iterator[Annotated]:
    """One item for each folder with ct.nii.gz and masks; a subject is a patient.

    A scan whose masks are all empty shows no vertebra, and serves as a negative.
    """
    splits = _splits(folder / "meta.csv")
    for subject in _subjects(folder):
        source = _masks(subject)
        read = partial(_read_folder if source.is_dir() else _read_one_mask, source)
        split = splits.get(subject.name)
        yield Annotated(safe_id(subject.name), subject.name, split, subject / "ct.nii.gz", source, read)


def _subjects(folder: Path) -> Iterator[Path]:
    for scan in sorted(folder.rglob("ct.nii.gz")):
        if _masks(scan.parent).exists():
            yield scan.parent


def _masks(subject: Path) -> Path:
    """The folder of masks of a subject, else its one mask; the folder when there is neither."""
    one = next((subject / name for name in _ONE_MASK if (subject / name).is_file()), None)
    folder = subject / "segmentations"
    return folder if one is None or folder.is_dir() else one


def _read_folder(folder: Path) -> Points:
    files = {level: folder / f"vertebrae_{level.name}.nii.gz" for level in Level}
    there = {level: file for level, file in files.items() if file.is_file()}
    if not there:
        raise InputError(f"{folder} has no vertebrae_*.nii.gz; run TotalSegmentator with the vertebrae.")
    return points_of_masks(there, folder)


def _read_one_mask(file: Path) -> Points:
    return points_of_labels(file, LABELS)


def _splits(file: Path) -> dict[str, str]:
    """Split of each subject; none without the file."""
    if not file.is_file():
        return {}
    rows = csv.DictReader(load_text(file).splitlines(), delimiter=";")
    return {row["image_id"]: row["split"] for row in rows if row.get("image_id") and row.get("split")}
