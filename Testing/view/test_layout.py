"""Views, sides and colours, which page and scene have from one place; and that the page can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from VertebraLabelingLib.core.anatomy import REGION_COLOURS
from VertebraLabelingLib.view import layout

STYLE = (Path(layout.__file__).parent / "page" / "page.css").read_text(encoding="utf-8")
TEXT_CONTRAST = 4.5
"""WCAG 2.2, criterion 1.4.3."""


@pytest.mark.parametrize(
    ("view", "origin_ras_mm", "text"),
    [
        ("sagittal", (12.44, -3, 5), "R 12.4 mm"),
        ("sagittal", (-0.5, -3, 5), "L 0.5 mm"),
        ("coronal", (12, 3, 5), "A 3.0 mm"),
        ("coronal", (12, -3, 5), "P 3.0 mm"),
        ("axial", (12, -3, 128), "S 128.0 mm"),
        ("axial", (12, -3, -128), "I 128.0 mm"),
    ],
)
def test_a_slice_says_where_it_lies(view, origin_ras_mm, text):
    assert layout.offset_text(view, origin_ras_mm) == text


def test_opposite_edges_of_a_slice_are_opposite_sides_and_none_is_across_it():
    assert layout.EDGES.keys() == layout.SLICES.keys() == layout.ACROSS.keys()
    for view, (left, right, top, bottom) in layout.EDGES.items():
        axis, across = layout.ACROSS[view]
        for one, other in ((left, right), (top, bottom), across):
            assert [-mm for mm in layout.SIDES_LPS[one]] == list(layout.SIDES_LPS[other])
        assert not set(across) & {left, right, top, bottom}
        assert layout.SIDES_LPS[across[0]][axis]


def test_the_style_has_no_colour_of_a_region_or_a_view_of_its_own():
    for colour in (*REGION_COLOURS.values(), *layout.COLOURS.values()):
        red, green, blue = (round(255 * share) for share in colour)
        assert layout.css(colour) not in STYLE.lower()
        assert not re.search(rf"{red}\D{{1,2}}{green}\D{{1,2}}{blue}\b", STYLE)


@pytest.mark.parametrize("rule", [".small", ".view .offset", ".curved .empty", ".hints", ".head", ".point .remark"])
def test_quiet_text_is_light_enough_to_be_read(rule):
    block = "".join(re.findall(rf"(?:^|[,}}]\s*){re.escape(rule)}(?:,[^{{]*)?\s*{{([^}}]*)}}", STYLE, re.MULTILINE))
    colours = re.findall(r"(?<![-\w])color:\s*var\(--(\w+)\)", block)
    if rule == ".small":
        colours = ["quiet"] if ".quiet, .small { color: var(--quiet)" in STYLE else []
    assert colours, "the rule names its colour by a variable"
    for colour in colours:
        assert min(_contrast(_variable(colour), back) for back in ("#000000", _variable("panel"))) >= TEXT_CONTRAST


def _variable(name: str) -> str:
    return re.search(rf"--{name}: (#\w+)", STYLE)[1]


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
