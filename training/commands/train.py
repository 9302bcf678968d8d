"""``python -m training train``: one network from one configuration."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `train` command."""
    parser = subparsers.add_parser("train", help="train a network from a TOML configuration")
    parser.add_argument("config", type=Path, help="for example training/configs/sites.toml")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder made by `prepare`")
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints and curves")
    parser.add_argument("--splits", nargs="+", default=["train", "phantom"], help="cases to learn from")
    parser.add_argument("--start", type=Path, help="checkpoint of the same network to start from")
    parser.add_argument("--minutes", type=float, help="overrides the configuration")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train; prints where the last checkpoint lies."""
    from dataclasses import replace

    from ..cases import read_cache
    from ..loop import train
    from ..settings import read_configuration
    from ..tasks import make_task

    configuration = read_configuration(args.config)
    settings = replace(configuration.run, minutes=args.minutes) if args.minutes else configuration.run
    task = make_task(configuration.task, configuration.network, configuration.windows)
    cases = read_cache(args.cache, tuple(args.splits))
    print(train(task, cases, settings, args.output, args.start))
    return 0
