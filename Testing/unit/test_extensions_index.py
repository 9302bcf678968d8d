"""What Slicer's Extensions Index checks before it lists an extension (its check_description_files.py and template)."""

from __future__ import annotations

import ast
import json
import random
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTION = ROOT / "Resources" / "ExtensionsIndex" / "VertebraLabeling.json"
MODULE = ROOT / "VertebraLabeling"
KEYS = {
    "$schema": str, "build_dependencies": list, "build_subdirectory": str, "category": str, "dicom_support_rule": str,
    "enabled": bool, "scm_revision": str, "scm_type": str, "scm_url": str, "tier": int,
}  # fmt: skip
"""What schema v1.0.2 allows."""
REQUIRED = {"$schema", "category", "scm_url"}
CATEGORIES = {"Segmentation", "Quantification", "Informatics", "Analysis", "Planning"}
"""Those of the index's list that would fit."""
LICENCES = {"LICENSE", "LICENCE", "License.txt", "license.txt", "LICENSE.txt", "COPYING", "COPYING.txt"}
LARGEST_CHECKOUT_BYTES = 100_000_000
LARGEST_HISTORY_BYTES = 60_000_000
"""The project's own limit."""
OTHER_STATEMENTS = (ast.Expr, ast.For, ast.While, ast.With, ast.Delete, ast.Assert, ast.Raise)


@pytest.fixture(scope="module")
def entry() -> dict:
    return json.loads(DESCRIPTION.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cmake() -> str:
    return (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


def value(cmake: str, name: str) -> str:
    """Of ``set(EXTENSION_NAME "…")``, found as the index finds it: one literal string, no variable."""
    found = re.findall(rf'set\s*\(EXTENSION_{name}\s*"([^"]+)"\)', cmake)
    assert len(found) == 1, f"CMakeLists.txt sets no EXTENSION_{name}, or twice"
    return found[0]


def image_path(url: str, home: str) -> Path:
    """Where the picture of a raw address lies in this repository."""
    start = home.replace("https://github.com/", "https://raw.githubusercontent.com/") + "/main/"
    assert url.startswith(start)
    return ROOT / url.removeprefix(start)


def test_the_entry_has_what_the_schema_asks_for_and_nothing_else(entry):
    assert entry["$schema"].endswith("/slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert set(entry) >= REQUIRED
    assert {key: type(entry[key]) for key in entry} == {key: KEYS[key] for key in entry}
    assert 1 <= entry["tier"] <= 5
    assert b"\r" not in DESCRIPTION.read_bytes()


def test_the_entry_has_a_known_category_and_the_module_the_same(entry):
    assert entry["category"] in CATEGORIES
    assert f'"qSlicerAbstractCoreModule", "{entry["category"]}"' in (MODULE / "VertebraLabeling.py").read_text("utf-8")


def test_names_agree_and_follow_the_rules(entry, cmake):
    name = DESCRIPTION.stem
    assert re.findall(r"project\s*\(\s*([^\s\)\n\r]+)", cmake, re.IGNORECASE)[0] == name
    assert not name.lower().startswith("slicer")
    assert re.fullmatch(r"https://github\.com/[^/]+/Slicer[-_]?" + name + r"\.git", entry["scm_url"])
    assert entry["scm_url"] == value(cmake, "HOMEPAGE") + ".git"


def test_it_depends_on_the_extension_that_installs_torch(entry, cmake):
    assert entry["build_dependencies"] == [value(cmake, "DEPENDS")] == ["PyTorch"]


def test_the_description_is_a_text_of_a_few_sentences(cmake):
    text = value(cmake, "DESCRIPTION")
    assert 2 <= text.count(". ") + 1 <= 6
    assert ";" not in text, "a semicolon makes a CMake list of it"


def test_icon_and_screenshots_are_pictures_of_this_repository(cmake):
    home = value(cmake, "HOMEPAGE")
    urls = [value(cmake, "ICONURL"), *value(cmake, "SCREENSHOTURLS").split()]
    assert len(urls) == len(set(urls)) > 1
    pictures = [image_path(url, home) for url in urls]
    assert [str(path) for path in pictures if not path.is_file()] == []
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for path in pictures)


def test_there_is_one_licence_file_and_the_package_carries_it_and_the_readme(cmake):
    (licence,) = LICENCES & {path.name for path in ROOT.iterdir()}
    assert f'set(EXTENSION_LICENSE_FILE "${{CMAKE_CURRENT_SOURCE_DIR}}/{licence}")' in cmake
    assert 'set(EXTENSION_README_FILE "${CMAKE_CURRENT_SOURCE_DIR}/README.md")' in cmake


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    called = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(called, cwd=folder, input=stdin, capture_output=True, check=True).stdout


def transferred_bytes(checkout: Path) -> int:
    """What a clone of the checked-out commit fetches: not what else lies in ``.git`` (second packs, lost work)."""
    return len(git(checkout, "pack-objects", "--stdout", "-q", "--revs", stdin=b"HEAD\n"))


def test_a_clone_is_small():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in git(ROOT, "ls-files", "-z").decode().split("\0")[:-1]]
    checkout = sum(path.stat().st_size for path in files if path.is_file())
    history = transferred_bytes(ROOT)
    assert history <= LARGEST_HISTORY_BYTES
    assert checkout + history <= LARGEST_CHECKOUT_BYTES


def test_what_a_clone_fetches_counts_each_thing_once_and_nothing_that_was_dropped(tmp_path):
    git(tmp_path, "init", "-q")
    before = [commit_of_bytes(tmp_path, 50_000, seed) for seed in (1, 2)]
    weighed = transferred_bytes(tmp_path)
    assert 100_000 < weighed < 103_000
    git(tmp_path, "repack", "-a", "-q")
    for pack in (tmp_path / ".git" / "objects" / "pack").glob("*.pack"):
        pack.with_suffix(".keep").touch()
    commit_of_bytes(tmp_path, 200_000, 3)
    git(tmp_path, "reset", "-q", "--hard", before[-1])
    assert transferred_bytes(tmp_path) == weighed


def commit_of_bytes(repository: Path, count: int, seed: int) -> str:
    """A commit that adds ``count`` bytes which cannot be packed smaller; its name."""
    (repository / f"{seed}.bin").write_bytes(random.Random(seed).randbytes(count))
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", str(seed))
    return git(repository, "rev-parse", "HEAD").decode().strip()


def test_no_file_of_the_module_does_work_when_it_is_imported():
    offenders = []
    for path in sorted(MODULE.rglob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        offenders += [f"{path.relative_to(ROOT)}:{node.lineno}" for node in body if works(node)]
    assert offenders == []


def works(node: ast.stmt) -> bool:
    """Whether a statement at file scope is more than an import, a definition, a constant or a text."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, OTHER_STATEMENTS) and not text
