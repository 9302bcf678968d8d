"""The command line, and the child process of the Slicer module: ``vertebra-labeling label CT --output OUT.mrk.json``.

Exit codes: 0 done, 1 unexpected error, 2 usage, 3 input not readable or not a CT, 4 no vertebra found, 5 model missing
or corrupt, 6 out of memory, 130 cancelled.  Nothing heavy is imported before it is needed, so that --help is instant.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__
from .console import cancellable, emit, progress_display, table
from .core.errors import CancelledError, UsageError, VertebraLabelingError
from .core.progress import Progress, part
from .engines.device import ENGINES
from .methods.registry import (
    CONFIGS,
    DEFAULT_METHOD,
    METHODS,
    check_choice,
    load_method,
    uses_refinement,
    uses_sequence,
)

if TYPE_CHECKING:
    from .outputs import OutputPaths, Writer
    from .pipeline import LabelledScan
    from .record import RunSettings


class Parser(argparse.ArgumentParser):
    """Reports a wrong command as UsageError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}; see '{self.prog} --help'.")


def parser() -> argparse.ArgumentParser:
    """The whole command line; every sub-command sets `run`."""
    root = Parser(prog="vertebra-labeling", description="Names the vertebrae in a CT.", allow_abbrev=False)
    root.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    _add_label(commands)
    return root


def _add_label(commands: Any) -> None:
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
    label.add_argument("--preview", metavar="F.png", type=Path, help="also a picture with the points on the CT")
    label.add_argument(
        "--method", choices=METHODS, default=DEFAULT_METHOD, help="; ".join(f"{n}: {t}" for n, t in METHODS.items())
    )
    label.add_argument(
        "--config", choices=CONFIGS, default="default", help="; ".join(f"{n}: {t}" for n, t in CONFIGS.items())
    )
    label.add_argument(
        "--engine",
        choices=("auto", *ENGINES),
        default="auto",
        help="what runs the network: torch, or ONNX Runtime on the CPU (default: auto, torch where it is installed)",
    )
    label.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    label.add_argument("--model", metavar="FILE", type=Path, help="weights of your own instead of the shipped ones")
    label.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        help="move every named point to where a second, local network sees the centre",
    )
    label.add_argument("--phantom", action="store_true", help="the CT is synthetic: preview and record say so")
    label.add_argument("--json-lines", action="store_true", help="progress and result as JSON lines on stdout")
    label.add_argument("--quiet", action="store_true", help="no progress and no table")
    label.add_argument("--cancel-file", metavar="FILE", type=Path, help="stop as soon as this file exists")
    label.add_argument("--debug", action="store_true", help="show the traceback of an unexpected error")
    label.set_defaults(run=run_label)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code and reports every failure in one sentence."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        args = parser().parse_args(arguments)
        args.run(args)
        return 0
    except BrokenPipeError:  # as with `| head`: the results are written, only nobody reads the table
        _close_stdout()
        return 0
    except VertebraLabelingError as error:
        return _failed(error.exit_code, str(error), arguments)
    except KeyboardInterrupt:
        return _failed(CancelledError.exit_code, "Cancelled; nothing was written.", arguments)
    except Exception as error:
        hint = "" if "--debug" in arguments else " Run again with --debug for details."
        return _failed(1, f"Unexpected error ({type(error).__name__}: {error}).{hint}", arguments)


def _failed(code: int, message: str, arguments: Sequence[str]) -> int:
    """Say what went wrong to the user or to the parent process; returns the exit code."""
    if "--debug" in arguments:
        traceback.print_exc()
    if "--json-lines" not in arguments:
        print(f"vertebra-labeling: {message}", file=sys.stderr)
        return code
    try:
        emit("error", code=code, message=message)
    except BrokenPipeError:
        _close_stdout()
    return code


def _close_stdout() -> None:
    """Send the rest to nowhere: the interpreter would fail again when it flushes stdout at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_label(args: argparse.Namespace) -> None:
    """``label``: everything is checked first and written last, so that a failed run leaves nothing behind."""
    from .engines.device import check_device_name, memory_guard
    from .outputs import OutputPaths, write_together

    check_choice(args.method, args.config)
    check_device_name(args.device)
    outputs = OutputPaths(args.output, args.csv, args.verse, args.preview)
    outputs.check(args.ct)
    with (
        memory_guard(),
        progress_display(args.json_lines, args.quiet) as display,
        cancellable(display, args.cancel_file) as progress,
    ):
        result, settings, seconds = _label(args, progress)
        progress("writing", 0.95)
        write_together(_writers(outputs, result, settings, seconds))
    _report(args, outputs, result, seconds)


def _label(args: argparse.Namespace, progress: Progress) -> tuple[LabelledScan, RunSettings, dict[str, float]]:
    """Read, load and label; the slow imports happen here, under the eyes of the progress bar."""
    progress("starting", 0.0)
    from .core.prepare import PREPARED_SPACING_MM
    from .core.readers import read_scan
    from .engines.device import choose_device, choose_engine, tune_cpu
    from .methods.refinement import load_shipped as load_refinement
    from .pipeline import Stopwatch, label_scan
    from .record import RunSettings

    watch, decode = Stopwatch(), uses_sequence(args.method, args.config)
    progress("reading", 0.02)
    with watch.stage("read"):
        scan = read_scan(args.ct)
    progress("loading the network", 0.10)
    with watch.stage("load"):
        engine = choose_engine(args.engine)
        device = choose_device(args.device, engine)
        tune_cpu()
        method = load_method(args.method, args.model, device, args.config, engine)
        refinement = load_refinement(device, engine) if uses_refinement(args.refine, args.config) else None
    refine = refinement and refinement.refined
    result = label_scan(scan, method, part(progress, 0.15, 0.95), decode, refine)
    hashes = {**method.weights_sha256, **(refinement.weights_sha256 if refinement else {})}
    settings = RunSettings(
        args.method, args.config, engine, device, hashes, args.model and args.model.name,
        decode, PREPARED_SPACING_MM, args.phantom,
    )  # fmt: skip
    return result, settings, watch.seconds | result.seconds


def _writers(
    outputs: OutputPaths, result: LabelledScan, settings: RunSettings, seconds: dict[str, float]
) -> dict[Path, Writer]:
    """What writes each output file."""
    from .core.formats import write_points
    from .preview import draw_preview
    from .record import record_path, run_record

    scan, labelling = result.scan, result.labelling
    points = partial(write_points, labelling=labelling, geometry=scan.geometry)
    writers: dict[Path, Writer] = {path: points for path in (outputs.markups, outputs.csv, outputs.verse) if path}
    if outputs.preview:
        writers[outputs.preview] = lambda path: draw_preview(path, scan, labelling, settings.phantom)
    record = json.dumps(run_record(scan, labelling, settings, seconds), indent=2, allow_nan=False) + "\n"
    writers[record_path(outputs.markups)] = lambda path: path.write_text(record, encoding="utf-8")
    return writers


def _report(args: argparse.Namespace, outputs: OutputPaths, result: LabelledScan, seconds: dict[str, float]) -> None:
    """Tell the result on stdout."""
    from .record import labelling_values

    if args.json_lines:
        files = {name: str(path) for name, path in outputs.named().items()}
        values = labelling_values(result.labelling)
        emit("result", **values, notes=list(result.scan.notes), files=files, seconds=seconds)
    elif not args.quiet:
        print("\n".join([table(result.labelling), *result.scan.notes, f"-> {outputs.markups}"]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
