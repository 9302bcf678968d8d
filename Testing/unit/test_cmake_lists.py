"""What CMake does not list is missing from the installed extension, so the list has to match the disk."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "VertebraLabeling"
NOT_INSTALLED = {"CMakeLists.txt"}


def listed(name: str) -> list[str]:
    """Entries of ``set(NAME …)`` in the module's CMakeLists.txt, comments and the module name resolved."""
    text = re.sub(r"#.*", "", (MODULE / "CMakeLists.txt").read_text(encoding="utf-8"))
    entries = re.search(rf"set\({name}\s+([^)]*)\)", text)
    assert entries is not None, f"VertebraLabeling/CMakeLists.txt sets no {name}"
    return entries[1].replace("${MODULE_NAME}", "VertebraLabeling").split()


def on_disk() -> set[str]:
    """Files of the module relative to its folder, without caches and hidden files."""
    files = (path.relative_to(MODULE) for path in MODULE.rglob("*") if path.is_file())
    visible = {path for path in files if not any(part.startswith((".", "__pycache__")) for part in path.parts)}
    return {path.as_posix() for path in visible if path.suffix != ".pyc"} - NOT_INSTALLED


def is_script(file: str) -> bool:
    """Scripts are compiled and translated; everything below Scripts/ is started by hand, not imported."""
    return file.endswith(".py") and not file.startswith("Scripts/")


def test_the_module_list_matches_the_disk():
    entries = {*listed("MODULE_PYTHON_SCRIPTS"), *listed("MODULE_PYTHON_RESOURCES")}
    disk = on_disk()
    missing, gone = sorted(disk - entries), sorted(entries - disk)
    add = "\n".join(f"  {file}" for file in missing)
    drop = "\n".join(f"  {file}" for file in gone)
    assert not missing, f"add to VertebraLabeling/CMakeLists.txt:\n{add}"
    assert not gone, f"remove from VertebraLabeling/CMakeLists.txt:\n{drop}"


def test_scripts_and_resources_are_in_the_right_list_and_sorted():
    scripts, resources = listed("MODULE_PYTHON_SCRIPTS"), listed("MODULE_PYTHON_RESOURCES")
    assert all(is_script(file) for file in scripts)
    assert not any(is_script(file) for file in resources)
    assert scripts == ["VertebraLabeling.py", *sorted(scripts[1:])]
    assert resources == sorted(resources)


def test_the_slicer_tests_are_registered():
    registered = set(
        re.findall(r"SCRIPT (slicer/\S+)\)", (ROOT / "Testing" / "CMakeLists.txt").read_text(encoding="utf-8"))
    )
    assert registered == {f"slicer/{path.name}" for path in (ROOT / "Testing" / "slicer").glob("*.py")}
