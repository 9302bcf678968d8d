"""``python -m training phantom``: write a phantom CT and its truth."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import UsageError

from ..phantom import Anatomy, PhantomSpec, draw_pose, make_phantom, random_spec, read_poses, read_shapes, write_phantom

SIZES: dict[str, dict[str, float | bool]] = {
    "small": {"width_mm": 200.0, "depth_mm": 200.0},
    "torso": {"width_mm": 400.0, "depth_mm": 320.0},
    "whole-body": {"width_mm": 500.0, "depth_mm": 500.0, "cranial_mm": 130.0, "caudal_mm": 160.0, "arms": True},
}
"""Field of view in x and y of each --size, and how far the whole body goes on beyond C1 and S2."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command with its options."""
    parser = subparsers.add_parser("phantom", help="write a procedural phantom CT with its exact centroids")
    parser.add_argument("--output", type=Path, required=True, help="CT to write (.nii.gz); X.truth.csv comes beside it")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another patient (default 0)")
    parser.add_argument("--levels", type=_stretch, default=None, help="field of view, e.g. T9-S2 (default C1-S2)")
    parser.add_argument("--size", choices=SIZES, default="torso", help="field of view in the plane (default torso)")
    parser.add_argument(
        "--spacing", type=float, nargs=3, default=(2.0, 2.0, 2.0), metavar=("Z", "Y", "X"), help="voxel size in mm"
    )
    parser.add_argument("--spines", type=Path, help="list of real spines (spines.csv.gz) to pose the phantom by")
    parser.add_argument(
        "--shapes", type=Path, metavar="DIR", help="folder with surfaces of real vertebrae (08_T1.vtp, ...) to show"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder that keeps the shapes read from them for the next time"
    )
    parser.add_argument(
        "--random", action="store_true", help="draw all else too: field of view, anatomy, disease, scan"
    )
    parser.add_argument("--device", help="paint with torch on this device (default: NumPy)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make and write the phantom; 0 when both files stand.  UsageError when it cannot be made or written."""
    from VertebraLabelingLib.engines.device import choose_device

    device = choose_device(args.device) if args.device else None
    phantom = make_phantom(args.seed, _spec(args), device)
    truth = write_phantom(phantom, args.output)
    size = " x ".join(str(n) for n in phantom.scan.geometry.shape_zyx)
    print(f"{args.output}: phantom, {size} voxels (z, y, x); {len(phantom.centroids)} centroids in {truth}")
    return 0


def _spec(args: argparse.Namespace) -> PhantomSpec:
    """The spec of the options; UsageError when they do not go together."""
    rng, poses = np.random.default_rng(args.seed), read_poses(args.spines) if args.spines else None
    shapes = read_shapes(args.shapes, args.cache) if args.shapes else None
    if args.random:
        return random_spec(rng, poses, shapes)
    pose = draw_pose(poses, rng) if poses else None
    anatomy = Anatomy(pose=pose, shapes=shapes, lumbar_count=6 if pose and Level.L6 in pose.levels else 5)
    first, last = args.levels or (Level.C1, Level.S2)
    try:
        return PhantomSpec(
            spacing_zyx_mm=tuple(args.spacing), first=first, last=last, anatomy=anatomy, **SIZES[args.size]
        )
    except ValueError as error:
        raise UsageError(f"No phantom for these options: {error}.") from error


def _stretch(text: str) -> tuple[Level, Level]:
    """First and last level of a text such as ``T9-S2``."""
    first, _, last = text.partition("-")
    try:
        return Level.parse(first), Level.parse(last)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; write the field of view as FIRST-LAST, e.g. T9-S2") from error
