"""The options of ``vertebra-labeling batch``; nothing heavy is imported before the run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from ..options import add_method_options, add_run_options, check_method_options

_DESCRIPTION = """Name the vertebrae of every CT below a folder: NIfTI, NRRD and MetaImage files, and folders that hold
DICOM slices (of several series in one folder the one with most slices). The outputs mirror the folders of the input;
summary.csv and index.html tell of all scans, manifest.sqlite keeps their states, attempts and times. Run the same
command again to go on: scans that are done are skipped as long as the input, the weights and the settings stay the
same, and points corrected by hand are never replaced."""
_EPILOG = """Exit codes: 0 all scans done; 1 unexpected error; 2 wrong option, nothing found, or the output cannot be
written; 5 model missing; 7 some scans failed (the others are done), see summary.csv; 130 cancelled, what is done stays.
In summary.csv each scan has the exit code that `label` would have had, or 8 when it took longer than --scan-timeout.
"""
_TIMEOUT_S = 3600


def add_parser(commands: Any) -> None:
    """Register the sub-command."""
    batch = commands.add_parser(
        "batch",
        help="name the vertebrae of every CT below a folder",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    batch.add_argument("--input", metavar="DIR", type=Path, required=True, help="folder with the CTs, at any depth")
    batch.add_argument("--output", metavar="DIR", type=Path, required=True, help="folder for the results")
    batch.add_argument(
        "--exclude", metavar="PATTERN", action="append", default=[],
        help="leave out what matches, such as '*_seg.nii.gz' or 'old/*'; may be given several times",
    )  # fmt: skip
    batch.add_argument(
        "--preview",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="a picture of each result, shown in index.html (default: yes)",
    )
    batch.add_argument("--csv", action="store_true", help="also the points of each scan as a table")
    batch.add_argument("--retry-failed", action="store_true", help="try scans again that failed in an earlier run")
    batch.add_argument(
        "--workers", metavar="N", type=_positive, default=1,
        help="processes that work side by side, each with its own networks and its share of the cores; they take turns "
        "on a GPU (default: 1)",
    )  # fmt: skip
    batch.add_argument(
        "--scan-timeout", metavar="SECONDS", type=_not_negative, default=_TIMEOUT_S,
        help="a scan that takes longer, not counting its wait for a GPU, has failed, and its process is ended and "
        f"replaced (default: {_TIMEOUT_S}); 0: none, and a single worker works in this process",
    )  # fmt: skip
    batch.add_argument(
        "--scheduler", metavar="ADDRESS", help="work on the machines of this Dask scheduler, such as tcp://host:8786"
    )
    batch.add_argument("--limit", metavar="N", type=_positive, help="label at most N scans in this run")
    add_method_options(batch)
    add_run_options(batch)
    batch.set_defaults(run=run)


def _positive(text: str) -> int:
    return _at_least(1, text)


def _not_negative(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more, not {number}")
    return number


def run(args: argparse.Namespace) -> None:
    """Run it; errors as `run_batch`."""
    check_method_options(args)
    if args.scheduler and args.workers > 1:
        raise UsageError("--workers and --scheduler do not go together; the scheduler's workers are its own.")
    from .run import run_batch

    run_batch(args)
