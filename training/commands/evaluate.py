"""``python -m training evaluate``: score predicted points against true ones with the VerSe metric."""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from VertebraLabelingLib.core.errors import InputError, UsageError
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.labelling import LabelledPoint

from ..evaluate import ScanResult, evaluate_scan
from ..evaluation_report import json_report, markdown_report, rich_report

POINT_SUFFIXES = (".mrk.json", "_ctd.json", ".csv")
"""Files that hold points; where a scan has several, the first suffix in this order is read."""

_DECORATION = re.compile(r"(_seg-subreg|_seg-vb|_seg-vert|_ct|\.nii|\.truth)$")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score predicted points against true ones (VerSe metric)",
        description="Files are matched by scan id: their name without .mrk.json, _ctd.json, .csv, .truth and the like.",
    )
    parser.add_argument("--truth", type=Path, required=True, metavar="DIR", help="folder with the true points")
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="folder with the predicted ones")
    parser.add_argument("--scans", type=Path, metavar="CSV", help="list (id, split, levels) of the scans to score")
    parser.add_argument("--split", default="val", help="which split of --scans (default: val)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="the CTs, which VerSe json (voxel indices) needs")
    parser.add_argument("--json", type=Path, metavar="F", help="also write the numbers as JSON")
    parser.add_argument("--markdown", type=Path, metavar="F", help="also write the tables as Markdown")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the tables, write the asked-for files; 0 unless an expected error is raised."""
    truths, predictions = point_files(args.truth), point_files(args.predictions)
    scans = listed_scans(args.scans, args.split) if args.scans else None
    results = evaluate_files(truths, predictions, scans)
    console = Console()
    console.print(rich_report(results))
    ignored = sorted(set(predictions) - {result.scan_id for result in results})
    if ignored:
        console.print(f"note: predictions without a truth, not scored: {', '.join(ignored)}")
    if args.json:
        write_text(args.json, json.dumps(json_report(results), indent=2) + "\n")
    if args.markdown:
        write_text(args.markdown, markdown_report(results))
    return 0


def scan_id(file_name: str) -> str | None:
    """Id of the scan that a file of points belongs to; None for a file that holds no points."""
    for suffix in POINT_SUFFIXES:
        if file_name.endswith(suffix):
            return _undecorated(file_name.removesuffix(suffix))
    return None


def point_files(folder: Path) -> dict[str, Path]:
    """Scan id -> file of points; UsageError when the folder is missing or holds none."""
    if not folder.is_dir():
        raise UsageError(f"The folder '{folder}' does not exist.")
    files: dict[str, Path] = {}
    for suffix in reversed(POINT_SUFFIXES):
        files |= {name: path for path in sorted(folder.glob(f"*{suffix}")) if (name := scan_id(path.name)) is not None}
    if not files:
        raise UsageError(f"The folder '{folder}' holds no points ({', '.join(POINT_SUFFIXES)}).")
    return files
