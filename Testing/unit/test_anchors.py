"""Anchors: confirmed points are kept exactly, and all others are named by them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_sequence import column, evidence, joined, looks, spine_levels, unsure
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.core.anchors import shifted, unclaimed
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.labelling import Evidence, LabelledPoint, Labelling
from VertebraLabelingLib.core.sequence import decode
from VertebraLabelingLib.pipeline import most_likely

L = Level
TRUE = spine_levels(L.T5, L.L5)
PLACES = column(TRUE)
ONE_LOW = [L(REGULAR_LEVELS[REGULAR_LEVELS.index(level) + 1]) for level in TRUE]


def anchor(level: Level, place, **more) -> LabelledPoint:
    x, y, z = (float(v) for v in place)
    return LabelledPoint(level, (x, y, z), **more)


def at(level: Level, levels=TRUE, places=PLACES, off_mm=(0.0, 0.0, 0.0)) -> LabelledPoint:
    """The anchor of a level where the synthetic column has it."""
    return anchor(level, places[levels.index(level)] + off_mm)


def confirmed_of(labelling: Labelling) -> dict[Level, LabelledPoint]:
    return {point.level: point for point in labelling.points if point.confirmed}


# --- naming by anchors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharpness", [1.5, 4.0, 20.0])
@pytest.mark.parametrize("held", [L.T5, L.T11, L.L3, L.L5])
def test_one_anchor_puts_the_whole_column_right(held, sharpness):
    """However sure the network is of the wrong level: that its mistake is one of the whole column explains it best."""
    found = evidence(PLACES, looks(ONE_LOW, sharpness))
    assert decode(found).levels == tuple(ONE_LOW)
    labelling = decode(found, anchors=[at(held)])
    assert labelling.levels == tuple(TRUE)
    assert labelling.remarks == ()
    assert confirmed_of(labelling).keys() == {held}


@pytest.mark.parametrize("steps", [-2, -1, 0, 1, 2])
def test_a_column_that_is_several_levels_off(steps):
    wrong = [REGULAR_LEVELS[REGULAR_LEVELS.index(level) + steps] for level in spine_levels(L.T5, L.L4)]
    found = evidence(PLACES[:-1], looks(wrong, 8.0))
    assert decode(found, anchors=[at(L.T9)]).levels == tuple(TRUE[:-1])


def test_an_anchor_that_agrees_changes_no_name():
    found = evidence(PLACES, looks(TRUE))
    labelling = decode(found, anchors=[at(L.L1, off_mm=(1.0, -2.0, 0.5))])
    assert labelling.levels == decode(found).levels == tuple(TRUE)


def test_it_takes_exact_place_full_probability_and_no_old_remark():
    given_point = replace(at(L.L1, off_mm=(1.25, -2.5, 0.125)), probability=0.3, remark="uncertain")
    point = confirmed_of(decode(evidence(PLACES, looks(TRUE)), anchors=[given_point]))[L.L1]
    assert point == LabelledPoint(L.L1, given_point.position_lps_mm, 1.0, "", confirmed=True)


def test_no_alternative_renames_an_anchor():
    found = evidence(PLACES, unsure(len(PLACES)))
    assert len(decode(found).alternatives) > 1
    assert decode(found, anchors=[at(L.T9)]).alternatives == ()
    far = evidence(column(spine_levels(L.C7, L.L5)), unsure(18))
    held = at(L.C7, spine_levels(L.C7, L.L5), far.positions_lps_mm)
    for other in decode(far, anchors=[held]).alternatives:
        assert other.levels[0] == L.C7


def test_confirmed_levels_are_something_to_count_from():
    found = evidence(PLACES, unsure(len(PLACES)))
    assert not decode(found).level_certain
    labelling = decode(found, anchors=[at(L.T9), at(L.L3)])
    assert labelling.level_certain
    assert labelling.anchors == (L.T9, L.L3)
    assert labelling.summary() == "T5-L5, 13 vertebrae, level certain, confirmed: T9, L3"


def test_what_is_in_view_is_told_beside_what_is_confirmed():
    levels = spine_levels(L.T11, L.S1)
    found = evidence(column(levels), looks(levels, 6.0))
    labelling = decode(found, anchors=[at(L.L3, levels, found.positions_lps_mm)])
    assert labelling.summary().startswith("T11-S1, 8 vertebrae, level certain, confirmed: L3; ")
    assert labelling.summary().endswith("S1 in view")


def test_variants_between_anchors():
    """T11 and L1 next to each other: 11 thoracic vertebrae, whatever the network thinks of it."""
    levels = [*spine_levels(L.T8, L.T11), *spine_levels(L.L1, L.L4)]
    places = column(levels)
    found = evidence(places, looks([*spine_levels(L.T8, L.T11), *spine_levels(L.T12, L.L3)], 4.0))
    labelling = decode(found, anchors=[at(L.T10, levels, places), at(L.L2, levels, places)])
    assert labelling.levels == tuple(levels)
    assert "11 thoracic vertebrae: T12 seems absent" in labelling.remarks


@pytest.mark.parametrize("level", [L.T13, L.L6])
def test_supernumerary_anchors(level):
    levels = [x for x in Level if L.T10 <= x <= L.S1 and (not x.is_supernumerary or x == level)]
    places = column(levels)
    labelling = decode(evidence(places, unsure(len(levels))), anchors=[at(level, levels, places)])
    assert labelling.levels == tuple(levels)


# --- candidates and anchors -------------------------------------------------------------------------------------------


def test_an_anchor_without_candidate_becomes_one():
    kept = [n for n, level in enumerate(TRUE) if level != L.T10]
    found = evidence(PLACES[kept], looks([TRUE[n] for n in kept]))
    assert decode(found).levels == tuple(TRUE[n] for n in kept)
    assert decode(found, anchors=[at(L.T10)]).levels == tuple(TRUE)


def test_an_anchor_without_any_candidate_stands_alone():
    nothing = evidence(np.zeros((0, 3)), np.zeros((0, 28)))
    labelling = decode(nothing, anchors=[at(L.L2)])
    assert labelling.levels == (L.L2,)
    assert labelling.level_certain


@pytest.mark.parametrize(("level", "near_mm"), [(L.C5, 7.0), (L.T8, 11.0), (L.L4, 18.0)])
def test_a_double_near_an_anchor_vanishes(level, near_mm):
    levels = spine_levels(L.C3, L.L5)
    places = column(levels)
    spine = evidence(places, looks(levels))
    double = evidence(places[[levels.index(level)]] + [0.0, 0.0, near_mm], looks([level]), 0.99)
    labelling = decode(joined(spine, double), anchors=[at(level, levels, places)])
    assert labelling.levels == tuple(levels)
    assert labelling.remarks == ()


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.2])
def test_the_neighbours_of_an_anchor_stay_candidates(scale):
    levels = spine_levels(L.C2, L.S1)
    spine = evidence(column(levels, scale), looks(levels))
    for n, level in enumerate(levels):
        kept = unclaimed(spine, [anchor(level, spine.positions_lps_mm[n] + [0.0, 2.0, 2.0])])
        assert len(kept) == len(levels) - 1


def test_anchors_far_from_each_other_with_nothing_between():
    levels = spine_levels(L.C3, L.L4)
    places = column(levels)
    ends = [0, 1, len(levels) - 2, len(levels) - 1]
    found = evidence(places[ends], unsure(4))
    labelling = decode(found, anchors=[at(L.C3, levels, places), at(L.L4, levels, places)])
    assert labelling.levels == (L.C3, L.C4, L.L3, L.L4)
    assert labelling.remarks[0].startswith("C5, C6, ")


def test_candidates_beyond_a_long_gap_between_anchors_are_named():
    """T3 to T7 were overlooked, more than the decoder spans by itself; the network says that the rest is one lower."""
    levels = [*spine_levels(L.C6, L.T2), *spine_levels(L.T8, L.L5)]
    whole = spine_levels(L.C6, L.L5)
    places = column(whole)[[whole.index(level) for level in levels]]
    found = evidence(places, looks([*levels[:4], *spine_levels(L.T9, L.L5), L.S1], 0.5))
    labelling = decode(found, anchors=[at(L.T1, levels, places), at(L.L2, levels, places)])
    assert labelling.levels == tuple(levels)
    assert labelling.remarks == ("T3, T4, T5, T6, T7 between T2 and T8 not found",)


def test_an_anchor_far_beyond_the_reach_of_the_found_column():
    labelling = decode(evidence(PLACES, looks(TRUE)), anchors=[at(L.T7), anchor(L.S2, PLACES[-1] - [0, 0, 400])])
    assert labelling.levels == (*TRUE, L.S2)


# --- contradictions ---------------------------------------------------------------------------------------------------


def test_one_level_twice():
    with pytest.raises(InputError, match=r"L2 is confirmed more than once"):
        decode(evidence(PLACES, looks(TRUE)), anchors=[at(L.L2), replace(at(L.L3), level=L.L2)])


def test_order_against_place_names_both():
    wrong = [replace(at(L.T9), level=L.L2), replace(at(L.L1), level=L.T12)]
    with pytest.raises(InputError, match=r"T12 and L2 lie in the wrong order"):
        decode(evidence(PLACES, looks(TRUE)), anchors=wrong)


def test_two_on_one_vertebra():
    with pytest.raises(InputError, match=r"L1 and L2 lie on the same vertebra"):
        decode(evidence(PLACES, looks(TRUE)), anchors=[at(L.L1), replace(at(L.L1, off_mm=(1, 1, -1)), level=L.L2)])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_place_that_is_no_number(value):
    with pytest.raises(InputError, match="L1 is not finite"):
        decode(evidence(PLACES, looks(TRUE)), anchors=[LabelledPoint(L.L1, (0.0, value, 0.0))])


# --- always -----------------------------------------------------------------------------------------------------------


@st.composite
def cases(draw):
    """Noisy candidates of part of a spine with arbitrary level evidence, and anchors somewhere on that spine."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = [x for x in Level if not x.is_supernumerary or rng.random() < 0.1]
    places = column(levels, rng.uniform(0.85, 1.15), rng)
    found = rng.random(len(levels)) < rng.uniform(0.0, 1.0)
    names = np.log(rng.dirichlet(np.full(28, 0.1), size=int(found.sum())) + 1e-12)
    candidates = evidence(places[found] + rng.normal(size=(int(found.sum()), 3)) * 2, names, rng.uniform(0.05, 1.0))
    stray = evidence(rng.normal(size=(3, 3)) * [60, 60, 200] + places.mean(0), unsure(3), rng.uniform(0.0, 1.0, 3))
    held = rng.choice(len(levels), size=rng.integers(1, 8), replace=False)
    offsets = rng.normal(size=(len(held), 3)) * 2
    return joined(candidates, stray), [anchor(levels[n], places[n] + o) for n, o in zip(held, offsets, strict=True)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_all_anchors_are_in_the_result_exactly(case):
    found, anchors = case
    labelling = decode(found, anchors=anchors)
    expected = {a.level: replace(a, probability=1.0, confirmed=True) for a in anchors}
    assert confirmed_of(labelling) == expected
    assert list(labelling.levels) == sorted(set(labelling.levels))
    numbers = [p.probability for p in labelling.points] + [a.probability for a in labelling.alternatives]
    assert all(0.0 <= number <= 1.0 for number in numbers)
    for other in labelling.alternatives:
        renamed = dict(zip(labelling.levels, other.levels, strict=True))
        assert all(renamed[level] == level for level in expected)


def test_nothing_of_it_makes_a_number_that_is_none():
    """Certain evidence has minus infinities of its own; warnings of numpy are errors here."""
    certain = np.full((len(TRUE), 28), -np.inf)
    certain[np.arange(len(TRUE)), ONE_LOW] = 0.0
    with np.errstate(all="raise", divide="ignore", under="ignore"):
        labelling = decode(evidence(PLACES, certain), anchors=[at(L.T6), at(L.L2)])
    assert labelling.levels == tuple(TRUE)


def test_without_anchors_nothing_changes():
    found = evidence(PLACES, looks(ONE_LOW))
    assert decode(found, anchors=()) == decode(found)
    assert len(unclaimed(found, ())) == len(found)


# --- level evidence moved as a whole ----------------------------------------------------------------------------------


def test_shifted_evidence():
    found = evidence(PLACES, looks(TRUE))
    assert shifted(found, 0) is found
    for steps in (-1, 2):
        moved = shifted(found, steps).level_log_probs
        for n, level in enumerate(REGULAR_LEVELS[2:-2], start=2):
            target = REGULAR_LEVELS[n + steps]
            np.testing.assert_array_equal(moved[:, target], found.level_log_probs[:, level])
        assert np.all(moved[:, [L.T13, L.L6]] == -np.inf)
    assert np.all(shifted(found, 1).level_log_probs[:, L.C1] == -np.inf)
    assert np.all(shifted(found, -1).level_log_probs[:, L.S2] == -np.inf)


# --- without the decoder ----------------------------------------------------------------------------------------------


def test_the_most_likely_levels_beside_anchors():
    levels = [L.L1, L.L2, L.L3]
    found = Evidence(np.array([[0, 0, 0], [0, 0, -36], [0, 0, -72.0]]), looks(levels, 20.0), np.full(3, 0.9))
    moved = LabelledPoint(L.L3, (1.0, 0.0, -37.0))
    labelling = most_likely(found, [moved])
    assert labelling.levels == (L.L1, L.L3)
    assert confirmed_of(labelling) == {L.L3: replace(moved, confirmed=True)}
    assert labelling.anchors == (L.L3,)
