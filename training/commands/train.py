"""``python -m training train``: one network from one configuration."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `train` command."""
    parser = subparsers.add_parser("train", help="train a network from a TOML configuration")
    parser.add_argument("config", type=Path, help="for example training/configs/sites.toml")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder made by `prepare`")
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints and curves")
    parser.add_argument("--splits", nargs="+", default=["train", "phantom", "pseudo"], help="cases to learn from")
    parser.add_argument(
        "--final", action="store_true", help="learn from split val too: only for weights on which nothing is chosen"
    )
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument("--start", type=Path, help="checkpoint or weight file of the same network")
    origin.add_argument("--start-encoder", type=Path, help="checkpoint of a pre-training to take the encoder from")
    origin.add_argument("--resume", action="store_true", help="go on with the run of --output where it was stopped")
    parser.add_argument("--minutes", type=float, help="overrides the configuration")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train; prints where the last checkpoint lies."""
    from dataclasses import replace

    from lightning.pytorch.utilities import rank_zero_only
    from VertebraLabelingLib.core.errors import UsageError

    from ..cases import read_cache
    from ..loop import train
    from ..scan_list import UNLABELLED
    from ..settings import read_configuration
    from ..tasks import make_task
    from ..tasks.distilled import with_teachers

    configuration = read_configuration(args.config)
    settings = replace(configuration.run, minutes=args.minutes) if args.minutes else configuration.run
    task = make_task(configuration.task, configuration.network, configuration.windows)
    learnt, watched = chosen_splits(args.splits, args.final)
    if configuration.distil:
        task = with_teachers(task, configuration.distil.teachers, configuration.distil.share)
    elif UNLABELLED in learnt:
        raise UsageError(
            f"Nobody has annotated split {UNLABELLED}: it teaches only through [distil] of a configuration."
        )
    cases, validation = read_cache(args.cache, learnt), read_cache(args.cache, watched)
    origin = {"start": args.start, "start_encoder": args.start_encoder, "resume": args.resume}
    last = train(task, cases, settings, args.output, validation=validation, **origin)
    rank_zero_only(print)(last)
    return 0


def chosen_splits(splits: Sequence[str], final: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Splits to learn from and to watch the loss on; a scan of val is one or the other, by a decision of the user.

    UsageError when val or test is among `splits` without `final`.
    """
    from VertebraLabelingLib.core.errors import UsageError

    from ..datasets.listed import HELD_OUT

    if final:
        return (*(name for name in splits if name != "val"), "val"), ()
    if judging := [name for name in HELD_OUT if name in splits]:
        raise UsageError(
            f"Split {judging[0]} judges the networks; to learn from it for weights that are not judged, say --final."
        )
    return tuple(splits), ("val",)
