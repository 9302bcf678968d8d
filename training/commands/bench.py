"""``python -m training bench``: a whole body from file to points against a plain U-Net, a training step, phantoms."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from VertebraLabelingLib.methods.registry import CONFIGS, DEFAULT_METHOD, METHODS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..bench import Measured, PipelineRun
    from ..phantom_times import PhantomTimes
    from ..step_times import StepTimes

PARTS = ("body", "training", "phantoms")
TRAINED_CONFIG = Path(__file__).parents[1] / "configs" / "sites.toml"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `bench` command."""
    parser = subparsers.add_parser("bench", help="time: a whole body against a plain U-Net, training, phantoms")
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=PARTS, help="what to measure (default: all)")
    parser.add_argument("--ct", type=Path, help="this CT for the command line instead of the phantom of 512x512x600")
    parser.add_argument("--method", choices=METHODS, default=DEFAULT_METHOD)
    parser.add_argument("--config", choices=CONFIGS, default="default")
    parser.add_argument("--forwards", type=int, default=2, help="measured passes of the U-Net (default: 2)")
    parser.add_argument("--train-config", type=Path, default=TRAINED_CONFIG, help="configuration whose step is timed")
    parser.add_argument("--train-steps", type=int, default=10, help="measured training steps; 0 for none (default: 10)")
    parser.add_argument("--phantoms", type=int, default=8, help="phantoms painted together; 0 for none (default: 8)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what was measured and what was extrapolated: a table of a whole body, of a training step, of phantoms."""
    from rich.console import Console

    from ..phantom_times import measure_phantoms
    from ..step_times import measure_training

    console = Console()
    if "body" in args.parts:
        console.print(report(measure(args, console)))
    if "training" in args.parts and args.train_steps > 0:
        console.print(f"Training {args.train_steps} steps of {args.train_config.name} on windows of a phantom ...")
        console.print(training_report(measure_training(args.train_config, args.train_steps)))
    if "phantoms" in args.parts and args.phantoms > 0:
        console.print(f"Making {args.phantoms} phantoms one by one and together ...")
        console.print(phantom_report(measure_phantoms(args.phantoms)))
    return 0


def measure(args: argparse.Namespace, console: Console) -> Measured:
    """Everything of the first table; what comes next is said on the console."""
    from VertebraLabelingLib.engines.device import ENGINES

    from ..bench import Measured, cut_lengths, run_pipeline, run_unet
    from ..engine_times import SETTINGS, installed_engines, seconds_with, window_seconds

    engines = installed_engines()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not args.ct:
            console.print("Making a phantom of 512x512x600 voxels ...")
        ct = args.ct or phantom_file(folder)
        console.print(f"Running the command line ({args.method}, {args.config}) on the CPU ...")
        whole = run_pipeline(ct, folder, args.method, args.config)
        console.print("Running it on parts of the volume, and with each engine ...")
        parts = cut_lengths(ct, folder) if ct.is_file() else {}
        lengths = {mm: run_pipeline(file, folder, args.method, args.config) for mm, file in parts.items()}
        by_engine = {
            engine: run_pipeline(ct, folder, args.method, args.config, engine)
            for engine in engines if engine in ENGINES
        }  # fmt: skip
    console.print(f"Running {args.forwards} passes of the U-Net, after one to warm up ...")
    windows = {engine: window_seconds(engine) for engine in engines}
    windows |= {name: seconds_with(environment) for name, environment in SETTINGS.items()}
    return Measured(whole, run_unet(args.forwards), lengths, by_engine, windows)


def report(measured: Measured) -> Table:
    """The table; the last column says where each number comes from."""
    import torch
    from rich.table import Table

    pipeline, unet, total = measured.whole, measured.unet, measured.whole.child.seconds
    table = Table("what", "value", "how", title="A whole body on the CPU")
    table.add_row("cores, torch threads", f"{os.cpu_count()}, {torch.get_num_threads()}", "")
    table.add_row("result", pipeline.summary, "")
    for stage, seconds in pipeline.stages.items():
        table.add_row(f"  {stage}", f"{seconds:.2f} s", "measured by the run itself")
    rest = total - sum(pipeline.stages.values())
    table.add_row("  start, imports, writing", f"{rest:.2f} s", "total less the stages")
    table.add_row("total", f"{total:.2f} s", "measured: wall time of the process")
    table.add_row("CPU time", f"{pipeline.child.cpu_seconds:.2f} s", "measured: all threads of the process")
    table.add_row("peak memory", f"{pipeline.child.peak_bytes / 1e9:.2f} GB", "measured: resident set of the process")
    table.add_section()
    passes = ", ".join(f"{s:.2f}" for s in unet.tile_seconds)
    table.add_row("U-Net, one tile", f"{passes} s", f"measured; {unet.parameters / 1e6:.1f} M parameters, 128^3, fp32")
    table.add_row("U-Net, tiles", f"{unet.tiles}", "counted: 512x512x600 at 1.5 mm, half overlap")
    table.add_row("U-Net, volume", f"{unet.extrapolated_seconds:.0f} s", "EXTRAPOLATED: fastest tile x tiles")
    table.add_row("ratio", f"{unet.extrapolated_seconds / total:.0f} x", "extrapolated U-Net / measured total")
    table.add_section()
    for length_mm, run in measured.by_length.items():
        table.add_row(f"{length_mm:.0f} mm of it, total", _cost(run), "measured: growth with the length of the scan")
    table.add_section()
    for engine, run in measured.by_engine.items():
        table.add_row(f"total with {engine}", _cost(run), "measured: the whole body again")
    for engine, seconds in measured.window_seconds.items():
        table.add_row(f"a window with {engine}", f"{seconds:.2f} s", "measured: sites, both sides, fastest pass")
    return table


def _cost(run: PipelineRun) -> str:
    return f"{run.child.seconds:.2f} s, {run.child.peak_bytes / 1e9:.2f} GB"


def training_report(times: StepTimes) -> Table:
    """The table of a training step."""
    from rich.table import Table

    title = f"A training step of {times.task} on the {times.device}, batch {times.batch}, one process"
    table = Table("what", "value", "how", title=title)
    rate = f"{1 / times.step_seconds:.2f} steps/s"
    table.add_row("speed", rate, f"measured over {times.steps} steps, {times.step_seconds:.2f} s each")
    for name, seconds in times.parts.items():
        table.add_row(f"  {name}", f"{seconds:.3f} s", f"{seconds / times.step_seconds:.0%} of the step")
    table.add_section()
    drawing = f"{times.drawing_seconds:.3f} s"
    table.add_row("drawing its windows", drawing, "measured alone; a worker does it beside the step, batches ahead")
    return table


def phantom_report(measured: Sequence[PhantomTimes]) -> Table:
    """The table of the phantoms: what one costs, by where and how many at a time they are painted."""
    from rich.table import Table

    table = Table("painted", "seconds a phantom", "operations a phantom", title="Fresh phantoms, painted at 2 mm")
    for times in measured:
        how = f"{times.device}, {times.batch} together" if times.device else "NumPy"
        table.add_row(how, f"{times.seconds:.2f}", f"{times.operations:.0f}" if times.device else "")
    return table


def phantom_file(folder: Path) -> Path:
    """The phantom CT, made in a process of its own so that this one stays small."""
    from ..bench import write_body_phantom

    path = folder / "body.nii.gz"
    process = multiprocessing.get_context("spawn").Process(target=write_body_phantom, args=(path,))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"making the phantom failed with exit code {process.exitcode}")
    return path
