"""``python -m training annotate``: centroids for the unlabelled neck scans, where several looks and the masks agree."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..neck_labels import Verdict

MAGNIFICATIONS = (1.0, 1.15, 1.3)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `annotate` command."""
    parser = subparsers.add_parser("annotate", help="machine-made centroids for unlabelled neck scans with organ masks")
    parser.add_argument("--data", type=Path, required=True, help="folder with scans.csv and *_organs.nii.gz")
    parser.add_argument("--output", type=Path, required=True, help="folder for <id>.csv and the contact sheets")
    parser.add_argument("--method", default="sites", help="the method that looks (default: %(default)s)")
    parser.add_argument("--model", type=Path, help="weight file instead of the one that ships")
    parser.add_argument("--part", type=part_of, default=(1, 1), metavar="N/M", help="every M-th scan from the N-th on")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look, judge, write; prints a line per scan and the count."""
    from VertebraLabelingLib.core.formats import write_points
    from VertebraLabelingLib.core.labelling import Labelling

    args.output.mkdir(parents=True, exist_ok=True)
    verdicts: list[tuple[str, Path, Verdict]] = []
    for name, file, verdict in _judged(args):
        (args.output / f"{name}.csv").unlink(missing_ok=True)
        if verdict.points:
            write_points(args.output / f"{name}.csv", Labelling(verdict.points))
        levels = f"{verdict.points[0].level.name}-{verdict.points[-1].level.name}" if verdict.points else verdict.reason
        print(f"{name}: {levels}", flush=True)
        verdicts.append((name, file, verdict))
    kept = [v for v in verdicts if v[2].points]
    print(f"kept {len(kept)} of {len(verdicts)} scans, {sum(len(v[2].points) for v in kept)} centroids")
    _draw(kept, args.output / "kept.png")
    _draw([v for v in verdicts if not v[2].points], args.output / "rejected.png")
    return 0


def part_of(text: str) -> tuple[int, int]:
    """(N, M) of a text such as ``2/3``."""
    try:
        first, step = (int(number) for number in text.split("/"))
    except ValueError:
        first, step = 0, 0
    if not 1 <= first <= step:
        raise argparse.ArgumentTypeError(f"'{text}' is no part; write 2/3 for the second of three")
    return first, step


def _judged(args: argparse.Namespace) -> Iterator[tuple[str, Path, Verdict]]:
    """Name, file and verdict of every unlabelled scan that has organ masks."""
    from VertebraLabelingLib.core.readers import read_scan
    from VertebraLabelingLib.methods.registry import load_method

    from ..neck_labels import judge, look, read_masks
    from ..scan_list import UNLABELLED, WITH_FILES, read_rows

    method = load_method(args.method, args.model)
    first, step = args.part
    rows = [row for row in read_rows(args.data / "scans.csv", WITH_FILES) if row["split"] == UNLABELLED]
    files = [(row["id"], args.data / row["file"]) for row in rows]
    with_masks = [(name, file, file.with_name(f"{name}_organs.nii.gz")) for name, file in files]
    for name, file, organs in [row for row in with_masks if row[2].exists()][first - 1 :: step]:
        masks = read_scan(organs)
        scan = read_scan(file)
        looks = [look(method, scan, magnification) for magnification in MAGNIFICATIONS]
        yield name, file, judge(looks, read_masks(masks.hu.astype(int), masks.geometry))


def _draw(verdicts: list[tuple[str, Path, Verdict]], path: Path) -> None:
    """A contact sheet, if there is anything to show."""
    from VertebraLabelingLib.core.readers import read_scan

    from ..contact_sheet import Item, contact_sheet

    items = (Item(name, read_scan(file), verdict.points, verdict.reason) for name, file, verdict in verdicts)
    if verdicts:
        for page in contact_sheet(items, path):
            print(page)
