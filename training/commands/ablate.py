"""``python -m training ablate``: the comparisons of Qin et al. on our data, a run at a time."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `ablate` command."""
    parser = subparsers.add_parser(
        "ablate",
        help="compare the parts of the network of Qin et al., and it with `sites`",
        description="Trains and scores every network with every seed, the first seed of all networks first. A finished "
        "run is not repeated, so the comparison can be stopped and taken up again; the tables show what is there.",
    )
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder made by `prepare`")
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"), help="folder for results and tables")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the networks (default: all)")
    parser.add_argument("--steps", type=int, help="training steps of each run instead of the configurations'")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run what is missing, then write and print `ablation.md`."""
    from ..ablation.report import report
    from ..ablation.study import NAMES, execute, make_plan, split_data
    from ..cases import read_cache
    from ..records import read_records, unfinished
    from .evaluate import write_text

    plans = [make_plan(name, seed, args.steps) for seed in args.seeds for name in args.only or NAMES]
    if missing := unfinished(args.output, plans):
        data = split_data(read_cache(args.cache, ("train", "val", "phantom")))
        for plan in missing:
            print(execute(plan, data, args.output), flush=True)
    text = report(read_records(args.output))
    write_text(args.output / "ablation.md", text)
    print(text)
    return 0
