"""``python -m training sample``: make the phantom that ships with the Slicer module, its truth and its thumbnail."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from VertebraLabelingLib.core.files import atomic_write

from ..phantom import write_phantom

RESOURCES = Path(__file__).resolve().parents[2] / "VertebraLabeling" / "Resources"
NAME = "VertebraLabelingPhantom"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command with its option."""
    parser = subparsers.add_parser("sample", help="make the phantom that ships with the Slicer module")
    parser.add_argument("--output", type=Path, default=RESOURCES, help="folder for SampleData/ and Icons/")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the three files, and print the hash that belongs into app/sample_data.py; 0 when they stand."""
    from ..phantom.sample import draw_thumbnail, make_sample

    scan, thumbnail = args.output / "SampleData" / f"{NAME}.nrrd", args.output / "Icons" / f"{NAME}.png"
    for path in (scan, thumbnail):
        path.parent.mkdir(parents=True, exist_ok=True)
    phantom = make_sample()
    truth = write_phantom(phantom, scan)
    with atomic_write(thumbnail) as partial:
        draw_thumbnail(phantom).savefig(partial)
    print(f"{scan}, {truth.name} and {thumbnail}; SHA-256 of the scan {hashlib.sha256(scan.read_bytes()).hexdigest()}")
    return 0
