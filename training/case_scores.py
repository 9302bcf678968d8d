"""Cached cases judged: what the annotation says, what a whole method says, and how well they agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import NothingFoundError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint
from VertebraLabelingLib.core.prepare import AIR_HU
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.pipeline import label_scan

from .cases import Case
from .evaluate import ScanResult, evaluate_scan

if TYPE_CHECKING:
    from VertebraLabelingLib.methods.base import Method

Named = tuple[LabelledPoint, ...]


def judged(method: Method, cases: Iterable[Case]) -> list[ScanResult]:
    """How well the method names each case."""
    return [evaluate_scan(case.id, truth_of(case), labelled(method, case)) for case in cases]


def scan_of(case: Case) -> Scan:
    """The cached volume at 2 mm as a prepared scan."""
    hu = np.maximum(case.volume(2.0), AIR_HU).astype(np.float32)
    z, y, x = (float(v) for v in case.corner_zyx_mm + 1.0)
    nz, ny, nx = hu.shape
    return Scan(hu, Geometry((nz, ny, nx), (2.0, 2.0, 2.0), (x, y, z)), case.id)


def truth_of(case: Case) -> Named:
    """The annotated centroids, LPS mm."""
    pairs = zip(case.levels, case.points_zyx_mm[:, ::-1].tolist(), strict=True)
    return tuple(LabelledPoint(Level(level), (x, y, z)) for level, (x, y, z) in pairs)


def labelled(method: Method, case: Case, decode: bool = True) -> Named:
    """What a user would get, LPS mm; empty where the method finds no vertebra.  decode: as for `label_scan`."""
    try:
        return label_scan(scan_of(case), method, decode=decode).labelling.points
    except NothingFoundError:
        return ()
