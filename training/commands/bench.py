"""``python -m training bench``: a whole body from file to points, against a plain U-Net on the same CPU."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from VertebraLabelingLib.methods.registry import CONFIGS, DEFAULT_METHOD, METHODS

if TYPE_CHECKING:
    from rich.table import Table

    from ..bench import PipelineRun, UnetRun


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `bench` command."""
    parser = subparsers.add_parser("bench", help="time and memory for a whole body on the CPU, against a plain U-Net")
    parser.add_argument("--ct", type=Path, help="this CT for the command line instead of the phantom of 512x512x600")
    parser.add_argument("--method", choices=METHODS, default=DEFAULT_METHOD)
    parser.add_argument("--config", choices=CONFIGS, default="default")
    parser.add_argument("--forwards", type=int, default=2, help="measured passes of the U-Net (default: 2)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one table of what was measured and what was extrapolated."""
    from rich.console import Console

    from ..bench import run_pipeline, run_unet

    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        if not args.ct:
            console.print("Making a phantom of 512x512x600 voxels ...")
        ct = args.ct or _phantom_file(Path(folder))
        console.print(f"Running the command line ({args.method}, {args.config}) on the CPU ...")
        pipeline = run_pipeline(ct, Path(folder), args.method, args.config)
    console.print(f"Running {args.forwards} passes of the U-Net, after one to warm up ...")
    console.print(report(pipeline, run_unet(args.forwards)))
    return 0


def report(pipeline: PipelineRun, unet: UnetRun) -> Table:
    """The table; the last column says where each number comes from."""
    import torch
    from rich.table import Table

    table = Table("what", "value", "how", title="A whole body on the CPU")
    table.add_row("cores, torch threads", f"{os.cpu_count()}, {torch.get_num_threads()}", "")
    table.add_row("result", pipeline.summary, "")
    for stage, seconds in pipeline.stages.items():
        table.add_row(f"  {stage}", f"{seconds:.2f} s", "measured by the run itself")
    total = pipeline.child.seconds
    rest = total - sum(pipeline.stages.values())
    table.add_row("  start, imports, writing", f"{rest:.2f} s", "total less the stages")
    table.add_row("total", f"{total:.2f} s", "measured: wall time of the process")
    table.add_row("peak memory", f"{pipeline.child.peak_bytes / 1e9:.2f} GB", "measured: resident set of the process")
    table.add_section()
    passes = ", ".join(f"{s:.2f}" for s in unet.tile_seconds)
    table.add_row("U-Net, one tile", f"{passes} s", f"measured; {unet.parameters / 1e6:.1f} M parameters, 128^3, fp32")
    table.add_row("U-Net, tiles", f"{unet.tiles}", "counted: 512x512x600 at 1.5 mm, half overlap")
    table.add_row("U-Net, volume", f"{unet.extrapolated_seconds:.0f} s", "EXTRAPOLATED: fastest tile x tiles")
    table.add_row("ratio", f"{unet.extrapolated_seconds / total:.0f} x", "extrapolated U-Net / measured total")
    return table


def _phantom_file(folder: Path) -> Path:
    """The phantom CT, made in a process of its own so that this one stays small."""
    from ..bench import write_body_phantom

    path = folder / "body.nii.gz"
    process = multiprocessing.get_context("spawn").Process(target=write_body_phantom, args=(path,))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"making the phantom failed with exit code {process.exitcode}")
    return path
