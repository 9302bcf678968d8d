"""The list of real spines without images, and what a network once detected on the same scans.

Files of the ImFusion VID data set, training part (CC BY-SA 4.0): `spines.csv.gz` (scan, source, file, keypoint, level,
x, y, z) and `spine_detections.csv.gz` (scan, file, keypoint, segment, pC, pT, pL, x, y, z), positions in LPS mm.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError

SPINES_FILE, DETECTIONS_FILE = "spines.csv.gz", "spine_detections.csv.gz"
KEPT_APART_SHARE = 0.3
SAME_VERTEBRA_MM = 12.0
"""A detection further from every body centre is a false one; less than the shortest spacing."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spine:
    """One scan: its n annotated body centres, cranio-caudal, and m raw detections, in any order.

    positions_lps_mm: (n, 3).  detections_lps_mm: (m, 3).  regions: (m, 3) probability of C, T, L; not exclusive.
    """

    id: str
    patient: str
    source: str
    levels: tuple[Level, ...]
    positions_lps_mm: Array
    detections_lps_mm: Array
    regions: Array

    def steps(self) -> Iterator[tuple[Level, Level, float]]:
        """(upper level, lower level, distance in mm) of all neighbours that are both annotated."""
        distances = np.linalg.norm(np.diff(self.positions_lps_mm, axis=0), axis=1)
        for (above, below), distance in zip(pairwise(self.levels), distances, strict=True):
            yield above, below, float(distance)


def read_spines(folder: Path) -> tuple[Spine, ...]:
    """All spines of the two files in `folder`, by id; InputError when one cannot be read."""
    bodies: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _body_rows(folder / SPINES_FILE):
        bodies[row["scan"]].append(row)
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _body_rows(folder / DETECTIONS_FILE):
        found[row["scan"]].append(row)
    return tuple(_spine(name, bodies[name], found[name]) for name in sorted(bodies))


def patient_of(file: str) -> str:
    """The patient in a path of the list; VerSe's pieces of one scan and its two years share a subject."""
    parts = file.split("/")
    if parts[0] == "COLONOG":
        return parts[2]
    return parts[-1].split("_ct")[0].split("_dir")[0].split("_split")[0].removesuffix(".nii.gz")


def is_kept_apart(patient: str) -> bool:
    """Whether the patient is for judging only: a fixed draw by the hash of the name, the same on every machine."""
    draw = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:4], "big") / 2**32
    return draw < KEPT_APART_SHARE


def fit_and_apart(spines: Iterable[Spine]) -> tuple[tuple[Spine, ...], tuple[Spine, ...]]:
    """(to fit on, to judge on), by patient."""
    spines = tuple(spines)
    apart = tuple(spine for spine in spines if is_kept_apart(spine.patient))
    return tuple(spine for spine in spines if not is_kept_apart(spine.patient)), apart


def matched(spine: Spine, within_mm: float = SAME_VERTEBRA_MM) -> NDArray[np.intp]:
    """(m,) index of the vertebra each detection is, -1 for none; one to one, nearest pairs first."""
    distances = np.linalg.norm(spine.detections_lps_mm[:, None] - spine.positions_lps_mm[None], axis=-1)
    vertebra = np.full(len(spine.detections_lps_mm), -1, np.intp)
    for flat in np.argsort(distances, axis=None):
        i, j = np.unravel_index(flat, distances.shape)
        if distances[i, j] > within_mm:
            break
        if vertebra[i] < 0 and j not in vertebra:
            vertebra[i] = j
    return vertebra


def _body_rows(path: Path) -> list[dict[str, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read as a gzipped CSV ({error}); check the path.") from error
    if not rows or not {"scan", "file", "keypoint", "x", "y", "z"} <= rows[0].keys():
        raise InputError(f"'{path}' has no rows with scan, file, keypoint, x, y and z.")
    return [row for row in rows if row["keypoint"] == "body"]


def _spine(name: str, bodies: list[dict[str, str]], found: list[dict[str, str]]) -> Spine:
    ordered = sorted(bodies, key=lambda row: Level.parse(row["level"]))
    return Spine(
        id=name,
        patient=patient_of(bodies[0]["file"]),
        source=bodies[0]["source"],
        levels=tuple(Level.parse(row["level"]) for row in ordered),
        positions_lps_mm=_columns(ordered, "xyz"),
        detections_lps_mm=_columns(found, "xyz"),
        regions=_columns(found, ("pC", "pT", "pL")),
    )


def _columns(rows: list[dict[str, str]], names: Iterable[str]) -> Array:
    return np.array([[float(row[name]) for name in names] for row in rows]).reshape(-1, 3)
