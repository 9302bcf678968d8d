"""``python -m training crops``: is the labelling of whole scans and pieces of them right, and does it know?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from VertebraLabelingLib.core.sequence import SequenceSettings

    from ..crops import Piece


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `crops` command."""
    parser = subparsers.add_parser(
        "crops",
        help="label scans and random pieces of them; score columns, warnings and probabilities",
        description="Run the network once with --save-evidence, then study decoder settings with --from-evidence: "
        "--set certainty.unsure_mass=0.1,0.2,0.3 compares three (one table), a single value gives the full report.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="a data folder, as `prepare` reads it")
    source.add_argument("--from-evidence", type=Path, metavar="F", help="what --save-evidence wrote; no network runs")
    parser.add_argument("--split", nargs="+", default=["val"])
    parser.add_argument("--pieces", type=int, default=8, help="crops per scan (default 8); half as many negatives")
    parser.add_argument("--phantoms", type=int, default=0, help="also so many phantoms that no training has seen")
    parser.add_argument("--spines", type=Path, metavar="FILE", help="real spines (spines.csv.gz) to pose them by")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", default="sites")
    parser.add_argument("--model-file", type=Path, help="weights of your own instead of the shipped ones")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--save-evidence", type=Path, metavar="F", help="file (.npz), written after every scan")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=V[,V...]", help="decoder settings; all combinations are tried"
    )
    parser.add_argument("--output", type=Path, help="folder for crops.json, crops.md and reliability.png")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Gather the pieces, decode, print."""
    from VertebraLabelingLib.core.files import require_writable_folder

    from ..crops import load_pieces

    settings = variants(args.set)
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        require_writable_folder(args.output)
    pieces, about = load_pieces(args.from_evidence) if args.from_evidence else _labelled(args)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    if len(settings) > 1:
        _compare(pieces, settings)
    else:
        _report(args.output, pieces, *settings.popitem(), about)
    return 0


def variants(options: list[str]) -> dict[str, SequenceSettings]:
    """Settings of the decoder by description, for all combinations of values such as ``certainty.unsure_mass=0.1,0.2``.

    UsageError for a setting that does not exist or a value that is no number.
    """
    from itertools import product

    from VertebraLabelingLib.core.sequence import DEFAULT_SETTINGS

    choices = [[f"{option.partition('=')[0]}={value}" for value in option.partition("=")[2].split(",")]
               for option in options]  # fmt: skip
    found = {}
    for combination in product(*choices):
        settings = DEFAULT_SETTINGS
        for choice in combination:
            key, _, value = choice.partition("=")
            settings = _changed(settings, key, value)
        found[", ".join(combination) or "default"] = settings
    return found


def _changed(settings: Any, key: str, value: str) -> Any:
    """A copy of nested frozen settings with one number changed, which keeps its type.

    UsageError for a key that does not exist and for values that are no number, old or new.
    """
    from dataclasses import replace
    from functools import reduce

    from VertebraLabelingLib.core.errors import UsageError

    *parents, name = key.split(".")
    try:
        owners = [reduce(getattr, parents[:n], settings) for n in range(len(parents) + 1)]
        old = getattr(owners[-1], name)
        if not isinstance(old, int | float):
            raise TypeError("not a number")
        new: Any = type(old)(float(value))
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"'{key}={value}' is no setting of the decoder ({error}); see core/sequence.py.") from error
    for owner, changed in zip(reversed(owners), [name, *reversed(parents)], strict=True):
        new = replace(owner, **{changed: new})
    return new


def _labelled(args: argparse.Namespace) -> tuple[list[Piece], dict[str, Any]]:
    """The method's evidence on every scan of the split and its pieces, saved after each scan when a file is given."""
    from dataclasses import replace

    from VertebraLabelingLib.core.errors import UsageError
    from VertebraLabelingLib.core.readers import read_scan
    from VertebraLabelingLib.methods.registry import load_method

    from ..crops import phantom_pieces, pieces_of, save_pieces
    from ..datasets import read_dataset
    from ..phantom import read_poses

    items = [item for item in read_dataset(args.data) if item.split in args.split]
    if not items:
        raise UsageError(f"{args.data} has no annotated scan of the split {' '.join(args.split)}.")
    method = load_method(args.method, args.model_file, args.device)
    about = {"split": " ".join(args.split), "pieces": args.pieces, "seed": args.seed, "phantoms": args.phantoms}
    about["method"] = method.name
    about["weights"] = " ".join(f"{role} {sha[:12]}" for role, sha in method.weights_sha256.items())
    pieces: list[Piece] = []
    for number, item in enumerate(items, start=1):
        scan = replace(read_scan(item.scan_file), name=item.id)
        pieces += pieces_of(scan, item.points, method, args.pieces, args.seed)
        print(f"{number}/{len(items)} {item.id}: {len(pieces)} pieces", flush=True)
        if args.save_evidence:
            save_pieces(args.save_evidence, pieces, about)
    for piece in phantom_pieces(method, range(args.phantoms), read_poses(args.spines) if args.spines else ()):
        pieces.append(piece)
        print(piece.name, flush=True)
        if args.save_evidence:
            save_pieces(args.save_evidence, pieces, about)
    return pieces, about


def _compare(pieces: list[Piece], settings: dict[str, SequenceSettings]) -> None:
    """One line per setting: all pieces with vertebrae, and the share of negatives without an answer."""
    from ..certainty import judge_all, summaries
    from ..certainty_report import markdown_table

    rows = []
    for name, setting in settings.items():
        *_, positive, negative = summaries(judge_all(pieces, setting))
        rows.append({**positive, "setting": f"{name} (all)"})
        rows.append({**negative, "setting": f"{name} (negative)"})
    print(markdown_table(rows, "setting"))


def _report(
    output: Path | None, pieces: list[Piece], name: str, setting: SequenceSettings, about: dict[str, Any]
) -> None:
    """The full report: printed, and as files when there is a folder for them."""
    import json
    from dataclasses import asdict

    from ..certainty import calibrated_groups, judge_all, pooled, reliability, summaries
    from ..certainty_report import (
        LEGEND,
        draw_reliability,
        markdown_table,
        piece_values,
        reliability_table,
        silent_errors,
    )
    from .evaluate import write_text

    verdicts = judge_all(pieces, setting)
    rows = summaries(verdicts)
    groups = calibrated_groups(verdicts)
    silent = "".join(f"- {line}\n" for line in silent_errors(verdicts)) or "- none\n"
    tables = f"{markdown_table(rows)}\n{LEGEND}\n\n### Stated and true probability\n\n{reliability_table(groups)}"
    text = f"{tables}\n### Silent errors\n\n{silent}"
    print(text)
    if output is None:
        return
    bins = {name: [[float(v) if n else None for v in (n, p, h)] for n, p, h in reliability(*pooled(group))]
            for name, group in groups.items()}  # fmt: skip
    values = {"about": about, "settings": name, "decoder": asdict(setting), "groups": rows,
              "reliability": bins, "pieces": [piece_values(v) for v in verdicts]}  # fmt: skip
    write_text(output / "crops.json", json.dumps(values, indent=1) + "\n")
    write_text(output / "crops.md", f"# Certainty on whole scans and crops\n\n{about}, decoder: {name}\n\n{text}")
    draw_reliability(output / "reliability.png", groups)
