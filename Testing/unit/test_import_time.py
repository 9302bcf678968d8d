"""Imports: what they cost, and that they point one way (design.md section 4)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "VertebraLabeling" / "VertebraLabelingLib"
PACKAGE = "VertebraLabelingLib"
MAY_IMPORT = {"core": {"core"}, "engines": {"core", "engines"}, "methods": {"core", "engines", "methods"}}
SLICER_SIDE = {"slicer", "qt", "ctk", "vtk"}
BROWSER_SIDE = {
    "trame",
    "trame_client",
    "trame_rca",
    "trame_server",
    "trame_slicer",
    "trame_vuetify",
    "aiohttp",
    "greenlet",
}
MAY_USE_VTK = {"training/phantom/meshes.py"}
"""Reads surfaces of real vertebrae, an optional extra of training: vtk only inside its functions."""
HEAVY = {"torch", "SimpleITK", "matplotlib", "numpy", "scipy", "sklearn", "rich", "slicer", "qt"}


def in_child(code: str) -> str:
    """What a fresh interpreter prints when it runs `code`."""
    paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(LIBRARY.parent)!r}]\n"
    done = subprocess.run([sys.executable, "-c", paths + code], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def test_help_imports_nothing_heavy_and_takes_less_than_a_second():
    code = f"""
import time
try:
    from {PACKAGE}.predict import main
    main(["label", "--help"])
except SystemExit as end:
    assert end.code == 0
print(sorted(set(sys.modules) & {HEAVY!r}), time.process_time() < 1.0)
"""
    assert in_child(code) == "[] True"


def test_the_core_imports_neither_torch_nor_slicer_nor_qt():
    code = f"""
import importlib, pkgutil
import {PACKAGE}.core as core
for module in pkgutil.walk_packages(core.__path__, core.__name__ + "."):
    importlib.import_module(module.name)
print(sorted(set(sys.modules) & {{"torch", "slicer", "qt", "vtk", "matplotlib", "sklearn", "training"}}))
"""
    assert in_child(code) == "[]"


def test_methods_and_engines_are_imported_without_any_engine():
    """Networks are torch modules; everything else of a method has to run where ONNX Runtime takes torch's place."""
    code = f"""
import importlib
for name in ("methods.sites", "methods.integral_regression", "methods.corridor", "engines.network", "engines.weights"):
    importlib.import_module("{PACKAGE}." + name)
print(sorted(set(sys.modules) & {{"torch", "onnxruntime", "matplotlib"}}))
"""
    assert in_child(code) == "[]"


def imported(path: Path, package: str, anywhere: bool = True) -> Iterator[str]:
    """Full names of all modules that a file imports, anywhere in it or not inside of functions and other blocks.

    package: the dotted one it lies in.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if anywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def package_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).parent.parts)


LIBRARY_FILES = sorted(LIBRARY.rglob("*.py"))
TRAINING_FILES = sorted((ROOT / "training").rglob("*.py"))


@pytest.mark.parametrize("path", LIBRARY_FILES, ids=lambda p: str(p.relative_to(LIBRARY)))
def test_library_imports_point_one_way(path):
    room = path.relative_to(LIBRARY).parts[0]
    names = list(imported(path, package_of(path, LIBRARY.parent)))
    roots = {name.split(".")[0] for name in names}
    rooms = {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE}.")}
    folders = {p.name for p in LIBRARY.iterdir() if p.is_dir()} | {p.stem for p in LIBRARY.glob("*.py")}
    assert "training" not in roots
    if room in MAY_IMPORT:
        assert rooms & folders <= MAY_IMPORT[room]
    if room not in ("app", "view"):
        assert "app" not in rooms
        assert not roots & (SLICER_SIDE | {"vtkmodules"})
    if room != "view":
        assert not roots & BROWSER_SIDE
        assert "view" not in rooms or path.name == "view.py"
    else:
        assert not roots & {"qt", "ctk", "torch"}
    if room == "core":
        assert "torch" not in roots


@pytest.mark.parametrize("path", TRAINING_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_training_does_not_import_the_slicer_side(path):
    names = list(imported(path, package_of(path, ROOT)))
    assert not [name for name in names if name.startswith(f"{PACKAGE}.app")]
    allowed = {"vtk"} if path.relative_to(ROOT).as_posix() in MAY_USE_VTK else set()
    assert not {name.split(".")[0] for name in names} & SLICER_SIDE - allowed


@pytest.mark.parametrize("name", MAY_USE_VTK)
def test_vtk_is_imported_where_it_is_used(name):
    path = ROOT / name
    roots = [{n.split(".")[0] for n in imported(path, "training.phantom", anywhere)} for anywhere in (True, False)]
    assert ["vtk" in found for found in roots] == [True, False]


def test_the_resolution_of_relative_imports_itself(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("from ..core.scan import Scan\nfrom . import y\nimport a.b\nfrom ... import top\n")
    assert list(imported(path, "P.engines.deep")) == ["P.engines.core.scan.Scan", "P.engines.deep.y", "a.b", "P.top"]
