"""Pieces of real scans, as a smaller field of view would have shown them, with what a method sees in each.

Running the network is slow and happens once; its evidence is kept in a file, from which other settings of the decoder
are judged without it (`certainty.py`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError, NothingFoundError
from VertebraLabelingLib.core.files import atomic_write
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import Evidence, LabelledPoint, positions_of
from VertebraLabelingLib.core.progress import Progress
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.methods.base import Method
from VertebraLabelingLib.pipeline import label_scan

from .seeds import HELD_OUT_SEED

if TYPE_CHECKING:
    from .phantom import Pose

WHOLE, CROP, NEGATIVE, PHANTOM = "whole", "crop", "negative", "phantom"
SPACINGS = (3.0, 10.0)
"""Length of a crop in vertebral spacings of the scan; less than its labelled stretch, so that something is cut off."""
NARROW_SHARE = 1 / 3
NARROW_MM = (40.0, 80.0)
"""Share of the crops that are cut in plane too, and how far from the body centres each side then lies."""
HEAD_MARGIN_MM, LEG_MARGIN_MM = 25.0, 60.0
"""Above C1 and below S2 from where on a piece shows no vertebra that could be named."""
SHORTEST_NEGATIVE_MM = 60.0

_FORMAT = "vertebra-labeling-pieces/1"

Points = tuple[LabelledPoint, ...]
Box = NDArray[np.float64]
"""(2, 3): low and high corner, LPS mm."""


@dataclass(frozen=True)
class Piece:
    """What a method saw in a scan or a part of it.

    kind: whole, crop (has vertebrae), negative (has none) or phantom (a whole one).  geometry: grid of the piece.
    truth: all true points of the scan, also those outside the piece.  evidence: None when the method found no spine.
    refused: why the pipeline did not take the piece for a CT, else empty.
    """

    name: str
    scan_id: str
    kind: str
    geometry: Geometry
    truth: Points
    evidence: Evidence | None
    refused: str = ""


def pieces_of(scan: Scan, truth: Points, method: Method, count: int, seed: int) -> Iterator[Piece]:
    """The whole scan, `count` crops with vertebrae, and pieces without one where the truth proves that.

    scan: named by its id, which with `seed` decides where the cuts lie, whatever other scans there are.
    """
    rng = np.random.default_rng([seed, zlib.crc32(scan.name.encode())])
    yield _seen(scan, scan.name, scan.name, WHOLE if truth else NEGATIVE, truth, method)
    cuts = [(CROP, box) for box in crop_boxes(scan.geometry, truth, count, rng)]
    cuts += [(NEGATIVE, box) for box in negative_boxes(scan.geometry, truth, count, rng)]
    for number, (kind, box) in enumerate(cuts, start=1):
        yield _seen(cut(scan, box), f"{scan.name}/{number}", scan.name, kind, truth, method)


def phantom_pieces(method: Method, numbers: Iterable[int], poses: Sequence[Pose] = ()) -> Iterator[Piece]:
    """Random phantoms as `prepare` draws them, by their number from `HELD_OUT_SEED` on; poses: of real columns."""
    from .phantom import make_phantom, random_spec

    for seed in (HELD_OUT_SEED + number for number in numbers):
        phantom = make_phantom(seed, random_spec(np.random.default_rng(seed), poses or None))
        truth = tuple(LabelledPoint(level, place) for level, place in sorted(phantom.centroids.items()))
        yield _seen(phantom.scan, phantom.scan.name, phantom.scan.name, PHANTOM, truth, method)


def crop_boxes(geometry: Geometry, truth: Points, count: int, rng: np.random.Generator) -> list[Box]:
    """Random boxes within the labelled stretch of the column; none for fewer than two true points."""
    if len(truth) < 2:
        return []
    return [_crop_box(geometry, positions_of(truth), rng) for _ in range(count)]


def negative_boxes(geometry: Geometry, truth: Points, count: int, rng: np.random.Generator) -> list[Box]:
    """Random boxes above C1 and below S2, where these are labelled, or anywhere when there is no vertebra at all."""
    low, high = _extent(geometry)
    z_of = {point.level: point.position_lps_mm[2] for point in truth}
    gaps = [] if truth else [(low[2], high[2])]
    gaps += [(z_of[Level.C1] + HEAD_MARGIN_MM, high[2])] if Level.C1 in z_of else []
    gaps += [(low[2], z_of[Level.S2] - LEG_MARGIN_MM)] if Level.S2 in z_of else []
    long_enough = [gap for gap in gaps if gap[1] - gap[0] >= SHORTEST_NEGATIVE_MM]
    each = -(-count // 2)
    return [_stretch(low, high, gap, rng.uniform(SHORTEST_NEGATIVE_MM, gap[1] - gap[0]), rng)
            for gap in long_enough for _ in range(each)]  # fmt: skip


def cut(scan: Scan, box: Box) -> Scan:
    """The voxels whose centres lie in the box, on the scan's own grid (oblique grids: the voxels that enclose it)."""
    corners = np.array(np.meshgrid(*box.T)).reshape(3, -1).T
    index = scan.geometry.index_zyx_from_lps(corners)
    first = np.maximum(np.ceil(index.min(axis=0) - 1e-6).astype(int), 0)
    stop = np.minimum(np.floor(index.max(axis=0) + 1e-6).astype(int) + 1, scan.hu.shape)
    return scan.part(first, stop)


def save_pieces(path: Path, pieces: Iterable[Piece], about: dict[str, Any]) -> None:
    """Write an .npz of plain arrays and one JSON text; about: plain values on where the pieces come from."""
    pieces = tuple(pieces)
    seen = [p.evidence for p in pieces if p.evidence is not None]
    truths = {p.scan_id: [[t.level.name, *t.position_lps_mm] for t in p.truth] for p in pieces}
    text = json.dumps({"format": _FORMAT, "about": about, "truths": truths, "pieces": [_described(p) for p in pieces]})
    arrays = {
        "positions_lps_mm": np.concatenate([np.empty((0, 3)), *(e.positions_lps_mm for e in seen)]),
        "level_log_probs": np.concatenate([np.empty((0, len(Level))), *(e.level_log_probs for e in seen)]),
        "scores": np.concatenate([np.empty(0), *(e.scores for e in seen)]),
    }
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, text=np.array(text), **arrays)


def load_pieces(path: Path) -> tuple[list[Piece], dict[str, Any]]:
    """What `save_pieces` wrote; InputError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            values = json.loads(str(file["text"]))
            arrays = [file[key] for key in ("positions_lps_mm", "level_log_probs", "scores")]
        if values["format"] != _FORMAT:
            raise ValueError(values["format"])
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"'{path}' holds no evidence as `crops --save-evidence` writes it ({error}).") from error
    ends = np.cumsum([p["candidates"] or 0 for p in values["pieces"]])
    parts = zip(*(np.split(array, ends[:-1]) for array in arrays), strict=True)
    truths = {name: _points(rows) for name, rows in values["truths"].items()}
    return [_piece(p, truths, part) for p, part in zip(values["pieces"], parts, strict=True)], values["about"]


class _Recorder:
    """A method that keeps what it found."""

    def __init__(self, method: Method) -> None:
        self.name, self.weights_sha256 = method.name, method.weights_sha256
        self.evidence: Evidence | None = None
        self._method = method

    def find(self, scan: Scan, progress: Progress) -> Evidence:
        self.evidence = self._method.find(scan, progress)
        return self.evidence


def _seen(scan: Scan, name: str, scan_id: str, kind: str, truth: Points, method: Method) -> Piece:
    """The piece with its evidence; without the decoder, which the judgement runs anyway."""
    recorder, refused = _Recorder(method), ""
    try:
        with suppress(NothingFoundError):
            label_scan(scan, recorder, decode=False)
    except InputError as error:
        refused = str(error)
    return Piece(name, scan_id, kind, scan.geometry, truth, recorder.evidence, refused)


def _crop_box(geometry: Geometry, points_lps_mm: NDArray[np.float64], rng: np.random.Generator) -> Box:
    low, high = _extent(geometry)
    z = points_lps_mm[:, 2]
    spacing = np.ptp(z) / (len(z) - 1)
    stretch = (max(low[2], z.min() - spacing / 2), min(high[2], z.max() + spacing / 2))
    longest = max(SPACINGS[0], min(SPACINGS[1], len(z) - 1.0))
    box = _stretch(low, high, stretch, rng.uniform(SPACINGS[0], longest) * spacing, rng)
    inside = points_lps_mm[(z >= box[0, 2]) & (z <= box[1, 2]), :2]
    if rng.random() < NARROW_SHARE and len(inside):
        box[0, :2] = np.maximum(low[:2], inside.min(axis=0) - rng.uniform(*NARROW_MM, 2))
        box[1, :2] = np.minimum(high[:2], inside.max(axis=0) + rng.uniform(*NARROW_MM, 2))
    return box


def _stretch(low: Box, high: Box, stretch: tuple[float, float], length_mm: float, rng: np.random.Generator) -> Box:
    """A box as wide as the scan and at most `length_mm` high, somewhere within a stretch of z."""
    length_mm = min(length_mm, stretch[1] - stretch[0])
    bottom = rng.uniform(stretch[0], stretch[1] - length_mm)
    return np.array([[*low[:2], bottom], [*high[:2], bottom + length_mm]])


def _extent(geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return geometry.corners_lps_mm.min(axis=0), geometry.corners_lps_mm.max(axis=0)


def _points(rows: list[list[Any]]) -> Points:
    return tuple(LabelledPoint(Level[name], (x, y, z)) for name, x, y, z in rows)


def _described(piece: Piece) -> dict[str, Any]:
    """Plain values; candidates: number of rows in the arrays, None where no spine was found."""
    keys = ("name", "scan_id", "kind", "refused")
    candidates = None if piece.evidence is None else len(piece.evidence)
    return {key: getattr(piece, key) for key in keys} | {"geometry": asdict(piece.geometry), "candidates": candidates}


def _piece(values: dict[str, Any], truths: dict[str, Points], arrays: tuple[NDArray[np.float64], ...]) -> Piece:
    geometry = Geometry(**{key: tuple(value) for key, value in values.pop("geometry").items()})
    evidence = None if values.pop("candidates") is None else Evidence(*arrays)
    return Piece(**values, geometry=geometry, truth=truths[values["scan_id"]], evidence=evidence)
