from __future__ import annotations

import pytest
from VertebraLabelingLib.core.anatomy import REGION_COLOURS, REGULAR_LEVELS, Level, Region, regular_shift

CRANIO_CAUDAL = (
    "C1 C2 C3 C4 C5 C6 C7 T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 T13 L1 L2 L3 L4 L5 L6 S1 S2".split()  # noqa: SIM905
)


def test_levels_are_in_cranio_caudal_order_and_integers_are_places():
    assert [level.name for level in sorted(Level)] == CRANIO_CAUDAL
    assert [int(level) for level in Level] == list(range(28))


def test_regular_levels_are_the_26_without_t13_and_l6():
    assert [level.name for level in REGULAR_LEVELS] == [n for n in CRANIO_CAUDAL if n not in ("T13", "L6")]
    assert [level for level in Level if level.is_supernumerary] == [Level.T13, Level.L6]


def test_region_is_the_letter_and_has_a_colour_of_its_own():
    assert (Level.T13.region, Level.S2.region) == (Region.THORACIC, Region.SACRAL)
    assert len(set(REGION_COLOURS.values())) == 4
    assert Level.L6.colour == REGION_COLOURS[Region.LUMBAR]


@pytest.mark.parametrize("text", ["T12", "t12", " T12 ", "T 12"])
def test_parse_is_lenient_about_case_and_space(text):
    assert Level.parse(text) is Level.T12


@pytest.mark.parametrize("text", ["", "sacrum", "T14", "C8", "L7", "S3", "12", "Th12", "__class__"])
def test_parse_refuses_what_is_no_level(text):
    with pytest.raises(ValueError, match="not a vertebral level"):
        Level.parse(text)


def test_verse_ids_are_those_of_the_data_sets():
    known = {"C1": 1, "C7": 7, "T1": 8, "T12": 19, "L1": 20, "L5": 24, "L6": 25, "S1": 26, "T13": 28, "S2": 29}
    assert {name: Level[name].verse_id for name in known} == known


def test_verse_ids_are_distinct_and_invertible():
    assert [Level.from_verse_id(level.verse_id) for level in Level] == list(Level)


@pytest.mark.parametrize("verse_id", [0, 27, 30, -1])
def test_unknown_verse_ids_are_refused(verse_id):
    with pytest.raises(ValueError, match="not a vertebra label"):
        Level.from_verse_id(verse_id)


def test_snomed_codes_are_distinct_and_supernumerary_levels_are_plain_vertebrae():
    assert Level.T12.snomed == ("23215003", "T12 vertebra")
    assert Level.T13.snomed == Level.L6.snomed == Level.S2.snomed == ("51282000", "Vertebra")
    own = [level.snomed[0] for level in REGULAR_LEVELS if level is not Level.S2]
    assert len(set(own)) == 25 and "51282000" not in own


def test_regular_shift_skips_supernumerary_levels_and_ends_at_the_ends():
    assert regular_shift(Level.T12, 1) is Level.L1
    assert regular_shift(Level.L1, -1) is Level.T12
    assert regular_shift(Level.L5, 1) is Level.S1
    assert regular_shift(Level.T13, 1) is Level.L1
    assert regular_shift(Level.L6, -1) is Level.L4
    assert regular_shift(Level.C1, -1) is None
    assert regular_shift(Level.S2, 1) is None
