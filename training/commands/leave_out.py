"""``python -m training leave-out``: cross-validation over the patients of the real torso scans."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from VertebraLabelingLib.methods.corridor import Corridor

    from ..cases import Case
    from ..crops import Piece
    from ..settings import Configuration

CORRIDOR = Path(__file__).parents[1] / "configs" / "corridor.toml"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `leave-out` command."""
    parser = subparsers.add_parser("leave-out", help="cross-validate over the patients of the torso scans")
    parser.add_argument("config", type=Path, help="a configuration of the task sites")
    parser.add_argument(
        "--corridor", type=Path, default=CORRIDOR, metavar="CONFIG", help="of the network that finds the spine's course"
    )
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder made by `prepare`")
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints and tables")
    parser.add_argument("--folds", type=int, default=99, help="groups of patients (default: every patient alone)")
    parser.add_argument("--base-minutes", type=float, default=12.0, help="training without any real torso scan")
    parser.add_argument("--minutes", type=float, default=4.0, help="training of each fold")
    parser.add_argument("--base-steps", type=int, help="at most; for comparisons that do not hang on the machine")
    parser.add_argument("--steps", type=int, help="at most, of each fold")
    parser.add_argument("--pieces", type=int, default=0, help="crops of each held-out scan, to measure certainty on")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train the base and the folds that are not there yet, judge, print and write the tables."""
    from rich.console import Console
    from VertebraLabelingLib.core.errors import UsageError
    from VertebraLabelingLib.core.files import atomic_write
    from VertebraLabelingLib.methods.corridor import load_corridor

    from ..case_scores import judged
    from ..cases import read_cache
    from ..evaluation_report import markdown_report, rich_report
    from ..evidence import gathered
    from ..leave_out import fold_method, folds_by_patient, is_torso, run_base, run_fold, torso_to_learn
    from ..run_weights import weights_of_run
    from ..settings import read_configuration

    configuration = read_configuration(args.config)
    cases = read_cache(args.cache, ("train", "val", "phantom", "pseudo"))
    torso = [case for case in cases if is_torso(case)]
    if args.folds < 1 or not torso:
        raise UsageError("Cross-validation needs torso scans in the cache and at least one fold.")
    folds = folds_by_patient([case for case in torso if case.split == "train"], args.folds)
    of_corridor = read_configuration(args.corridor)
    found = run_base(of_corridor, cases, args.output / "corridor")
    corridor = load_corridor(weights_of_run(of_corridor, [found], found.with_name("weights.npz")), "cpu")
    _tell_corridor(corridor, torso)
    base = run_base(_lasting(configuration, args.base_minutes, args.base_steps), cases, args.output / "base")
    of_fold = _lasting(configuration, args.minutes, args.steps)
    held_out, val, pieces = [], [], []
    for number, fold in enumerate(folds):
        folder = args.output / f"fold-{number}"
        checkpoint = run_fold(of_fold, cases, fold, folder, base)
        method = fold_method(configuration, checkpoint, corridor, torso_to_learn(cases, fold), folder)
        held_out += judged(method, fold)
        pieces += gathered(folder / f"{args.pieces}-pieces.npz", method, fold, args.pieces) if args.pieces else []
        val += judged(method, [case for case in torso if case.split == "val"])
        print(f"fold {number}: without {', '.join(case.id for case in fold)}", flush=True)
    for title, results in (("held out", held_out), ("val, by every fold's network", val)):
        print(title)
        Console().print(rich_report(results))
        with atomic_write(args.output / f"{title.split(',')[0].replace(' ', '-')}.md") as temporary:
            Path(temporary).write_text(markdown_report(results), encoding="utf-8")
    if pieces:
        _tell_certainty(pieces)
    return 0


def _tell_corridor(corridor: Corridor, torso: list[Case]) -> None:
    """Print whether the corridor follows the spines of patients it does not know, which all else hangs on."""
    from ..leave_out import NEAR_MM, followed

    found = followed(corridor, torso)
    near, count = (sum(column) for column in zip(*found.values(), strict=True))
    left = ", ".join(f"{name} {a} of {b}" for name, (a, b) in found.items() if a < b)
    print(f"corridor: {near} of {count} vertebrae within {NEAR_MM:g} mm of its curve; less than all: {left or 'none'}")


def _tell_certainty(pieces: list[Piece]) -> None:
    """Print what the probabilities on strangers are worth, and which doubt of columns without an anchor fits them."""
    from VertebraLabelingLib.core.sequence import DEFAULT_SETTINGS

    from ..certainty import judge_all, summaries
    from ..certainty_report import markdown_table
    from ..method_calibration import fitted_doubt

    print(markdown_table(summaries(judge_all(pieces, DEFAULT_SETTINGS))))
    doubt, losses = fitted_doubt(pieces)
    told = ", ".join(f"{value:g}: {loss:.3f}" for value, loss in losses.items())
    print(f"unanchored_doubt that fits best: {doubt:g}; loss in nats a point: {told}")


def _lasting(configuration: Configuration, minutes: float, steps: int | None) -> Configuration:
    """The configuration with another end of its run."""
    run = configuration.run
    return configuration.model_copy(update={"run": replace(run, minutes=minutes, steps=steps or run.steps)})
