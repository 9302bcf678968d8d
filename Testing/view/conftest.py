"""Tests of the viewer without trame; those that need a scene run on the harness, as Testing/mrml."""

from harness import fixtures
from harness.fixtures import scene

__all__ = ["scene"]

ON_THE_HARNESS = (
    "test_view_workspace.py",
    "test_view_web.py",
    "test_view_opening.py",
    "test_view_opener.py",
    "test_view_rescue.py",
    "test_view_series.py",
)


def pytest_pycollect_makemodule(module_path, parent):
    """Skip what needs a scene where the harness cannot start."""
    return fixtures.pytest_pycollect_makemodule(module_path, parent) if module_path.name in ON_THE_HARNESS else None
