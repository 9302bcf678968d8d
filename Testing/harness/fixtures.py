"""Fixtures and the skipping that Testing/mrml and Testing/widget share."""

from __future__ import annotations

import pytest

from harness import boot

REASON = boot.unavailable()
if not REASON:
    boot.boot()


class SkippedModule(pytest.Module):
    """A test file that cannot even be imported here."""

    def collect(self):
        pytest.skip(REASON, allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    """Skip the file with a clear reason where the harness cannot start (the lint of the source needs no harness)."""
    if REASON and module_path.name != "test_api_lint.py":
        return SkippedModule.from_parent(parent, path=module_path)
    return None


@pytest.fixture
def scene():
    """An empty scene with the application's logics (`slicer.mrmlScene`); panels of the test end with it."""
    yield boot.fresh_scene()
    boot.fresh_scene()


@pytest.fixture
def module_widget(scene):
    """The module's panel, set up as Slicer does and not entered yet (`parent.enter()`, `parent.exit()`)."""
    return boot.load_module()[1]
