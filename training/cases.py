"""Annotated scans on the training grids, cached, with the points the losses need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.prepare import prepare
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.core.scan import Scan

from .scan_list import annotated_rows

GRIDS_MM = (2.0, 4.0, 8.0)
CONTINUATION = np.arange(0.9, 2.6, 0.35)
"""Where, in vertebra spacings beyond the last labelled one, the column may go on without labels."""


@dataclass(frozen=True)
class Case:
    """One scan on isotropic grids (int16 HU, z y x, LPS axes) and its centroids.

    folder: of the cached volumes.  corner_zyx_mm: LPS position (z, y, x) of the lower corner that all grids share.
    levels: (n,) `Level` values, cranio-caudal.  points_zyx_mm: (n, 3) centroids, LPS in the order z, y, x.
    weight: how often the case is drawn.
    """

    id: str
    split: str
    folder: Path
    corner_zyx_mm: NDArray[np.float64]
    levels: NDArray[np.int64]
    points_zyx_mm: NDArray[np.float64]
    weight: float = 1.0

    def volume(self, spacing_mm: float) -> NDArray[np.int16]:
        """The voxels at 2, 4 or 8 mm (block averages), mapped from the cache."""
        return np.load(_volume_file(self.folder, self.id, spacing_mm), mmap_mode="r")

    @cached_property
    def beyond_zyx_mm(self) -> NDArray[np.float64]:
        """(m, 3) places where unlabelled vertebrae of the same column may lie; losses ignore their surroundings."""
        ends = [np.empty((0, 3))]
        if len(self.levels) > 1 and self.levels[0] != Level.C1:
            ends.append(_continued(self.points_zyx_mm[1], self.points_zyx_mm[0]))
        if len(self.levels) > 1 and self.levels[-1] != Level.S2:
            ends.append(_continued(self.points_zyx_mm[-2], self.points_zyx_mm[-1]))
        return np.concatenate(ends)


def cache_scans(data: Path, cache: Path) -> Iterator[Case]:
    """Cache every annotated scan (and the negatives) of `data`/scans.csv; those already there are left."""
    for row in annotated_rows(data / "scans.csv", ("train", "val")):
        weight = 0.35 if row["levels"] == "none" else 0.6 if row["file"].startswith("neck/") else 1.0
        levels, points = _read_annotation(data / "annotations" / f"{row['id']}.csv")
        if not _description_file(cache, row["id"]).exists():
            scan = replace(read_scan(data / row["file"]), name=row["id"])
            _store(cache, scan, row["split"], levels, points, weight)
        yield _load(_description_file(cache, row["id"]))


def cache_phantoms(cache: Path, count: int, weight: float = 0.12) -> Iterator[Case]:
    """Cache `count` random phantoms, seeds 0, 1, ..., as split "phantom"; those already there are left."""
    from .phantom import make_phantom, random_spec

    for seed in range(count):
        name = f"phantom-{seed:04}"
        if not _description_file(cache, name).exists():
            phantom = make_phantom(seed, random_spec(np.random.default_rng(seed)))
            scan = replace(phantom.scan, name=name)
            levels = np.array(sorted(phantom.centroids), np.int64)
            points = np.array([phantom.centroids[Level(v)][::-1] for v in levels]).reshape(-1, 3)
            _store(cache, scan, "phantom", levels, points, weight)
        yield _load(_description_file(cache, name))


def read_cache(cache: Path, splits: tuple[str, ...]) -> list[Case]:
    """All cached cases of the given splits, by id."""
    cases = [_load(file) for file in sorted(cache.glob("*.json"))]
    return [case for case in cases if case.split in splits]


def _store(
    cache: Path, scan: Scan, split: str, levels: NDArray[np.int64], points_zyx_mm: NDArray[np.float64], weight: float
) -> None:
    """Volumes first, the description last: a description stands for a complete case."""
    cache.mkdir(parents=True, exist_ok=True)
    prepared = prepare(scan)
    for spacing_mm in GRIDS_MM:
        hu = prepare(prepared, spacing_mm).hu
        np.save(_volume_file(cache, scan.name, spacing_mm), np.clip(hu, -1024, 3071).astype(np.int16))
    description = {
        "id": scan.name,
        "split": split,
        "corner_zyx_mm": prepared.geometry.lps_from_index_zyx(np.full(3, -0.5))[::-1].tolist(),
        "levels": [Level(v).name for v in levels],
        "points_zyx_mm": points_zyx_mm.tolist(),
        "weight": weight,
    }
    _description_file(cache, scan.name).write_text(json.dumps(description))


def _load(file: Path) -> Case:
    values = json.loads(file.read_text())
    levels = np.array([Level[name] for name in values["levels"]], np.int64)
    points = np.array(values["points_zyx_mm"], float).reshape(-1, 3)
    corner = np.array(values["corner_zyx_mm"])
    return Case(values["id"], values["split"], file.parent, corner, levels, points, values["weight"])


def _volume_file(folder: Path, name: str, spacing_mm: float) -> Path:
    return folder / f"{name}.{spacing_mm:g}mm.npy"


def _description_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _read_annotation(file: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Levels (n,) and centroids (n, 3) z, y, x of an annotation; empty when there is none."""
    points = sorted(read_points(file), key=lambda point: point.level) if file.exists() else []
    positions = np.array([point.position_lps_mm[::-1] for point in points]).reshape(-1, 3)
    return np.array([point.level for point in points], np.int64), positions


def _continued(before: NDArray[np.float64], last: NDArray[np.float64]) -> NDArray[np.float64]:
    return last + CONTINUATION[:, None] * (last - before)
