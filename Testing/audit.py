"""``make audit``: asks the advisory service of pip-audit about all packages: installed, of the module, of the viewer.

Those of the Slicer module are listed in its requirements.txt; the viewer has an environment of its own, whose packages
are resolved for the audit.  Exit code 1 for known holes.  Where the service is out of reach or knows nothing, or
pip-audit is not installed, the audit is skipped with the reason and exit code 0, because a machine without a network
can do nothing about it; in a GitHub workflow, where nobody would notice, a skip fails.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
MODULE_REQUIREMENTS = ROOT / "VertebraLabeling" / "Resources" / "requirements.txt"
COMMAND = (sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner", "off", "--format", "json")
NOT_INSTALLED = re.compile(r"No module named '?pip_audit")
OUT_OF_REACH = re.compile(
    r"ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Max retries exceeded|NameResolutionError|"
    r"Failed to establish a new connection|HTTPError: 5\d\d|ServiceError"
)
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def run_command(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run it and keep what it says."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def audit_all(run: Run = run_command) -> int:
    """The worst exit code of the audits."""
    with tempfile.TemporaryDirectory() as folder:
        viewer = Path(folder) / "view.txt"
        viewer.write_text("\n".join(view_requirements()), encoding="utf-8")
        lists = {
            "installed": (),
            "of the module": ("-r", str(MODULE_REQUIREMENTS)),
            "of the viewer": ("-r", str(viewer)),
        }
        return max(audit(what, (*COMMAND, *words), run) for what, words in lists.items())


def view_requirements() -> list[str]:
    """What `make view` installs: all that the package needs but torch, with the extras of the viewer."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [name for name in project["dependencies"] if not name.startswith("torch")]
    return [*needed, *extras["light"], *extras["dicom"], *extras["view"]]


def audit(what: str, command: Sequence[str], run: Run) -> int:
    """Exit code of one audit; prints the holes, or why there is no audit."""
    done = run(command)
    packages = told(done.stdout)
    reason = skip_reason(done.stdout + done.stderr, packages)
    if reason:
        in_workflow = os.environ.get("GITHUB_ACTIONS") == "true"
        print(f"{'::error::' if in_workflow else ''}audit of the packages {what} SKIPPED: {reason}")
        return int(in_workflow)
    if not packages:
        print(f"packages {what}: pip-audit failed\n{done.stdout}{done.stderr}", end="")
        return done.returncode or 1
    holes = [f"{p['name']} {p['version']}: {hole['id']}" for p in packages for hole in p.get("vulns", ())]
    unknown = [p["name"] for p in packages if "vulns" not in p]
    print(
        f"packages {what}: {len(packages) - len(unknown)} audited, {len(holes)} known holes; not known to the service:"
    )
    print("\n".join([f"  {', '.join(unknown) or 'none'}", *holes]))
    return done.returncode


def told(said: str) -> list[dict[str, Any]]:
    """The packages that pip-audit tells of: audited ones have "vulns", others a "skip_reason"; none when it failed."""
    try:
        return list(json.loads(said)["dependencies"])
    except (ValueError, KeyError, TypeError):
        return []


def skip_reason(said: str, packages: Sequence[Mapping[str, Any]]) -> str:
    """Why there was no audit, "" when there was one or when pip-audit failed in another way."""
    if packages:  # behind a mirror that has no advisories it still says that it found none
        return "" if any("vulns" in p for p in packages) else "the advisory service knows none of them (a mirror?)"
    if NOT_INSTALLED.search(said):
        return "pip-audit is not installed and could not be fetched"
    return "the advisory service is out of reach" if OUT_OF_REACH.search(said) else ""


if __name__ == "__main__":
    sys.exit(audit_all())
