"""What is not imitated refuses to be used, so that no test passes on something that does not exist here."""

from __future__ import annotations

import inspect
import types
from contextlib import contextmanager

from PySide6.QtCore import Property as PySideProperty

_forms_being_loaded = 0
REFUSED_IN = {"slicer": ("qSlicer", "qMRML"), "ctk": ("ctk",)}


def refuse_the_unknown(module: types.ModuleType) -> None:
    """Give `module` a class for every name that only the application has; creating an object of it raises."""
    prefixes = REFUSED_IN[module.__name__]

    def __getattr__(name: str):
        if name.startswith(prefixes):
            return _refused(module.__name__, name)
        raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")

    module.__getattr__ = __getattr__


def _refused(module_name: str, name: str) -> type:
    def __init__(self, *args):
        raise NotImplementedError(f"{module_name}.{name} has no stand-in in Testing/harness; add one or do without")

    return type(name, (), {"__init__": __init__, "__module__": module_name})


def accepts_attribute(instance, name: str) -> bool:
    """Whether setting `name` goes on: it does for a property; PythonQt puts no new attributes on C++ objects."""
    member = inspect.getattr_static(type(instance), name, None)
    if hasattr(member, "__set__") or isinstance(member, PySideProperty):
        return True
    if _forms_being_loaded:
        return False
    raise AttributeError(
        f"Attribute '{name}' does not exist on {type(instance).__name__} and creating new attributes on C++ objects "
        "is not allowed"
    )


@contextmanager
def loading_a_form():
    """Ignore what PySide's form loader does and Slicer's does not: every named widget as an attribute of the whole."""
    global _forms_being_loaded
    _forms_being_loaded += 1
    try:
        yield
    finally:
        _forms_being_loaded -= 1
