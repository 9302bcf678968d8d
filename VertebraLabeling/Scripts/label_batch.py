"""Labels every CT below a folder, from 3D Slicer without a window, or from any Python that has the packages.

    Slicer --no-splash --no-main-window --python-script VertebraLabeling/Scripts/label_batch.py -- \
        --input DIR --output DIR [options]
    python VertebraLabeling/Scripts/label_batch.py --input DIR --output DIR [options]

Options, outputs and exit codes are those of ``vertebra-labeling batch`` (``--help`` lists them).  The work is done in a
child process, because torch is known to crash inside the live Slicer application.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARY_ROOT = Path(__file__).resolve().parents[1]
FAILED, CANCELLED = 1, 130


def main(arguments):
    """Run the batch in a child; returns its exit code, 130 when it had to be killed after a second signal."""
    python = interpreter()
    if python is None:
        print("PythonSlicer was not found beside Slicer; install Slicer again.", flush=True)
        return FAILED
    rest = arguments[1:] if arguments[:1] == ["--"] else arguments  # Slicer may leave the separator in front
    with tempfile.TemporaryDirectory(prefix="vertebra-labeling-") as folder:
        flag = own_cancel_file(rest) or Path(folder) / "cancel"
        child = start([python, "-m", "VertebraLabelingLib.predict", "batch", *rest, "--cancel-file", str(flag)])
        asked = relay_signals(child, flag)
        for line in child.stdout or ():
            print(line, end="", flush=True)
        code = child.wait()
        if asked:
            flag.unlink(missing_ok=True)
    if code >= 0:
        return code
    return CANCELLED if asked else FAILED


def own_cancel_file(arguments):
    """The file that the user has named for the same purpose."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--cancel-file", type=Path)
    return parser.parse_known_args(arguments)[0].cancel_file


def interpreter():
    """PythonSlicer where it is on the path, as inside Slicer, else this Python; None when this is Slicer itself."""
    python_slicer = shutil.which("PythonSlicer")
    if python_slicer is not None:
        return python_slicer
    # inside Slicer, sys.executable may be Slicer: starting that would open a second one
    return sys.executable if Path(sys.executable or "").stem.lower().startswith("python") else None


def start(command):
    """The child: inside Slicer its output comes through a pipe, since Slicer may have no console to share."""
    relayed = "slicer" in sys.modules
    variables = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(LIBRARY_ROOT), os.environ.get("PYTHONPATH", "")])),
        "PYTHONSAFEPATH": "1",  # the working folder is the user's: nothing is imported from there
        "PYTHONIOENCODING": "utf-8",
    }
    return subprocess.Popen(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if relayed else None,
        stderr=subprocess.STDOUT if relayed else None,
        encoding="utf-8",
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0) if relayed else 0,
        # a session of its own: Ctrl-C of the terminal reaches the child once, through this process
        start_new_session=os.name != "nt",
    )


def relay_signals(child, flag):
    """The first Ctrl-C or SIGTERM asks the child to stop, by a file that reaches it behind any launcher; another kills.

    Returns the list of the signals that came.
    """
    asked = []

    def relay(number, frame):
        if asked:
            kill(child)
        asked.append(number)
        try:
            flag.touch()
        except OSError:  # the folder of the user's own cancel file is not there
            kill(child)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, relay)
    return asked


def kill(child):
    """End the child with the interpreter that a launcher such as PythonSlicer has started for it."""
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(child.pid)], capture_output=True, check=False)
    else:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
