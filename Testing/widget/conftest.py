"""Tests on the harness (Testing/harness); skipped where slicer-core or PySide6 is not installed."""

from __future__ import annotations

import sys
import traceback

import pytest
from harness.fixtures import module_widget, pytest_pycollect_makemodule, scene

__all__ = ["module_widget", "pytest_pycollect_makemodule", "scene"]


@pytest.fixture(autouse=True)
def no_slot_fails(monkeypatch):
    """Qt only prints what a slot raises; here the test fails, as nothing may be raised when a user clicks."""
    raised: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: raised.append("".join(traceback.format_exception(*error))))
    yield
    assert not raised, "\n".join(raised)
