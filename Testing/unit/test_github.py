"""The files that only GitHub reads: well-formed, and what they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
SLICER = GITHUB / "workflows" / "slicer.yml"


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted((GITHUB / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_a_workflow_says_when_and_what_it_runs_and_may_only_read(path):
    workflow = read(path)
    assert workflow[True], "YAML 1.1 reads the key `on` as true"
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(("run" in step) != ("uses" in step) for step in steps)


def test_the_make_targets_of_the_workflows_exist():
    text = "".join(path.read_text(encoding="utf-8") for path in (GITHUB / "workflows").glob("*.yml"))
    used, targets = set(re.findall(r"run: make ([\w-]+)", text)), (ROOT / "Makefile").read_text(encoding="utf-8")
    assert used >= {"test", "lint"}
    assert [target for target in used if not re.search(rf"^{target}:", targets, re.MULTILINE)] == []


def test_the_files_that_the_slicer_workflow_uses_exist():
    text = SLICER.read_text(encoding="utf-8").replace("$SAMPLE", read(SLICER)["env"]["SAMPLE"])
    paths = set(re.findall(r"\b(?:VertebraLabeling|Testing)/[\w/.]+\.\w+", text))
    assert len(paths) >= 4
    assert [path for path in sorted(paths) if not (ROOT / path).is_file()] == []


def test_the_report_of_a_bug_asks_for_diagnostics_version_and_modality():
    form = read(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")
    fields = {field["id"]: field for field in form["body"] if "id" in field}
    required = {name for name, field in fields.items() if field.get("validations", {}).get("required")}
    assert required == {"what", "diagnostics", "slicer", "modality"}
    # the name of the button in the panel
    button = re.search(r'"(Copy [a-z]+)"', fields["diagnostics"]["attributes"]["description"])
    form_file = ROOT / "VertebraLabeling" / "Resources" / "UI" / "VertebraLabeling.ui"
    assert button is not None and button[1] in form_file.read_text(encoding="utf-8")
