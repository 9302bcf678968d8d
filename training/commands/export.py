"""``python -m training export``: a checkpoint as a small weight file, optionally as the one that ships."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `export` command."""
    parser = subparsers.add_parser("export", help="write a checkpoint as fp16 weights")
    parser.add_argument("config", type=Path, help="the configuration it was trained with")
    parser.add_argument("checkpoint", type=Path, nargs="+", help="several are averaged, weight by weight")
    parser.add_argument("--output", type=Path, required=True, help="the weight file, *.npz")
    parser.add_argument("--register", metavar="VERSION", help="also make it the weights that ship, as this version")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file; prints its hash."""
    from ..run_weights import weights_of_run
    from ..settings import read_configuration

    weights = weights_of_run(read_configuration(args.config), args.checkpoint, args.output)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.2f} MB, SHA-256 {weights.sha256}")
    if args.register:
        from ..onnx_export import register

        register(args.output, args.register)
    return 0
