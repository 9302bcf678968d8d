"""``python -m training drr``: seconds and exactness of the projection of the multi-view method, next to RTK."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from ..drr_bench import Projected


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `drr` command."""
    parser = subparsers.add_parser(
        "drr",
        help="time and error of the projection of a torso, against the ray caster of RTK",
        description="The reference is the extra `bench` of this project; without it only our projection is measured.",
    )
    parser.add_argument("--views", type=int, default=10, help="projections of 512x512 pixels (default: 10)")
    parser.add_argument("--threads", type=int, default=2, help="of either (default: 2)")
    parser.add_argument("--passes", type=int, default=2, help="timed passes; the fastest counts (default: 2)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one table.  UsageError when a number is below one."""
    import torch
    from rich.console import Console
    from VertebraLabelingLib.core.errors import UsageError

    from ..drr_bench import measure, project, rtk_projector, torso, torso_views

    if min(args.views, args.threads, args.passes) < 1:
        raise UsageError("--views, --threads and --passes must be at least 1.")
    console = Console()
    torch.set_num_threads(args.threads)
    console.print("Making a phantom from T1 to S2 with voxels of 1.5 mm ...")
    volume, views = torso(), torso_views(args.views)
    projected = [measure("ours", project, volume, views, args.passes)]
    try:
        projected.append(measure("RTK, Joseph", rtk_projector(args.threads), volume, views, args.passes))
    except UsageError as error:
        console.print(str(error))
    size = " x ".join(str(n) for n in volume.shape)
    console.print(report(projected, f"{args.views} views of 512x512 of {size} voxels, {args.threads} threads"))
    return 0


def report(projected: list[Projected], title: str) -> Table:
    """One column per projector; what is relative, and the last row, compare with the first."""
    from rich.table import Table

    table = Table("what", *(p.name for p in projected), title=title)
    ours = projected[0]
    table.add_row("seconds, all passes", *(", ".join(f"{s.wall:.2f}" for s in p.seconds) for p in projected))
    table.add_row("  fastest, relative", *(f"{p.fastest.wall / ours.fastest.wall:.1f}" for p in projected))
    table.add_row("CPU seconds, all passes", *(", ".join(f"{s.cpu:.2f}" for s in p.seconds) for p in projected))
    table.add_row("  fastest, relative", *(f"{p.fastest.cpu / ours.fastest.cpu:.1f}" for p in projected))
    table.add_row("ball, worst error of central rays, of its diameter", *(f"{p.worst:.2%}" for p in projected))
    table.add_row("  each of its own chord", *(f"{p.worst_of_chord:.2%}" for p in projected))
    table.add_row("ball, mean error of central rays, of its diameter", *(f"{p.mean:.3%}" for p in projected))
    differences = (abs(p.torso - ours.torso).mean() / ours.torso.mean() for p in projected)
    table.add_row("torso, mean difference from ours", *(f"{d:.2%}" for d in differences))
    return table
