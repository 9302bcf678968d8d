"""Reads the module's code and tells what PythonQt or Slicer would not accept, though PySide or our stand-ins do."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

API = json.loads(Path(__file__).with_name("api.json").read_text(encoding="utf-8"))
ALLOWED = API["allowed"]
# words that our own classes use for methods, too
AMBIGUOUS = {"label", "options", "filters"}
PROPERTIES = (
    set(API["properties of Qt"]).union(
        *(entry["properties"] for entry in API["classes"].values() if entry["base"] in ("QWidget", "QAbstractButton"))
    )
    - AMBIGUOUS
)
APPLICATION_PROPERTIES = set(API["classes"]["qSlicerApplication"]["properties"])
APPLICATION = {
    *APPLICATION_PROPERTIES,
    *API["classes"]["qSlicerApplication"]["methods"],
    *ALLOWED["QApplication"],
}
# prefix of a dotted name -> what may follow
FOLLOWERS = {
    "slicer": set(ALLOWED["slicer"]),
    "slicer.app": APPLICATION,
    "slicer.util": set(ALLOWED["slicer.util"]),
    "slicer.modules": set(ALLOWED["slicer.modules"]),
    "slicer.packaging": set(API["modules"]["slicer.packaging"]["names"]),
    "slicer.i18n": set(API["modules"]["slicer.i18n"]["names"]),
    "slicer.ScriptedLoadableModule": set(API["modules"]["slicer.ScriptedLoadableModule"]["names"]),
    "qt": set(ALLOWED["qt"]),
    "ctk": set(ALLOWED["ctk"]),
}
GUI = ("qt", "ctk")


def problems(source: str) -> list[str]:
    """One line per finding, with its line number; empty when there is nothing to say."""
    tree = ast.parse(source)
    found = [
        (node.lineno, text)
        for node in ast.walk(tree)
        for check in (_import_problems, _name_problems, _call_problems)
        for text in check(node)
    ]
    return [f"line {line}: {text}" for line, text in sorted(set(found))]


def _import_problems(node: ast.AST) -> Iterator[str]:
    """`from slicer.util import …` and `from qt import …` follow the same lists."""
    if isinstance(node, ast.ImportFrom) and node.module in FOLLOWERS:
        for alias in node.names:
            yield from _unknown(node.module, alias.name)
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        if any(name.partition(".")[0] in ("PySide6", "PyQt5", "PyQt6", "PythonQt") for name in names):
            yield "Qt is the module `qt` in Slicer"


def _name_problems(node: ast.AST) -> Iterator[str]:
    parts = _dotted(node)
    if parts is None or len(parts) < 2:
        return
    yield from _unknown(".".join(parts[:-1]), parts[-1])
    if parts[0] in GUI and len(parts) == 4 and parts[2][:1].isupper():
        yield f"{'.'.join(parts)} is a scoped enumeration; PythonQt knows {'.'.join((*parts[:2], parts[3]))}"


def _call_problems(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    parts = _dotted(node.func)
    if parts and parts[0] in GUI and node.keywords:
        yield f"{'.'.join(parts)} is called with keyword arguments, which PythonQt does not take"
    if isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
        yield from _getter_problems(node.func)
    if isinstance(node.func, ast.Name) and node.func.id == "_" and not _is_plain_text(node):
        yield "_() takes one plain text; put values in by .format() on its result"


def _getter_problems(function: ast.Attribute) -> Iterator[str]:
    """`button.text()`; an item of a table or list is no QObject and has methods, and text has `title()`."""
    receiver = ast.unparse(function.value).lower()
    is_text = isinstance(function.value, ast.Constant)
    properties = APPLICATION_PROPERTIES if receiver == "slicer.app" else PROPERTIES
    if function.attr in properties and "item" not in receiver and not is_text:
        yield f".{function.attr}() calls a property; PythonQt reads it as .{function.attr}"


def _is_plain_text(call: ast.Call) -> bool:
    return (
        len(call.args) == 1
        and not call.keywords
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    )


def _unknown(owner: str, name: str) -> Iterator[str]:
    if owner not in FOLLOWERS or name in FOLLOWERS[owner] or (owner == "slicer" and name.startswith("vtk")):
        return
    yield f"{owner}.{name} is not in Testing/harness/api.json; check that Slicer has it, then list it there"


def _dotted(node: ast.AST) -> list[str] | None:
    """`qt.Qt.AlignLeft` as its parts; None for anything but names and dots."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        parts = _dotted(node.value)
        return None if parts is None else [*parts, node.attr]
    return None
