"""``vertebra-labeling refine``: named points moved to the centres that the local network sees."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import emit, running
from ..core.anatomy import Level
from ..core.errors import InputError, UsageError
from ..core.progress import Progress, part
from ..engines.device import check_device_name, memory_guard
from ..options import add_engine_options, add_run_options, chosen_engine

if TYPE_CHECKING:
    from ..core.labelling import LabelledPoint


def add_parser(commands: Any) -> None:
    """Register the sub-command."""
    refine = commands.add_parser("refine", help="move named points to the centres of their bodies", allow_abbrev=False)
    refine.add_argument("ct", metavar="CT", type=Path, help="file (NIfTI, NRRD, MetaImage) or DICOM folder")
    refine.add_argument("--points", metavar="IN.mrk.json", type=Path, required=True, help="the points, or a .csv")
    refine.add_argument(
        "--output", metavar="OUT.mrk.json", type=Path, required=True, help="all points, moved ones and others"
    )
    refine.add_argument(
        "--only", metavar="LEVEL", type=level, nargs="+", help="move these, even if locked (default: all not locked)"
    )
    add_engine_options(refine)
    add_run_options(refine)
    refine.set_defaults(run=run)


def level(name: str) -> Level:
    """Level of an argument; named so that argparse says "invalid level value"."""
    return Level.parse(name)


@dataclass(frozen=True)
class Refined:
    """What a run came to: the points in their order, how far each moved (mm), and with what they were moved."""

    points: tuple[LabelledPoint, ...]
    moved_mm: dict[str, float]
    notes: tuple[str, ...]
    used: dict[str, Any]
    seconds: dict[str, float]


def run(args: argparse.Namespace) -> None:
    """Check, move, and write at the end; a failed run leaves an earlier output as it was."""
    from ..core.labelling import Labelling
    from ..outputs import OutputPaths, write_together

    check_device_name(args.device)
    outputs = OutputPaths(args.output)
    outputs.check(args.ct)
    outputs.tidy()
    with running(args) as progress:
        refined = _refined(args, progress)
        progress("writing", 0.95)
        from ..core.formats import write_points

        labelling = Labelling(refined.points)
        write_together({args.output: lambda path: write_points(path, labelling)})
    _report(args, refined)


def _refined(args: argparse.Namespace, progress: Progress) -> Refined:
    """Read, load and move; the slow imports happen here, under the eyes of the progress bar."""
    progress("starting", 0.0)
    from ..core.checks import check_ct
    from ..core.formats import read_points
    from ..core.labelling import positions_of
    from ..core.readers import read_scan
    from ..methods.refinement import load_shipped
    from ..pipeline import Stopwatch, require_inside

    watch = Stopwatch()
    progress("reading", 0.02)
    with watch.stage("read"):
        scan = check_ct(read_scan(args.ct))
        points = read_points(args.points, scan.geometry)
        movable = _movable(points, args.only, args.points)
        require_inside(scan, [point for point, may in zip(points, movable, strict=True) if may])
    progress("loading the network", 0.10)
    with watch.stage("load"):
        engine, device = chosen_engine(args)
    with memory_guard(device):
        with watch.stage("load"):
            refinement = load_shipped(device, engine)
        with watch.stage("refine"):
            places = refinement.positions(scan, positions_of(points), part(progress, 0.15, 0.95), movable).tolist()
    moved = tuple(replace(point, position_lps_mm=tuple(p)) for point, p in zip(points, places, strict=True))
    hashes = dict(refinement.weights_sha256)
    used = {"method": "refinement", "engine": engine, "device": device, "weights_sha256": hashes}
    return Refined(moved, _moves_mm(points, moved), scan.notes, used, watch.seconds)


def _movable(points: Sequence[LabelledPoint], only: Sequence[Level] | None, path: Path) -> list[bool]:
    """Whether each point may move; UsageError for a level that is not there, InputError where nothing may."""
    absent = [level.name for level in only or () if level not in {point.level for point in points}]
    if absent:
        raise UsageError(f"{path} has no point {', '.join(absent)}; name levels that it has after --only.")
    movable = [point.level in only if only else not point.confirmed for point in points]
    if not any(movable):
        raise InputError(f"{path} has no point that may move; unlock some, or name them after --only.")
    return movable


def _moves_mm(before: Sequence[LabelledPoint], after: Sequence[LabelledPoint]) -> dict[str, float]:
    """Level -> mm, for the points that moved."""
    pairs = zip(before, after, strict=True)
    moves = {one.level.name: math.dist(one.position_lps_mm, other.position_lps_mm) for one, other in pairs}
    return {name: mm for name, mm in moves.items() if mm > 0.0}


def _report(args: argparse.Namespace, refined: Refined) -> None:
    """Tell the result on stdout."""
    from ..record import point_values

    if args.json_lines:
        points = [point_values(point) for point in refined.points]
        about = {"notes": list(refined.notes), "files": {"markups": str(args.output)}, "seconds": refined.seconds}
        emit("result", points=points, moved_mm=refined.moved_mm, **refined.used, **about)
    elif not args.quiet:
        moves = [f"{name:<6}moved {mm:.1f} mm" for name, mm in refined.moved_mm.items()] or ["no point moved"]
        print("\n".join([*moves, *refined.notes, f"-> {args.output}"]), flush=True)
