"""``make audit``: asks the advisory service of pip-audit about every installed package.

Exit code 1 for known holes.  Where the service is out of reach, or pip-audit is not installed, the audit is skipped
with the reason and exit code 0, because a machine without a network can do nothing about it; in a GitHub workflow the
skip is a warning that shows on the page of the run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence

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


def audit(run: Run = run_command) -> int:
    """Exit code of the audit; prints what pip-audit says, or why there is none."""
    done = run(COMMAND)
    reason = skip_reason(done.returncode, done.stdout + done.stderr)
    if reason:
        in_workflow = os.environ.get("GITHUB_ACTIONS") == "true"
        print(f"{'::warning::' if in_workflow else ''}audit SKIPPED: {reason}")
        return 0
    print(done.stdout + done.stderr, end="")
    return done.returncode


def skip_reason(code: int, said: str) -> str:
    """Why there was no audit, "" when there was one."""
    if code == 0 or FOUND.search(said):
        return ""
    if NOT_INSTALLED.search(said):
        return "pip-audit is not installed and could not be fetched"
    return "the advisory service is out of reach" if OUT_OF_REACH.search(said) else ""


if __name__ == "__main__":
    sys.exit(audit())
