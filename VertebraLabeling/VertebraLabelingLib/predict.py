"""The command line, and the child process of the Slicer module: ``vertebra-labeling label CT --output OUT.mrk.json``.

Exit codes: 0 done, 1 unexpected error, 2 usage, 3 input not readable or not a CT, 4 no vertebra found, 5 model missing
or corrupt, 6 out of memory, 7 batch: some scans failed, 130 cancelled.  Nothing heavy is imported before it is needed,
so that --help is instant.
"""

from __future__ import annotations

import argparse
import io
import locale
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from . import __version__
from .batch import command as batch
from .commands import label, refine, view
from .console import emit
from .core.errors import CancelledError, UsageError, VertebraLabelingError


class Parser(argparse.ArgumentParser):
    """Reports a wrong command as UsageError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}; see '{self.prog} --help'.")


def parser() -> argparse.ArgumentParser:
    """The whole command line; every sub-command sets `run`, which returns an exit code, or None for 0."""
    root = Parser(prog="vertebra-labeling", description="Names the vertebrae in a CT.", allow_abbrev=False)
    root.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    for command in (label, refine, batch, view):
        command.add_parser(commands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code and reports every failure in one sentence."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name that the console cannot show must not end a run
        sys.stdout.reconfigure(errors="backslashreplace")
    take_paths_as_utf8()
    try:
        args = parser().parse_args(arguments)
        return args.run(args) or 0
    except BrokenPipeError:  # as with `| head`: the results are written, only nobody reads the table
        _close_stdout()
        return 0
    except VertebraLabelingError as error:
        return _failed(error.exit_code, str(error), arguments, error.device)
    except KeyboardInterrupt:
        return _failed(CancelledError.exit_code, "Cancelled; nothing was written.", arguments)
    except Exception as error:
        hint = "" if "--debug" in arguments else " Run again with --debug for details."
        return _failed(1, f"Unexpected error ({type(error).__name__}: {error}).{hint}", arguments)


def take_paths_as_utf8(system: str = os.name) -> None:
    """On Windows SimpleITK hands paths in UTF-8 to C functions that expect the code page of the locale.

    Else no file in a folder with other letters than English ones, such as a user's own temporary one, could be read.
    """
    if system == "nt":
        with suppress(locale.Error):  # before Windows 10, version 1803
            locale.setlocale(locale.LC_CTYPE, ".UTF-8")


def _failed(code: int, message: str, arguments: Sequence[str], device: str = "") -> int:
    """Say what went wrong, and on which device if on one, to the user or the parent process; returns the exit code."""
    if "--debug" in arguments:
        traceback.print_exc()
    if "--json-lines" not in arguments:
        one_line = message.replace("\r", "\\r").replace("\n", "\\n")  # a file name may hold anything
        print(f"vertebra-labeling: {one_line}", file=sys.stderr)
        return code
    try:
        emit("error", code=code, message=message, device=device)
    except BrokenPipeError:
        _close_stdout()
    return code


def _close_stdout() -> None:
    """Send the rest to nowhere: the interpreter would fail again when it flushes stdout at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
