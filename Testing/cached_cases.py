"""A small case as the cache of the training holds it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from VertebraLabelingLib.core.anatomy import Level

from training.cases import Case

CASE_LEVELS = (Level.T12, Level.L1, Level.L2)
CASE_POINTS_ZYX_MM = ((84.0, 48.0, 48.0), (56.0, 48.0, 48.0), (28.0, 48.0, 48.0))


def write_case(folder: Path, name: str, split: str) -> Case:
    """A bright column of three vertebrae in noisy soft tissue, 112 x 96 x 96 mm with 8 mm of air at one side."""
    points = np.array(CASE_POINTS_ZYX_MM)
    rng = np.random.default_rng(0)
    for spacing in (2, 4, 8):
        volume = rng.normal(40, 20, (112 // spacing, 96 // spacing, 96 // spacing)).astype(np.int16)
        volume[:, : 8 // spacing] = -1000
        middle = slice(36 // spacing, 60 // spacing)
        volume[:, middle, middle] = 300
        np.save(folder / f"{name}.{spacing}mm.npy", volume)
    levels = [level.name for level in CASE_LEVELS]
    description = {"id": name, "split": split, "corner_zyx_mm": [0.0] * 3, "levels": levels}
    (folder / f"{name}.json").write_text(json.dumps({**description, "points_zyx_mm": points.tolist(), "weight": 1.0}))
    return Case(name, split, folder, np.zeros(3), np.array(CASE_LEVELS, np.int64), points)


def write_cache(folder: Path) -> Path:
    """A new folder with one case to learn from, "a", and one of val, "b"."""
    folder.mkdir()
    write_case(folder, "a", "train")
    write_case(folder, "b", "val")
    return folder
