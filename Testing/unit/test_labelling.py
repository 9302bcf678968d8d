"""The sentences that a labelling says of itself."""

from __future__ import annotations

import pytest
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.labelling import UNCERTAIN_BELOW, Alternative, LabelledPoint, Labelling

L4, L5, S1 = (LabelledPoint(level, (0.0, 0.0, -35.0 * level)) for level in (Level.L4, Level.L5, Level.S1))


@pytest.mark.parametrize(
    ("shift", "text"), [(1, "1 level lower (18%)"), (-1, "1 level higher (18%)"), (2, "2 levels lower (18%)")]
)
def test_an_alternative_says_which_way(shift, text):
    assert Alternative((None,), shift, 0.18).describe() == text


@pytest.mark.parametrize(
    ("levels", "text"),
    [
        ((Level.T11, Level.T12, Level.T13), "1 level lower, with T13 (18%)"),
        ((Level.T11, Level.T12, Level.L1), "1 level lower (18%)"),
        ((Level.T10, Level.T11, Level.L1), "1 level lower, without T12 (18%)"),
        ((Level.L4, None, Level.S1), "1 level lower, without L5 (18%)"),
        ((Level.L4, Level.L5, Level.L6), "1 level lower, with L6 (18%)"),
    ],
)
def test_alternatives_of_one_shift_but_different_counts_read_differently(levels, text):
    assert Alternative(levels, 1, 0.18).describe() == text


@pytest.mark.parametrize(
    ("labelling", "text"),
    [
        (Labelling(()), "no vertebra"),
        (Labelling((L4, L5, S1), anchors=(Level.S1,)), "L4-S1, 3 vertebrae, level certain: S1 in view"),
        (Labelling((L5,), level_certain=False), "L5, 1 vertebra, level unsure: nothing to count from"),
        (
            Labelling((L4, L5), (Alternative((Level.L3, Level.L4), -1, 0.4),), level_certain=False),
            "L4-L5, 2 vertebrae, level unsure: nothing to count from; could be 1 level higher (40%)",
        ),
    ],
)
def test_the_summary(labelling, text):
    assert labelling.summary() == text


def test_a_point_is_uncertain_below_the_threshold_only():
    at, below = (LabelledPoint(Level.L1, (0, 0, 0), p) for p in (UNCERTAIN_BELOW, UNCERTAIN_BELOW - 1e-9))
    assert (at.is_uncertain, below.is_uncertain) == (False, True)


def test_confirmed_points_are_named_in_the_summary_and_never_uncertain():
    held = [LabelledPoint(Level(n), (0.0, 0.0, -20.0 * n), 0.1, confirmed=True) for n in range(6)]
    assert not held[0].is_uncertain
    few = Labelling((*held[:2], L4), anchors=(Level.C1, Level.C2))
    assert few.summary() == "C1-L4, 3 vertebrae, level certain, confirmed: C1, C2"
    assert Labelling(tuple(held)).summary() == "C1-C6, 6 vertebrae, level certain, confirmed: C1 ... C6 (6)"
