"""``python -m training compare``: all methods, and the parts of Wu et al., on the same scans and phantoms."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ablation.study import Plan
    from ..compare.methods import MethodPlan
    from ..compare.scores import Groups


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `compare` command."""
    parser = subparsers.add_parser(
        "compare",
        help="compare all methods, and the parts of Wu et al., on the same scans and phantoms",
        description="Scores every method whose weights are installed, then trains and scores the network of Wu et al. "
        "with and without its parts, the first seed of all first. A finished run is not repeated, so the comparison "
        "can be stopped and taken up again; the tables show what is there.",
    )
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder made by `prepare`")
    parser.add_argument("--output", type=Path, default=Path("runs/compare"), help="folder for results and tables")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="some of the runs: methods, ensembles, views, parts, or names of single ones (default: all)",
    )
    parser.add_argument("--scans", choices=("val", "test"), default="val", help="split to judge on (default: val)")
    parser.add_argument("--phantoms", type=int, default=10, help="fresh phantoms to judge on, 0 for none (default: 10)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the trainings (default: 0 1 2)")
    parser.add_argument("--steps", type=int, help="steps of each training instead of the configurations'")
    parser.add_argument(
        "--body", action=argparse.BooleanOptionalAction, default=True, help="time and memory on a whole body too"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run what is missing, then write and print `comparison.md`."""
    from ..compare.report import report
    from ..records import read_records
    from .evaluate import write_text

    names = _checked(args.only) if args.only else None
    groups = _groups(args)
    _run_methods(args, names, groups)
    _run_trainings(args, names, groups)
    text = report(read_records(args.output))
    write_text(args.output / "comparison.md", text)
    print(text)
    return 0


def _checked(names: Sequence[str]) -> list[str]:
    """Names of runs; UsageError for one that there is not, ModelError for one whose weights are missing."""
    from VertebraLabelingLib.core.errors import ModelError, UsageError

    from ..compare.methods import BAGGING, ENSEMBLES, VIEWS, WAYS, WHOLE, reason_to_leave_out
    from ..compare.trainings import TRAININGS

    kinds = {"methods": WHOLE, "ensembles": ENSEMBLES, "views": VIEWS | BAGGING, "parts": dict.fromkeys(TRAININGS)}
    known = (*kinds, *WAYS, *TRAININGS)
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"There is no run '{unknown[0]}'; use some of: {', '.join(known)}.")
    for name in names:
        if name in WAYS and (reason := reason_to_leave_out(name)):
            raise ModelError(reason)
    return [run for name in names for run in kinds.get(name, (name,))]


def _groups(args: argparse.Namespace) -> Groups:
    """The cases to judge on; UsageError when there is none."""
    from VertebraLabelingLib.core.errors import UsageError

    from ..cases import read_cache
    from ..compare.scores import fresh_phantoms

    scans = read_cache(args.cache, (args.scans,))
    groups = {"scans": scans, "phantoms": fresh_phantoms(args.output / "phantoms", args.phantoms)}
    if not any(groups.values()):
        raise UsageError(
            f"No scan of split '{args.scans}' is in '{args.cache}'; run `prepare` first, or use --phantoms."
        )
    return groups


def _run_methods(args: argparse.Namespace, names: Sequence[str] | None, groups: Groups) -> None:
    """The methods as they ship, in this process; time and memory in a child."""
    from ..compare.methods import WAYS, execute_method, make_method_plan, reason_to_leave_out
    from ..records import unfinished

    chosen = [name for name in WAYS if names is None or name in names]
    for name in chosen:
        if reason := reason_to_leave_out(name):
            print(f"left out: {name}. {reason}")
    able = [name for name in chosen if not reason_to_leave_out(name)]
    plans: list[MethodPlan] = [make_method_plan(name, groups, args.body) for name in able]
    missing = unfinished(args.output, plans)
    body = _body(args.output) if any(plan.configuration["body"] for plan in missing) else None
    for plan in missing:
        print(execute_method(plan, groups, body, args.output), flush=True)


def _body(output: Path) -> Path:
    """The phantom of a whole body, made once."""
    from .bench import phantom_file

    return next(output.glob("body.nii.gz"), None) or phantom_file(output)


def _run_trainings(args: argparse.Namespace, names: Sequence[str] | None, groups: Groups) -> None:
    """The parts of Wu et al."""
    from ..ablation.study import split_data
    from ..cases import read_cache
    from ..compare.trainings import TRAININGS, execute_training, make_training_plan
    from ..records import is_finished, unfinished

    chosen = [name for name in TRAININGS if names is None or name in names]
    plans: list[Plan] = [make_training_plan(name, seed, args.steps, groups) for seed in args.seeds for name in chosen]
    if missing := unfinished(args.output, plans):
        data = split_data(read_cache(args.cache, ("train", "val", "phantom")))
        for plan in missing:
            if not is_finished(args.output, plan):  # a pre-training may have been run on the way
                print(execute_training(plan, data, groups, args.output), flush=True)
