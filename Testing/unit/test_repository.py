"""What has to be in the repository, and what must never be."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from VertebraLabelingLib import __version__
from VertebraLabelingLib.core import errors

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "VertebraLabeling" / "Resources" / "Models"
MANIFEST = MODELS / "models.json"
PATIENT_DATA = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".dcm", ".vtp", ".stl", ".ply", ".npy", ".npz")
SHIPPED = "VertebraLabeling/Resources/Models/"
SYNTHETIC = "VertebraLabeling/Resources/SampleData/VertebraLabelingPhantom.nrrd"
"""The one volume that may be tracked: no patient, `python -m training sample` makes it (test_sample.py compares)."""
LARGEST_WEIGHTS_BYTES = 8 * 2**20


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Files that git knows; skipped in an unpacked archive."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return listing.stdout.split("\0")[:-1]


@pytest.mark.parametrize(
    "name",
    [
        "README.md", "LICENSE.txt", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "MODEL_CARD.md",
        "Makefile", "pyproject.toml", "CMakeLists.txt", ".pre-commit-config.yaml", ".github/workflows/tests.yml",
        ".github/workflows/slicer.yml", ".github/ISSUE_TEMPLATE/bug.yml",
        "training/README.md",
    ],
)  # fmt: skip
def test_the_root_file_is_there(name):
    assert (ROOT / name).stat().st_size > 0


def test_the_readme_names_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make label CT=" in text
    assert "make test" in text


def test_the_readme_names_every_exit_code():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    kinds = errors.VertebraLabelingError.__subclasses__()
    assert kinds
    assert [kind.__name__ for kind in kinds if f"| {kind.exit_code} |" not in text] == []


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE.txt").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_torch_is_pinned():
    assert '"torch==2.13.0",' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere():
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert __version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_ci_runs_make_test():
    run = ROOT / ".ci" / "run"
    assert "make test" in run.read_text(encoding="utf-8")
    assert run.stat().st_mode & 0o111
    assert "make test" in (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")


def test_no_volume_and_no_mesh_is_tracked(tracked):
    allowed = [name for name in tracked if name == SYNTHETIC or name.startswith(SHIPPED)]
    assert [name for name in tracked if name.lower().endswith(PATIENT_DATA) and name not in allowed] == []


def test_nothing_large_is_tracked(tracked):
    sizes = {name: (ROOT / name).stat().st_size for name in tracked if (ROOT / name).is_file()}
    assert {name: size for name, size in sizes.items() if size > LARGEST_WEIGHTS_BYTES} == {}


def test_weights_are_small_and_match_the_manifest():
    files = {path.name: path.read_bytes() for path in MODELS.iterdir() if path != MANIFEST}
    models = json.loads(MANIFEST.read_text(encoding="utf-8"))["models"]
    listed = {entry["file"]: entry["sha256"] for model in models for entry in (model, model["graph"])}
    assert {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} == listed
    assert all(len(content) <= LARGEST_WEIGHTS_BYTES for content in files.values())
