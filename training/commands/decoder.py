"""``python -m training decoder``: fit the sequence decoder to real spines and judge it on those kept apart."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `decoder` command."""
    parser = subparsers.add_parser("decoder", help="fit the sequence decoder to real spines and judge it")
    parser.add_argument("--spines", type=Path, required=True, help="folder with the two files of the spine list")
    parser.add_argument("--spines-at-most", type=int, metavar="N", help="judge on N of the kept-apart spines only")
    parser.add_argument("--fit-emission", type=int, default=0, metavar="N", help="also fit the emission, on N columns")
    parser.add_argument("--evidence", type=Path, metavar="DIR", help="folder of <scan>.npz, a network's evidence")
    parser.add_argument("--find", type=Path, metavar="DATA", help="first find the evidence of unlabelled scans there")
    parser.add_argument("--diagram", type=Path, metavar="PNG", help="also draw the reliability diagram")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the fitted numbers beside those in the code, then the tables."""
    from rich.console import Console

    from ..decoder import report
    from ..spines import fit_and_apart, read_spines

    console = Console(width=110)
    fit, apart = fit_and_apart(read_spines(args.spines))
    console.print(f"{len(fit)} spines to fit on, {len(apart)} kept apart, by patient")
    console.print(report.fitted_tables(fit))
    sets = report.sample_sets(fit, apart, args.spines_at_most)
    if args.evidence:
        if args.find:
            report.find_missing_evidence(args.find, args.evidence)
        sets |= report.counted_sets(args.evidence)
    outcomes = {name: report.judged_all(each) for name, each in sets.items()}
    for table in (report.results_table, report.certainty_table, report.reliability_table):
        console.print(table(outcomes))
    if args.fit_emission:
        console.print(report.emission_table(report.fitting_sets(fit, sets, args.fit_emission)))
    if args.diagram:
        report.write_reliability(args.diagram, outcomes)
    return 0
