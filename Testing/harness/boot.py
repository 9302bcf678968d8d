"""Starts the harness: `boot()` once per process, `fresh_scene()` before every test, `load_module()` for the panel.

With SLICER_PY=<a Slicer checkout>/Base/Python/slicer in the environment, Slicer's own i18n and base classes are used.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import types
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

TESTING = Path(__file__).resolve().parents[1]
MODULE_FOLDER = TESTING.parent / "VertebraLabeling"


@lru_cache(maxsize=1)
def unavailable() -> str:
    """Why the harness cannot start here; empty when it can."""
    with _testing_not_on_path():
        missing = [
            package
            for module, package in (("slicer_core", "slicer-core"), ("PySide6", "PySide6-Essentials"))
            if importlib.util.find_spec(module) is None
        ]
    return f"{' and '.join(missing)} is not installed (pip install '.[slicer]')" if missing else ""


def boot() -> None:
    """Install the modules `slicer`, `qt`, `ctk` and what hangs on them; a second call does nothing."""
    if hasattr(sys.modules.get("slicer"), "app"):
        return
    _keep_constants_alive()
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    with _testing_not_on_path():
        import slicer

    _add_qt(slicer)
    from harness import app, base, i18n, modules, packaging

    for name, stand_in in (("i18n", i18n), ("ScriptedLoadableModule", base), ("packaging", packaging)):
        sys.modules[f"slicer.{name}"] = stand_in
        setattr(slicer, name, stand_in)
    slicer.modules = modules.Modules()
    slicer.qSlicerScriptedLoadableModule = modules.qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = modules.qSlicerScriptedLoadableModuleWidget
    slicer.app = app.Application()
    fresh_scene()
    if "SLICER_PY" in os.environ:
        _use_slicers_own(Path(os.environ["SLICER_PY"]), ("i18n", "ScriptedLoadableModule"))


def fresh_scene():
    """A new empty scene with new logics as `slicer.mrmlScene`, which it returns; nothing of the last test is left."""
    import slicer

    from harness import packaging, world

    packaging.forget()
    slicer.app._set_world(world.new_world())
    return slicer.mrmlScene


def load_module(name: str = "VertebraLabeling"):
    """Import the module file as Slicer does and set up its panel; the Python module and the widget object."""
    from harness import modules

    return modules.load(MODULE_FOLDER / f"{name}.py")


def _keep_constants_alive() -> None:
    """Give None, True and False references to lose.

    PySide6 6.12 is built for Python >= 3.12, where they are immortal, and does not count the references it returns.
    Measured on Python 3.11: one fewer for every call of a setter, and a fatal error when none is left.
    """
    if sys.version_info < (3, 12):
        for constant in (None, True, False):
            ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40


def _use_slicers_own(folder: Path, names: tuple[str, ...]) -> None:
    """In place of our stand-ins, Slicer's own files from a checkout's Base/Python/slicer."""
    import slicer

    for name in names:
        specification = importlib.util.spec_from_file_location(f"slicer.{name}", folder / f"{name}.py")
        module = sys.modules[f"slicer.{name}"] = importlib.util.module_from_spec(specification)
        setattr(slicer, name, module)
        specification.loader.exec_module(module)


def _add_qt(slicer) -> None:
    """The modules `qt` and `ctk`, and the custom widgets; names that have no stand-in refuse to be used."""
    from harness import pythonqt

    qt = pythonqt.install()
    ctk = sys.modules["ctk"] = types.ModuleType("ctk")
    from harness import node_combo_box, refusal, ui_loader, widgets

    qt.QUiLoader = ui_loader.QUiLoader
    ctk.ctkCollapsibleButton, ctk.ctkPathLineEdit = widgets.ctkCollapsibleButton, widgets.ctkPathLineEdit
    slicer.qMRMLWidget, slicer.qMRMLNodeComboBox = widgets.qMRMLWidget, node_combo_box.qMRMLNodeComboBox
    refusal.refuse_the_unknown(slicer)
    refusal.refuse_the_unknown(ctk)


@contextmanager
def _testing_not_on_path():
    """Hide our folder Testing, whose sub-folder `slicer` slicer-core would take for a part of itself and import."""
    before = list(sys.path)
    sys.path[:] = [entry for entry in before if Path(entry or ".").resolve() != TESTING]
    try:
        yield
    finally:
        sys.path[:] = before
