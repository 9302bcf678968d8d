"""``python -m training evaluate``: score predicted points against true ones with the VerSe metric."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.core.files import atomic_write
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.labelling import LabelledPoint
from VertebraLabelingLib.core.readers import read_scan

from ..evaluate import ScanResult, evaluate_scan
from ..evaluation_report import json_report, markdown_report, rich_report
from ..scan_list import annotated_rows

POINT_SUFFIXES = (".mrk.json", "_ctd.json", ".csv")
"""Files that hold points; where a scan has several, the first suffix in this order is read."""
IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")

_DECORATION = re.compile(r"(_seg-subreg|_seg-vb|_seg-vert|_ct|\.truth|\.nii)$")

Points = tuple[LabelledPoint, ...]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `evaluate` command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score predicted points against true ones (VerSe metric)",
        description="Files are matched by scan: their name without .mrk.json, _ctd.json, .csv, .truth and the like.",
    )
    parser.add_argument("--truth", type=Path, required=True, metavar="DIR", help="folder with the true points")
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="folder with the predicted ones")
    parser.add_argument(
        "--scans", type=Path, metavar="CSV", help="list (id, split, levels) of which one split is scored"
    )
    parser.add_argument("--split", default="val", help="the split of --scans (default: val)")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="the CTs, whose grids VerSe's voxel coordinates need"
    )
    parser.add_argument("--json", type=Path, metavar="F", help="also write the numbers as JSON")
    parser.add_argument("--markdown", type=Path, metavar="F", help="also write the tables as Markdown")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the tables and write the files asked for."""
    images = files_by_scan(args.images, IMAGE_SUFFIXES) if args.images else {}
    predictions = files_by_scan(args.predictions, POINT_SUFFIXES)
    truths = read_truths(files_by_scan(args.truth, POINT_SUFFIXES), images, args.scans, args.split)
    results = score_files(truths, predictions, images)
    # in a file or a pipe there is no width to keep to
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(rich_report(results))
    ignored = sorted(predictions.keys() - truths.keys())
    if ignored:
        console.print(f"note: not scored, as nothing true is known of them: {', '.join(ignored)}")
    if args.json:
        write_text(args.json, json.dumps(json_report(results), indent=2) + "\n")
    if args.markdown:
        write_text(args.markdown, markdown_report(results))
    return 0


def scan_id(file_name: str, suffixes: Iterable[str]) -> str | None:
    """What is left of a file name without its suffix and decorations; None when it has none of the suffixes."""
    for suffix in suffixes:
        if file_name.endswith(suffix):
            name = file_name.removesuffix(suffix)
            while (bare := _DECORATION.sub("", name)) != name:
                name = bare
            return name
    return None


def files_by_scan(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Scan id -> its file in `folder` or below, of the first suffix that it has.

    UsageError when the folder is missing or has no such file, or two of a scan.
    """
    if not folder.is_dir():
        raise UsageError(f"The folder '{folder}' does not exist; check the path.")
    files: dict[str, Path] = {}
    for suffix in reversed(suffixes):
        of_suffix: dict[str, Path] = {}
        for path in sorted(folder.rglob(f"*{suffix}")):
            name = scan_id(path.name, suffixes)
            if name is None or not path.name.endswith(suffix):
                continue
            if name in of_suffix:
                raise UsageError(f"'{of_suffix[name]}' and '{path}' belong to the same scan; keep one of them.")
            of_suffix[name] = path
        files |= of_suffix
    if not files:
        raise UsageError(f"The folder '{folder}' has no file that ends with {', '.join(suffixes)}.")
    return files


def read_truths(
    files: Mapping[str, Path], images: Mapping[str, Path], scans: Path | None, split: str
) -> dict[str, Points]:
    """Scan id -> true points: of every file, or of one split of a list, scans without a vertebra included."""
    if scans is None:
        return {name: read_scan_points(name, path, images) for name, path in files.items()}
    rows = annotated_rows(scans, (split,))
    if not rows:
        raise UsageError(f"'{scans}' lists no annotated scan of the split '{split}'.")
    missing = [row["id"] for row in rows if row["levels"] != "none" and row["id"] not in files]
    if missing:
        raise UsageError(f"The truth has no points for {', '.join(missing)}, which '{scans}' lists.")
    names = [row["id"] for row in rows]
    return {name: read_scan_points(name, files[name], images) if name in files else () for name in names}


def read_scan_points(name: str, path: Path, images: Mapping[str, Path]) -> Points:
    """Points of a file in LPS mm; only VerSe's voxel coordinates make the scan be opened."""
    if not path.name.endswith("_ctd.json"):
        return read_points(path)
    if name not in images:
        raise UsageError(f"'{path}' counts in voxels; give the folder with the CT '{name}' as --images.")
    return read_points(path, read_scan(images[name]).geometry)


def score_files(
    truths: Mapping[str, Points], predictions: Mapping[str, Path], images: Mapping[str, Path]
) -> tuple[ScanResult, ...]:
    """One result per scan of the truth, by name; a scan without a prediction file counts as all missed."""
    found = {name: read_scan_points(name, predictions[name], images) for name in truths if name in predictions}
    return tuple(evaluate_scan(name, truths[name], found.get(name)) for name in sorted(truths))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
