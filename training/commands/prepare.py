"""``python -m training prepare``: scans, annotations and phantoms as a compact cache."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `prepare` command."""
    parser = subparsers.add_parser("prepare", help="cache the annotated scans at 2, 4 and 8 mm")
    parser.add_argument("--data", type=Path, required=True, help="folder with scans.csv, annotations/ and the scans")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--phantoms", type=int, default=0, help="how many random phantoms to add")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fill the cache; prints a line per case."""
    from ..cases import cache_phantoms, cache_scans

    for case in (*cache_scans(args.data, args.cache), *cache_phantoms(args.cache, args.phantoms)):
        print(f"{case.split:8} {case.id:24} {len(case.levels):2} vertebrae, weight {case.weight:g}")
    return 0
