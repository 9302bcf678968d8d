"""``python -m training prepare``: scans, annotations and phantoms as a compact cache."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..datasets import FORMATS

if TYPE_CHECKING:
    from ..cases import Case, Outcome
    from ..datasets.annotated import Annotated

OWN_SPLITS = ("train", "val", "test", "phantom", "unlabelled")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `prepare` command."""
    parser = subparsers.add_parser("prepare", help="cache annotated scans at 2, 4 and 8 mm")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--format", choices=("auto", *FORMATS), default="auto", help="its layout (default: found out)")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument(
        "--val-share", type=float, default=0.2, help="of the patients, where the set has no splits (default 0.2)"
    )
    parser.add_argument("--phantoms", type=int, default=0, help="how many random phantoms to add")
    parser.add_argument(
        "--spines",
        type=Path,
        metavar="DIR",
        help="folder with spines.csv.gz: real columns to pose phantoms and scans on",
    )
    parser.add_argument(
        "--shapes",
        type=Path,
        metavar="DIR",
        help="folder with surfaces of real vertebrae (08_T1.vtp, ...), which the phantoms of this call show",
    )
    extra = parser.add_argument_group("further annotations of unlabelled scans of a scans.csv")
    extra.add_argument(
        "--annotations", type=Path, metavar="DIR", help="folder with <id>.csv, for instance machine-made"
    )
    extra.add_argument("--as", dest="split_as", default="pseudo", metavar="SPLIT", help="their split (default pseudo)")
    extra.add_argument("--weight", type=float, default=0.3, help="how often they are drawn (default 0.3)")
    extra.add_argument(
        "--unlabelled", action="store_true", help="cache those without points too: teachers say what they show"
    )
    extra.add_argument("--replace", action="store_true", help="remove what that split has and DIR does not")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fill the cache; prints a line per case, and writes the report.

    A scan that cannot be read is reported and skipped.  InputError when that leaves none of the data set.
    """
    from VertebraLabelingLib.core.errors import InputError

    from ..cases import cache_phantoms
    from ..datasets.report import write_report
    from ..phantom import read_poses, read_shapes
    from ..repose import store_poses

    _check(args)
    poses = read_poses(args.spines) if args.spines else ()
    shapes = read_shapes(args.shapes, args.cache) if args.shapes else None
    outcomes = _cache(args)
    splits = {outcome.case.split for outcome in outcomes if outcome.case}
    if not splits:
        raise InputError(f"None of the {len(outcomes)} scans of {args.data} could be used; the lines above say why.")
    if poses:
        store_poses(poses, args.cache)
    for case in cache_phantoms(args.cache, args.phantoms, poses, shapes=shapes):
        print(_line(case), flush=True)
    if "train" not in splits:
        print("note: no scan of this data set is in the split train; give more patients, or --val-share 0")
    print(f"report: {write_report(args.cache, args.data, outcomes)}")
    return 0


def _check(args: argparse.Namespace) -> None:
    from VertebraLabelingLib.core.errors import UsageError

    if not 0 <= args.val_share < 1:
        raise UsageError("The share of validation patients, --val-share, lies between 0 and 1.")
    if args.annotations and args.split_as in OWN_SPLITS:
        raise UsageError(f"Further annotations need a split of their own; --as cannot be {args.split_as}.")


def _cache(args: argparse.Namespace) -> list[Outcome]:
    """Cache the scans and, with --replace, remove what is no longer there."""
    from ..cases import cache_annotated, drop_others

    outcomes = []
    for outcome in cache_annotated(_items(args), args.cache):
        print(_line(outcome.case) if outcome.case else f"skipped  {outcome.item.id:24} {outcome.problem}", flush=True)
        outcomes.append(outcome)
    if args.annotations and args.replace:
        for name in drop_others(args.cache, args.split_as, {outcome.item.id for outcome in outcomes if outcome.case}):
            print(f"removed  {name}", flush=True)
    return outcomes


def _line(case: Case) -> str:
    return f"{case.split:8} {case.id:24} {len(case.levels):2} vertebrae, weight {case.weight:g}"


def _items(args: argparse.Namespace) -> Iterator[Annotated]:
    from ..datasets import listed, read_dataset
    from ..datasets.splits import with_splits

    yield from with_splits(read_dataset(args.data, args.format), args.val_share)
    if args.annotations:
        yield from listed.additional_items(args.data, args.annotations, args.split_as, args.weight)
    if args.unlabelled:
        yield from listed.items_without_points(args.data, args.annotations, args.weight)
