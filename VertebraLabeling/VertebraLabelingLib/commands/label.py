"""``vertebra-labeling label``: name the vertebrae of one CT."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import emit, running, table
from ..core.progress import Progress, part
from ..options import Labeller, add_method_options, add_run_options, check_method_options

if TYPE_CHECKING:
    from ..core.formats.dicom_sr import DicomSource
    from ..outputs import OutputPaths
    from ..pipeline import LabelledScan
    from ..record import RunSettings


def add_parser(commands: Any) -> None:
    """Register the sub-command."""
    label = commands.add_parser("label", help="name the vertebrae of one CT", allow_abbrev=False)
    label.add_argument("ct", metavar="CT", type=Path, help="file (NIfTI, NRRD, MetaImage) or DICOM folder")
    label.add_argument(
        "--output",
        metavar="OUT.mrk.json",
        type=Path,
        required=True,
        help="Slicer markups; the run record OUT.run.json lies beside",
    )
    label.add_argument("--csv", metavar="F.csv", type=Path, help="also as a table")
    label.add_argument("--verse", metavar="F.json", type=Path, help="also as VerSe centroid file (*_ctd.json)")
    label.add_argument("--sr", metavar="F.dcm", type=Path, help="also as DICOM structured report; for DICOM input only")
    label.add_argument("--preview", metavar="F.png", type=Path, help="also a picture with the points on the CT")
    label.add_argument(
        "--anchors",
        metavar="FILE",
        type=Path,
        help="points that are right and that all others are named by: the locked ones of a .mrk.json, all of a .csv",
    )
    add_method_options(label)
    label.add_argument("--phantom", action="store_true", help="the CT is synthetic: preview and record say so")
    add_run_options(label)
    label.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Everything is checked first and written last, so that a failed run leaves nothing behind."""
    from ..outputs import OutputPaths, write_together, writers
    from ..record import run_record

    check_method_options(args)
    outputs = OutputPaths(args.output, args.csv, args.verse, args.preview, args.sr)
    outputs.check(args.ct)
    outputs.tidy()
    with running(args) as progress:
        images = _images(args)
        result, settings, seconds = _label(args, progress)
        progress("writing", 0.95)
        record = run_record(result.scan, result.labelling, settings, seconds)
        write_together(writers(outputs, result, record, args.phantom, images))
    _report(args, outputs, result, settings, seconds)


def _images(args: argparse.Namespace) -> DicomSource | None:
    """What a report refers to, looked up first, because it may be missing or need a package that is not installed."""
    if args.sr is None or not args.ct.exists():  # reading the scan says that it is missing
        return None
    from ..core.formats.dicom_sr import read_source

    return read_source(args.ct)


def _label(args: argparse.Namespace, progress: Progress) -> tuple[LabelledScan, RunSettings, dict[str, float]]:
    """Read, load and label; the slow imports happen here, under the eyes of the progress bar."""
    progress("starting", 0.0)
    from ..core.checks import check_ct
    from ..core.formats import read_anchors
    from ..core.readers import read_scan
    from ..engines.device import begin_import
    from ..pipeline import Stopwatch

    watch = Stopwatch()
    begin_import(args.engine)
    progress("reading", 0.02)
    with watch.stage("read"):
        scan = check_ct(read_scan(args.ct))  # here already: loading the networks takes seconds
        anchors = read_anchors(args.anchors, scan.geometry) if args.anchors else ()
    with watch.stage("load"):
        labeller = Labeller.load(args, part(progress, 0.10, 0.15))
    result = labeller.label(scan, part(progress, 0.15, 0.95), anchors)
    return result, labeller.settings(args.phantom), watch.seconds | result.seconds


def _report(
    args: argparse.Namespace,
    outputs: OutputPaths,
    result: LabelledScan,
    settings: RunSettings,
    seconds: dict[str, float],
) -> None:
    """Tell the result on stdout."""
    from ..record import labelling_values, settings_values

    if args.json_lines:
        files = {name: str(path) for name, path in outputs.named().items()}
        used = {key: settings_values(settings)[key] for key in ("method", "engine", "device", "weights_sha256")}
        values = labelling_values(result.labelling) | used
        emit("result", **values, notes=list(result.scan.notes), files=files, seconds=seconds)
    elif not args.quiet:
        print("\n".join([table(result.labelling), *result.scan.notes, f"-> {outputs.markups}"]), flush=True)
