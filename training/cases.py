"""Annotated scans on the training grids, cached, with the points the losses need."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.checks import check_ct
from VertebraLabelingLib.core.errors import InputError, VertebraLabelingError
from VertebraLabelingLib.core.files import atomic_write
from VertebraLabelingLib.core.prepare import prepare
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.core.scan import Scan

from .datasets.annotated import Annotated, check_points, points_inside
from .seeds import SHAPED_SEED

if TYPE_CHECKING:
    from .phantom import Phantom
    from .phantom.poses import Pose
    from .phantom.surfaces import Shapes

GRIDS_MM = (2.0, 4.0, 8.0)
CONTINUATION = np.arange(0.9, 2.6, 0.35)
"""Where, in vertebra spacings beyond the last labelled one, the column may go on without labels."""
PHANTOM_WEIGHT = 0.12
NEGATIVE_WEIGHT = 0.35
"""A scan without any vertebra is drawn at most this often, against 1 for an annotated one."""


@dataclass(frozen=True)
class Case:
    """One scan on isotropic grids (int16 HU, z y x, LPS axes) and its centroids.

    folder: of the cached volumes.  corner_zyx_mm: LPS position (z, y, x) of the lower corner that all grids share.
    levels: (n,) `Level` values, cranio-caudal.  points_zyx_mm: (n, 3) centroids, LPS in the order z, y, x.
    weight: how often the case is drawn.  patient: "" where it was not noted.  spacing_zyx_mm: voxels of the original
    scan, empty where they were not noted.
    """

    id: str
    split: str
    folder: Path
    corner_zyx_mm: NDArray[np.float64]
    levels: NDArray[np.int64]
    points_zyx_mm: NDArray[np.float64]
    weight: float = 1.0
    patient: str = ""
    spacing_zyx_mm: tuple[float, ...] = ()

    @property
    def person(self) -> str:
        """The patient; where none was noted, the scan stands for one of its own."""
        return self.patient or self.id

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


@dataclass(frozen=True)
class Outcome:
    """What became of one scan of a data set: its case, or why there is none."""

    item: Annotated
    case: Case | None
    problem: str = ""


def cache_annotated(items: Iterable[Annotated], cache: Path) -> Iterator[Outcome]:
    """Cache the scans of a data set; one that cannot be read is told and passed over.

    A cached volume is not made again.  Its description is, when split, patient or weight changed or the annotation is
    newer, so that corrected points come into force; a case whose points have become unusable is removed.
    """
    for item in items:
        try:
            yield Outcome(item, _cached(item, cache))
        except VertebraLabelingError as error:
            yield Outcome(item, None, str(error))


def drop_others(cache: Path, split: str, kept: Container[str]) -> list[str]:
    """Remove the cases of the split whose id is not among those to keep; returns the removed ids."""
    dropped = [case.id for case in read_cache(cache, (split,)) if case.id not in kept]
    for name in dropped:
        drop_case(cache, name)
    return dropped


def drop_case(cache: Path, name: str) -> None:
    """Remove a case, its description first, for a description stands for a complete one."""
    _description_file(cache, name).unlink()
    for spacing_mm in GRIDS_MM:
        _volume_file(cache, name, spacing_mm).unlink(missing_ok=True)


def cache_phantoms(
    cache: Path,
    count: int,
    poses: Sequence[Pose] = (),
    weight: float = PHANTOM_WEIGHT,
    first_seed: int = 0,
    shapes: Shapes | None = None,
) -> Iterator[Case]:
    """Cache `count` random phantoms, seeds from `first_seed` on, as split "phantom"; those already there are left.

    poses: real columns that they follow, where there are any.  shapes: of real vertebrae that they show; such phantoms
    have names and seeds of their own and stand beside the others.
    """
    from .phantom import make_phantom, random_spec

    kind, apart = ("surface", SHAPED_SEED) if shapes else ("phantom", 0)
    for number in range(first_seed, first_seed + count):
        name, seed = f"{kind}-{number:04}", apart + number
        if not _description_file(cache, name).exists():
            phantom = make_phantom(seed, random_spec(np.random.default_rng(seed), poses or None, shapes))
            cache_phantom(cache, name, phantom, weight)
        yield read_case(_description_file(cache, name))


def cache_phantom(cache: Path, name: str, phantom: Phantom, weight: float = PHANTOM_WEIGHT) -> None:
    """Cache one phantom as a case of split "phantom"."""
    levels = sorted(phantom.centroids)
    places = [phantom.centroids[level] for level in levels]
    _describe(cache, name, "phantom", levels, places, weight, _store_volumes(cache, phantom.scan, name))


def read_cache(cache: Path, splits: tuple[str, ...] | None = None) -> list[Case]:
    """All cached cases of the given splits (None: of all), by id."""
    # a name with a leading dot is a description that is being written
    cases = [read_case(file) for file in sorted(cache.glob("[!.]*.json"))]
    return [case for case in cases if splits is None or case.split in splits]


def _cached(item: Annotated, cache: Path) -> Case:
    """The case of an item, cached if it was not; VertebraLabelingError when scan or annotation cannot be used."""
    file = _description_file(cache, item.id)
    known = json.loads(file.read_text()) if file.exists() else None
    if known and not _is_same_scan(item, known):
        raise InputError(f"{file} describes another scan, {known['source']}; rename one, or use another cache.")
    if known is None or _is_stale(item, known, file.stat().st_mtime):
        # points that are no longer valid must not be learnt from
        file.unlink(missing_ok=True)
        _make(item, known, cache)
    return read_case(file)


def _make(item: Annotated, known: dict[str, Any] | None, cache: Path) -> None:
    """Description of an item, and its volumes where nothing is known of it yet."""
    check_points(item.points)
    grid = _grid_of(known) if known else _store_volumes(cache, check_ct(read_scan(item.scan_file)), item.id)
    shape_zyx = np.load(_volume_file(cache, item.id, 2.0), mmap_mode="r").shape
    points = points_inside(item.points, np.array(grid["corner_zyx_mm"]), 2.0 * np.array(shape_zyx))
    grid |= {"patient": item.patient, "source": str(item.scan_file.resolve())}
    places, weight = [point.position_lps_mm for point in points], _weight(item, len(points))
    _describe(cache, item.id, item.split or "train", [p.level for p in points], places, weight, grid)


def _is_same_scan(item: Annotated, known: dict[str, Any]) -> bool:
    """Descriptions of old have no source; a source that is gone was moved."""
    source = Path(known.get("source", item.scan_file.resolve()))
    return source == item.scan_file.resolve() or not source.exists() or not item.scan_file.exists()


def _is_stale(item: Annotated, known: dict[str, Any], described_at: float) -> bool:
    if (known["split"], known["weight"]) != (item.split, _weight(item, len(known["levels"]))):
        return True
    if known.get("patient") != item.patient:
        return True
    return item.annotation.exists() and item.annotation.stat().st_mtime > described_at


def _weight(item: Annotated, vertebrae: int) -> float:
    return item.weight if vertebrae else min(item.weight, NEGATIVE_WEIGHT)


def _grid_of(known: dict[str, Any]) -> dict[str, Any]:
    return {key: known[key] for key in ("corner_zyx_mm", "spacing_zyx_mm") if key in known}


def _store_volumes(cache: Path, scan: Scan, name: str) -> dict[str, Any]:
    """Write the volumes; what the description says of their grid, and the voxel size of the scan."""
    cache.mkdir(parents=True, exist_ok=True)
    prepared = prepare(scan)
    for spacing_mm in GRIDS_MM:
        hu = prepare(prepared, spacing_mm).hu
        np.save(_volume_file(cache, name, spacing_mm), np.clip(hu, -1024, 3071).astype(np.int16))
    corner = prepared.geometry.lps_from_index_zyx(np.full(3, -0.5))[::-1]
    return {"corner_zyx_mm": corner.tolist(), "spacing_zyx_mm": list(scan.geometry.spacing_zyx_mm)}


def _describe(
    cache: Path,
    name: str,
    split: str,
    levels: Sequence[Level],
    places_lps_mm: Sequence[Sequence[float]],
    weight: float,
    rest: dict[str, Any],
) -> None:
    """Written after the volumes: a description stands for a complete case."""
    points_zyx_mm = [[float(value) for value in reversed(place)] for place in places_lps_mm]
    description = {
        "id": name,
        "split": split,
        "levels": [level.name for level in levels],
        "points_zyx_mm": points_zyx_mm,
        "weight": weight,
    }
    with atomic_write(_description_file(cache, name)) as temporary:
        temporary.write_text(json.dumps(description | rest))


def read_case(file: Path) -> Case:
    """The case that a description in a cache stands for."""
    values = json.loads(file.read_text())
    levels = np.array([Level[name] for name in values["levels"]], np.int64)
    points = np.array(values["points_zyx_mm"], float).reshape(-1, 3)
    corner = np.array(values["corner_zyx_mm"])
    spacing = tuple(values.get("spacing_zyx_mm", ()))
    patient = values.get("patient", "")
    return Case(values["id"], values["split"], file.parent, corner, levels, points, values["weight"], patient, spacing)


def _volume_file(folder: Path, name: str, spacing_mm: float) -> Path:
    return folder / f"{name}.{spacing_mm:g}mm.npy"


def _description_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _continued(before: NDArray[np.float64], last: NDArray[np.float64]) -> NDArray[np.float64]:
    return last + CONTINUATION[:, None] * (last - before)
