"""A child process that does as it is told with damaged files, with a limit on memory and on time, and says how it went.

One JSON object per line on stdin, {"task", "path", "out", ...}; one per line on stdout, {"code", "message", "mb",
"files", "told"}.  It dies where a library crashes and where a case takes longer than `--seconds`; the parent sees it by
the exit code.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import resource
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from fuzz_tasks import TASKS
from trust_support import label, leave_out_networks
from VertebraLabelingLib.core.errors import MemoryExhaustedError, VertebraLabelingError


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--memory-mb", type=int, default=1500, help="more than what is in use when the work begins")
    args = parser.parse_args()
    faulthandler.enable()
    leave_out_networks()
    sys.stdout.reconfigure(line_buffering=True)
    warm_up()
    limit = address_space_bytes() + args.memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in sys.stdin:
        signal.alarm(args.seconds)
        print(json.dumps(done(json.loads(line))))
        signal.alarm(0)


def warm_up() -> None:
    """Load the libraries before memory is limited; the file is not there, which is found last."""
    import pydicom  # noqa: F401
    import SimpleITK  # noqa: F401

    with redirect_stderr(io.StringIO()):
        label(Path("no such file.nii"), Path.cwd())


def address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def done(case: dict[str, str]) -> dict[str, object]:
    """Do one task; whatever it printed to stderr, or the error it ended with, is the message."""
    out, before_mb = Path(case["out"]), forgotten_peak_mb()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as message:
        code, told = ended(case, out)
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    return {
        "code": code, "message": message.getvalue(), "mb": round(peak_mb() - before_mb), "files": files, "told": told,
    }  # fmt: skip


def ended(case: dict[str, str], out: Path) -> tuple[int, Any]:
    """As `predict.main` ends a command: an error of this program is one sentence and a code, any other one is 1."""
    try:
        return TASKS[case["task"]](case, out)
    except VertebraLabelingError as error:
        code, message = error.exit_code, str(error)
    except MemoryError:  # `memory_guard` makes that of it
        code, message = MemoryExhaustedError.exit_code, "Out of memory."
    except Exception as error:
        code, message = 1, f"{type(error).__name__}: {error}"
    print(message.replace("\r", "\\r").replace("\n", "\\n"), file=sys.stderr)
    return code, None


def forgotten_peak_mb() -> float:
    """Memory in use now, from which on the peak counts (man 5 proc: clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
