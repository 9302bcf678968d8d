"""The commands of the training package."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

COMMANDS = (
    "prepare",
    "phantom",
    "sample",
    "train",
    "export",
    "calibrate",
    "validate",
    "evaluate",
    "leave-out",
    "annotate",
    "ablate",
    "compare",
    "crops",
    "decoder",
    "bench",
    "bench-batch",
    "drr",
)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    from VertebraLabelingLib.core.errors import VertebraLabelingError

    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"training.commands.{name.replace('-', '_')}").add_parser(subparsers)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except VertebraLabelingError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
