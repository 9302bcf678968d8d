"""The Slicer module file and its panel, read without Slicer: it was never run in the application."""

from __future__ import annotations

import ast
import struct
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "VertebraLabeling"
NAME = "VertebraLabeling"
ALLOWED = {"slicer", "vtk", "qt", "ctk"}


@pytest.fixture(scope="module")
def tree() -> ast.Module:
    return ast.parse((MODULE / f"{NAME}.py").read_text(encoding="utf-8"))


def test_it_imports_at_file_scope_only_what_slicer_always_has(tree):
    names = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    foreign = {name.partition(".")[0] for name in names} - ALLOWED - set(sys.stdlib_module_names)
    assert not foreign


def test_it_runs_nothing_at_file_scope(tree):
    documentation, *rest = tree.body
    assert isinstance(documentation, ast.Expr)
    assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef) for node in rest)


def test_it_has_the_four_classes_that_slicer_looks_for(tree):
    bases = {
        node.name: [ast.unparse(base) for base in node.bases] for node in tree.body if isinstance(node, ast.ClassDef)
    }
    for suffix in ("", "Widget", "Logic", "Test"):
        assert bases[f"{NAME}{suffix}"] == [f"ScriptedLoadableModule{suffix}"]


def test_the_panel_has_every_widget_that_the_module_uses(tree):
    form = ET.parse(MODULE / "Resources" / "UI" / f"{NAME}.ui").getroot()
    widgets = {widget.get("name") for widget in form.iter("widget")}
    used = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self.ui"
    }
    assert used
    assert used <= widgets


def test_every_custom_widget_of_the_panel_is_declared():
    form = ET.parse(MODULE / "Resources" / "UI" / f"{NAME}.ui").getroot()
    declared = {element.text for element in form.findall("customwidgets/customwidget/class")}
    used = {widget.get("class") for widget in form.iter("widget")}
    assert {name for name in used if not name.startswith("Q")} == declared


@pytest.mark.parametrize(
    "icon",
    [MODULE / "Resources" / "Icons" / f"{NAME}.png", ROOT / "Resources" / f"{NAME}.png"],
    ids=["module", "catalogue"],
)
def test_the_icons_are_png_of_128_by_128(icon):
    head = icon.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", head[16:]) == (128, 128)
