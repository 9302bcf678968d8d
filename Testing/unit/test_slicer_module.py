"""The Slicer module file, its panel and its form, read without Slicer and Qt."""

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
    assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef | ast.FunctionDef) for node in rest)


def test_it_has_the_four_classes_that_slicer_looks_for(tree):
    bases = {
        node.name: [ast.unparse(base) for base in node.bases] for node in tree.body if isinstance(node, ast.ClassDef)
    }
    for suffix in ("", "Widget", "Logic", "Test"):
        assert bases[f"{NAME}{suffix}"] == [f"ScriptedLoadableModule{suffix}"]


@pytest.fixture(scope="module")
def form() -> ET.Element:
    return ET.parse(MODULE / "Resources" / "UI" / f"{NAME}.ui").getroot()


def widgets_used() -> set[str]:
    """Every NAME of `ui.NAME`, `self.ui.NAME` or `self._ui.NAME` of panel and module file, and the buttons of tools."""
    files = [MODULE / f"{NAME}.py", *(MODULE / "VertebraLabelingLib" / "app" / "panel").glob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    attributes = {n.attr for n in nodes if isinstance(n, ast.Attribute) and ast.unparse(n.value).endswith("ui")}
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    named = {text for text in texts if text.endswith("Button") and text != "Button" and text.isidentifier()}
    return attributes | named | {f"{tool}Button" for tool in names_of_tools()}


def names_of_tools() -> set[str]:
    """The keys of `CorrectionTools`: each has a button of its name."""
    tree = ast.parse((MODULE / "VertebraLabelingLib" / "app" / "tools.py").read_text(encoding="utf-8"))
    tables = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    pairs = [pair for table in tables for pair in zip(table.keys, table.values, strict=True)]
    return {key.value for key, value in pairs if isinstance(value, ast.Call) and ast.unparse(value.func) == "Tool"}


def test_the_form_has_every_widget_that_the_panel_uses(form):
    used = widgets_used()
    assert len(used) > 40
    assert used <= {widget.get("name") for widget in form.iter("widget")}


def test_every_widget_of_the_form_that_a_user_can_work_with_is_used_by_the_panel(form):
    kinds = {"QPushButton", "QComboBox", "QCheckBox", "QLineEdit", "QTableWidget", "qMRMLNodeComboBox", "QProgressBar"}
    assert {widget.get("name") for widget in form.iter("widget") if widget.get("class") in kinds} <= widgets_used()


def test_no_two_widgets_of_the_form_have_one_name(form):
    names = [element.get("name") for kind in ("widget", "layout") for element in form.iter(kind)]
    assert len(names) == len(set(names))


def test_every_node_selector_gets_the_scene(form):
    selectors = {widget.get("name") for widget in form.iter("widget") if widget.get("class") == "qMRMLNodeComboBox"}
    assert {c.findtext("receiver") for c in form.iter("connection")} == selectors


def test_every_custom_widget_of_the_form_is_declared(form):
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
