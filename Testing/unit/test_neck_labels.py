"""Machine-made annotations: what is kept, what is rejected and why."""

from __future__ import annotations

from argparse import ArgumentTypeError
from itertools import pairwise

import numpy as np
import pytest
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling
from VertebraLabelingLib.core.spine_priors import spacing_mm

from training.commands.annotate import part_of
from training.neck_labels import BRAINSTEM, CORD, Masks, judge, read_masks

LEVELS = tuple(Level(v) for v in range(Level.C1, Level.T4 + 1))
DEPTHS = np.concatenate([[0.0], np.cumsum([spacing_mm(a, b)[0] for a, b in pairwise(LEVELS)])])
COLUMN = np.column_stack([np.zeros(len(LEVELS)), np.zeros(len(LEVELS)), 300.0 - DEPTHS])
CORD_BEHIND = np.column_stack([np.zeros(200), np.full(200, 16.0), np.linspace(320, 120, 200)])
MASKS = Masks(CORD_BEHIND, 308.0)


def _look(positions: np.ndarray, first: Level, certain: bool = True) -> Labelling:
    points = (LabelledPoint(Level(first + n), (float(x), float(y), float(z))) for n, (x, y, z) in enumerate(positions))
    return Labelling(tuple(points), level_certain=certain)


def test_agreeing_looks_are_averaged() -> None:
    verdict = judge([_look(COLUMN, Level.C1), _look(COLUMN + [2.0, 0, 0], Level.C1)], MASKS)
    assert [point.level for point in verdict.points] == list(LEVELS)
    assert np.allclose([p.position_lps_mm for p in verdict.points], COLUMN + [1.0, 0, 0])


def test_the_brainstem_names_the_column_where_the_looks_differ() -> None:
    looks = [_look(COLUMN, Level.C1, False), _look(COLUMN, Level.C2, False)]
    assert judge(looks, MASKS).points[0].level == Level.C1
    lower = Masks(CORD_BEHIND, 368.0)
    assert "counted from the brainstem" in judge(looks, lower).reason


def test_without_brainstem_both_looks_must_be_sure_of_one_name() -> None:
    masks = Masks(CORD_BEHIND, None)
    assert judge([_look(COLUMN, Level.C1), _look(COLUMN, Level.C1)], masks).points
    assert not judge([_look(COLUMN, Level.C1), _look(COLUMN, Level.C1, False)], masks).points
    assert not judge([_look(COLUMN, Level.C1), _look(COLUMN, Level.C2)], masks).points


def test_a_vertebra_that_one_look_misses_ends_the_run() -> None:
    gap = np.delete(COLUMN, 3, axis=0)
    verdict = judge([_look(COLUMN, Level.C1), _look(gap, Level.C1)], MASKS)
    # from C5 on both agree on the places, but the names differ: the brainstem decides
    assert [point.level for point in verdict.points] == list(LEVELS[4:])


def test_a_vertebra_that_both_miss_ends_the_run() -> None:
    gap = np.delete(COLUMN, 4, axis=0)
    verdict = judge([_look(gap, Level.C1), _look(gap, Level.C1)], MASKS)
    assert not verdict.points or verdict.points[0].level > Level.C5


def test_points_that_are_not_before_the_cord_are_no_bodies() -> None:
    aside = Masks(CORD_BEHIND + [20.0, 0, 0], 308.0)
    assert judge([_look(COLUMN, Level.C1), _look(COLUMN, Level.C1)], aside).reason.startswith("looks agree on")


def test_one_look_is_not_enough() -> None:
    assert judge([_look(COLUMN, Level.C1)], MASKS).reason


def test_masks_are_read_in_millimetres() -> None:
    organs = np.zeros((5, 8, 8), np.uint8)
    organs[1:3, 4:6, 2:4] = CORD
    organs[3:, 1, 1] = BRAINSTEM
    geometry = Geometry((5, 8, 8), (1.5, 2.0, 3.0), (10.0, 20.0, 30.0))
    masks = read_masks(organs, geometry)
    assert masks.brainstem_bottom_mm == 39.0
    assert np.allclose(masks.cord, [[13.75, 29.0, 33.0], [13.75, 29.0, 36.0]])


def test_a_part_of_the_scans_is_a_number_of_a_number() -> None:
    assert part_of("2/3") == (2, 3)
    for text in ("3/2", "0/1", "1", "a/b", "1/2/3"):
        with pytest.raises(ArgumentTypeError, match="is no part"):
            part_of(text)
