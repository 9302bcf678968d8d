"""``python -m training validate``: label the scans of a split with the command line, then score the points."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `validate` command."""
    parser = subparsers.add_parser("validate", help="label every scan of a split and score the result")
    parser.add_argument("--data", type=Path, required=True, help="folder with scans.csv, annotations/ and the scans")
    parser.add_argument("--split", default="val")
    parser.add_argument("--output", type=Path, required=True, help="folder for points, previews, records and tables")
    parser.add_argument("options", nargs="*", help="after --: options of `vertebra-labeling label`")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Label, score, print."""
    from VertebraLabelingLib.predict import main as label

    from ..scan_list import WITH_FILES, annotated_rows

    for row in annotated_rows(args.data / "scans.csv", (args.split,), WITH_FILES):
        output = args.output / f"{row['id']}.mrk.json"
        output.unlink(missing_ok=True)
        preview = ["--preview", str(output.with_name(f"{row['id']}.png"))]
        code = label(
            ["label", str(args.data / row["file"]), "--output", str(output), *preview, "--quiet", *args.options]
        )
        print(f"{row['id']}: exit code {code}", flush=True)
    return _score(args)


def _score(args: argparse.Namespace) -> int:
    from . import evaluate

    parser = argparse.ArgumentParser()
    evaluate.add_parser(parser.add_subparsers())
    files = {"--json": args.output / "scores.json", "--markdown": args.output / "scores.md"}
    values = {"--truth": args.data / "annotations", "--predictions": args.output, "--scans": args.data / "scans.csv"}
    options = [str(part) for pair in (*values.items(), *files.items()) for part in pair]
    scoring = parser.parse_args(["evaluate", *options, "--split", args.split])
    return evaluate.run(scoring)
