"""``make audit``: asks the advisory service of pip-audit about all packages: installed, of the module, of the viewer.

Those of the Slicer module are listed in its requirements.txt; the viewer has an environment of its own, whose packages
are resolved for the audit.  Exit code 1 for known holes.  Where the service is out of reach, or pip-audit is not
installed, the audit is skipped with the reason and exit code 0, because a machine without a network can do nothing
about it; in a GitHub workflow, where nobody would notice, a skip fails.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
MODULE_REQUIREMENTS = ROOT / "VertebraLabeling" / "Resources" / "requirements.txt"
COMMAND = (sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner", "off")
NOT_INSTALLED = re.compile(r"No module named '?pip_audit")
OUT_OF_REACH = re.compile(
    r"ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Max retries exceeded|NameResolutionError|"
    r"Failed to establish a new connection|HTTPError: 5\d\d|ServiceError"
)
FOUND = re.compile(r"Found \d+ known vulnerabilit")
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
    return [*needed, *extras["light"], *extras["view"]]


def audit(what: str, command: Sequence[str], run: Run) -> int:
    """Exit code of one audit; prints what pip-audit says, or why there is none."""
    done = run(command)
    said = done.stdout + done.stderr
    reason = skip_reason(done.returncode, said)
    if not reason:
        print(f"packages {what}: {said}", end="")
        return done.returncode
    in_workflow = os.environ.get("GITHUB_ACTIONS") == "true"
    print(f"{'::error::' if in_workflow else ''}audit of the packages {what} SKIPPED: {reason}")
    return int(in_workflow)


def skip_reason(code: int, said: str) -> str:
    """Why there was no audit, "" when there was one."""
    if code == 0 or FOUND.search(said):
        return ""
    if NOT_INSTALLED.search(said):
        return "pip-audit is not installed and could not be fetched"
    return "the advisory service is out of reach" if OUT_OF_REACH.search(said) else ""


if __name__ == "__main__":
    sys.exit(audit_all())
