"""A child process that labels the files it is told to, with a limit on memory and on time, and says how it went.

One JSON object per line on stdin, {"ct", "out", "anchors"}; one per line on stdout, {"code", "message", "mb", "files"}.
It dies where a library crashes and where a case takes longer than `--seconds`; the parent sees it by the exit code.
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

from trust_support import label, leave_out_networks


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
    import SimpleITK  # noqa: F401

    with redirect_stderr(io.StringIO()):
        label(Path("no such file.nii"), Path.cwd())


def address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def done(case: dict[str, str]) -> dict[str, object]:
    """Label one file; whatever it printed to stderr is the message."""
    out, before_mb = Path(case["out"]), peak_mb()
    more = ["--anchors", case["anchors"]] if case.get("anchors") else []
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as message:
        code = label(Path(case["ct"]), out, "--quiet", *more)
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    return {"code": code, "message": message.getvalue(), "mb": round(peak_mb() - before_mb), "files": files}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
