"""``python -m training bench-batch``: how many scans per minute a batch does with 1, 2, ... workers."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from ..batch_bench import BatchRun


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `bench-batch` command."""
    parser = subparsers.add_parser(
        "bench-batch",
        help="throughput of a batch on the CPU with 1, 2, ... workers",
        description="Each run gets all cores; OMP_NUM_THREADS limits them.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--input", type=Path, help="folder with the scans")
    source.add_argument("--phantoms", type=int, metavar="N", help="make so many small phantoms, T12 to S2, for it")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers to try (default: 1 2)")
    parser.add_argument("--limit", type=int, default=1_000_000, help="at most so many scans (default: all)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one table."""
    from rich.console import Console

    from ..batch_bench import run_batches, write_phantoms

    with tempfile.TemporaryDirectory() as folder:
        scans = args.input or write_phantoms(Path(folder) / "phantoms", args.phantoms)
        runs = run_batches(scans, Path(folder), args.workers, "--limit", str(args.limit))
    Console().print(report(runs))
    return 0


def report(runs: list[BatchRun]) -> Table:
    """A line per run; the ratio is to the first one."""
    from rich.table import Table

    columns = ("workers", "scans", "failed", "wall s", "s with networks loaded", "scans/min", "ratio")
    table = Table(*columns, title="A batch on the CPU, measured")
    for one in runs:
        ratio = one.scans_per_minute / runs[0].scans_per_minute
        numbers = (f"{one.seconds:.1f}", f"{one.busy_seconds:.1f}", f"{one.scans_per_minute:.2f}", f"{ratio:.2f}")
        table.add_row(str(one.workers), str(one.scans), str(one.failed), *numbers)
    return table
