"""The self-test for the real application, run here on the stand-ins: it works, and it notices what is not right."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import slicer
from harness import boot

SELFTEST = Path(__file__).resolve().parents[1] / "slicer" / "selftest.py"


@pytest.fixture
def selftest(scene):
    _module, widget = boot.load_module()
    widget.parent.enter()
    spec = importlib.util.spec_from_file_location("selftest", SELFTEST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tests_of_the_module_pass_in_it(selftest):
    tests = selftest.module_tests()
    assert tests["failed"] == {}
    assert tests["run"] >= 3


def test_it_looks_at_every_class_of_the_list(selftest):
    """The stand-ins have fewer names than the real classes (test_harness_honesty.py), but every class is reached."""
    assert selftest.api_report()["not_looked_at"] == []


def test_it_reports_a_name_and_a_signal_that_are_not_there(selftest):
    spec = {"properties": ["text"], "methods": ["setText", "fly"], "signals": ["clicked(bool)", "flown(int)"]}
    button = slicer.util.getModuleWidget("VertebraLabeling").ui.labelButton
    assert selftest.lacking(button, spec) == ["fly", "flown(int)"]


def test_the_exit_code_and_the_report_tell_a_failure(selftest, monkeypatch, tmp_path):
    right = {"missing": [], "not_looked_at": []}
    monkeypatch.setattr(selftest, "api_report", lambda: right)
    assert selftest.main([str(tmp_path / "report.json")]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["missing"] == []
    monkeypatch.setattr(selftest, "api_report", lambda: {**right, "missing": ["qMRMLWidget: fly"]})
    assert selftest.main() == 1
    monkeypatch.setattr(selftest, "api_report", lambda: right)
    monkeypatch.setattr(selftest, "module_tests", lambda: {"run": 3, "failed": {"test_panel": "broken"}})
    assert selftest.main() == 1
