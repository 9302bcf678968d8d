"""Tests on the harness (Testing/harness); skipped where slicer-core or PySide6 is not installed."""

from harness.fixtures import module_widget, pytest_pycollect_makemodule, scene

__all__ = ["module_widget", "pytest_pycollect_makemodule", "scene"]
