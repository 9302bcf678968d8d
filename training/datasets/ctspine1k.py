"""CTSpine1K: ``volumes/<source>/liver_1.nii.gz`` and ``labels/<source>/liver_1_seg.nii.gz``, and ``data_split.txt``.

Any folder works in which the masks are called like their CT with ``_seg`` at the end: beside it, or in a parallel tree
with ``volumes`` (``images``, ``data``) instead of ``labels`` (``gt``, ``masks``).  Mask numbers are those of VerSe
(1 = C1 ... 24 = L5, 25 = L6, 26 = S1, 28 = T13).  Cut vertebrae have masks too; those whose body is cut are left out,
see `masks`.  The split file has headings (``trainset:``, ``test_public:``, ``test_private:``), each followed by names.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.formats.common import load_text

from .annotated import Annotated, Points, safe_id
from .masks import points_of_labels

LABELS = {level.verse_id: level for level in Level if level is not Level.S2}
_MASK_END = "_seg.nii.gz"
_PARALLEL = {"labels": ("volumes", "images"), "gt": ("data", "images", "volumes"), "masks": ("images", "volumes")}
_SPLIT_WORDS = {"train": "train", "public": "val", "val": "val", "private": "test", "test": "test"}
"""The first word that occurs in a heading of the split file decides."""


def recognises(folder: Path) -> bool:
    """Whether a mask and its CT lie in the folder or below."""
    return any(_scan_of(mask).is_file() for mask in _mask_files(folder))


def items(folder: Path) -> Iterator[Annotated]:
    """One item for each mask; a scan is a patient, as the set took one scan of each."""
    splits = _splits(folder)
    for mask in _mask_files(folder):
        scan = _scan_of(mask)
        name = safe_id(scan.name.removesuffix(".nii.gz"))
        yield Annotated(name, name, splits.get(scan.name), scan, mask, partial(_read, mask))


def _read(mask: Path) -> Points:
    points = points_of_labels(mask, LABELS)
    if not points:
        raise InputError(f"{mask} has no whole vertebral body in it (labels 1 to 26, 28).")
    return points


def _mask_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob(f"*{_MASK_END}"))


def _scan_of(mask: Path) -> Path:
    """The CT of a mask: beside it, else in the parallel tree; the first guess when there is none."""
    name = mask.name.removesuffix(_MASK_END) + ".nii.gz"
    folders = [mask.parent]
    for n, part in enumerate(mask.parent.parts):
        folders += [
            Path(*mask.parent.parts[:n], other, *mask.parent.parts[n + 1 :]) for other in _PARALLEL.get(part, ())
        ]
    return next((path / name for path in folders if (path / name).is_file()), folders[-1] / name)


def _splits(folder: Path) -> dict[str, str]:
    """Split of each CT by file name; none without ``data_split.txt`` in the folder or below."""
    file = next(folder.rglob("data_split.txt"), None)
    splits: dict[str, str] = {}
    split = None
    for line in load_text(file).splitlines() if file else ():
        entry = line.strip()
        if entry.endswith(":"):
            split = next((_SPLIT_WORDS[word] for word in _SPLIT_WORDS if word in entry.lower()), None)
        elif entry and split:
            splits[Path(entry).name.replace(_MASK_END, ".nii.gz")] = split
    return splits
