"""No vertebra in the air."""

from __future__ import annotations

import numpy as np
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.core.tissue import in_tissue

GEOMETRY = Geometry((20, 10, 10), (2.0, 2.0, 2.0), (5.0, -7.0, 30.0))
HU = np.full(GEOMETRY.shape_zyx, -1000.0, np.float32)
HU[10:] = 40.0


def _evidence(*index_zyx: tuple[float, float, float]) -> Evidence:
    positions = GEOMETRY.lps_from_index_zyx(np.array(index_zyx, float).reshape(-1, 3))
    return Evidence(positions, np.zeros((len(positions), len(Level))), np.linspace(0.5, 0.9, len(positions)))


def test_what_lies_in_the_air_is_left_out() -> None:
    kept = in_tissue(_evidence((3, 5, 5), (15, 5, 5), (8, 5, 5)), Scan(HU, GEOMETRY))
    assert kept.scores.tolist() == [0.7]


def test_the_border_of_the_scan_and_fat_are_no_reason() -> None:
    assert len(in_tissue(_evidence((19, 0, 9), (19.4, 9.4, 0)), Scan(HU, GEOMETRY))) == 2
    fat = np.full_like(HU, -100.0)
    assert len(in_tissue(_evidence((5, 5, 5)), Scan(fat, GEOMETRY))) == 1


def test_nothing_stays_nothing() -> None:
    assert len(in_tissue(_evidence(), Scan(HU, GEOMETRY))) == 0
