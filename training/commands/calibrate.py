"""``python -m training calibrate``: what the numbers of a method are worth, and what each is worth to the ensemble."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from VertebraLabelingLib.engines.weights import Weights

    from ..cases import Case


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `calibrate` command."""
    parser = subparsers.add_parser(
        "calibrate",
        help="fit scores and certainty of a method, or the trust of the ensemble, to cached cases",
        description="Of a method: two numbers that make its scores probabilities, and the temperature with which its "
        "names are as doubtful as they are wrong, written into its weight file. Of the ensemble: what it trusts each "
        "method with, written into its source. All on whole cases and crops of them, and on phantoms that no training "
        "has seen. First each method, then the ensemble; what was seen is kept in --work and not looked at again.",
    )
    parser.add_argument("weights", type=Path, nargs="?", help="weight file; it is rewritten (default: those that ship)")
    parser.add_argument("--method", help="needed without a weight file; 'ensemble' for the trust in all others")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder made by `prepare`")
    parser.add_argument("--split", nargs="+", default=["train"], help="of the cache (default: train)")
    parser.add_argument("--pieces", type=int, default=2, help="crops of each case (default: 2)")
    parser.add_argument("--phantoms", type=int, default=12, help="fresh phantoms besides, 0 for none (default: 12)")
    parser.add_argument("--work", type=Path, default=Path("runs/calibrate"), help="folder for evidence and phantoms")
    parser.add_argument("--register", metavar="VERSION", help="also make it the weights that ship, as this version")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit, print what was fitted, and write it.  UsageError for an unknown method, and where there is no case."""
    from VertebraLabelingLib.core.errors import UsageError
    from VertebraLabelingLib.engines.weights import load_model, load_weights
    from VertebraLabelingLib.methods.registry import ENSEMBLE, MEMBERS

    cases = _cases(args)
    if args.method == ENSEMBLE:
        return _trust(args, cases)
    if args.weights is None and args.method not in MEMBERS:
        raise UsageError(f"Give a weight file, or --method with one of: {', '.join((*MEMBERS, ENSEMBLE))}.")
    weights = load_model(args.method) if args.weights is None else load_weights(args.weights)
    if weights.metadata["model"] not in MEMBERS:
        raise UsageError(f"'{weights.metadata['model']}' is no method; there is nothing to calibrate.")
    metadata = _calibrated(args, weights, cases)
    _write(args, weights, metadata)
    return 0


def _cases(args: argparse.Namespace) -> list[Case]:
    """The cases to learn from, fresh phantoms last; UsageError when there is none."""
    from VertebraLabelingLib.core.errors import UsageError

    from ..cases import cache_phantoms, read_cache
    from ..seeds import MEASURE_SEED

    phantoms = args.work / "phantoms"
    phantoms.mkdir(parents=True, exist_ok=True)
    fresh = cache_phantoms(phantoms, args.phantoms, first_seed=MEASURE_SEED)
    cases = [*read_cache(args.cache, tuple(args.split)), *fresh]
    if not cases:
        raise UsageError(f"No case of {' '.join(args.split)} is in '{args.cache}'; run `prepare` first.")
    return cases


def _calibrated(args: argparse.Namespace, weights: Weights, cases: list[Case]) -> dict[str, Any]:
    """The metadata of the weight file with what was fitted; the method sees the cases without any calibration."""
    from dataclasses import replace
    from hashlib import sha256

    from VertebraLabelingLib.methods.registry import method_of

    from ..calibration import fitted
    from ..evidence import gathered, sample_of
    from ..method_calibration import fitted_temperature, judged_candidates
    from ..tasks import make_task

    model = weights.metadata["model"]
    settings = make_task(model, dict(weights.metadata["network"]), {}).metadata()
    plain = {key: value for key, value in _PLAIN.items() if key in settings}
    # the same network in a rewritten file sees the same
    network_sha256 = sha256(b"".join(array.tobytes() for array in weights.arrays.values())).hexdigest()
    raw = replace(weights, metadata={**weights.metadata, "network": {**settings, **plain}}, sha256=network_sha256)
    pieces = gathered(args.work / f"{model}.raw.npz", method_of(raw), cases, args.pieces)
    samples = [sample_of(piece) for piece in pieces]
    scores, truths = judged_candidates(samples)
    found: dict[str, Any] = {"score_calibration": fitted(scores, truths)}
    print(f"{model}: {truths.sum()} true and {(~truths).sum()} false candidates in {len(pieces)} pieces")
    print("scores: slope {:.3f}, offset {:.3f}".format(*found["score_calibration"]))
    if "level_temperature" in settings:
        found["level_temperature"], losses = fitted_temperature(samples, found["score_calibration"])
        told = ", ".join(f"{temperature:g}: {loss:.3f}" for temperature, loss in losses.items())
        print(f"names: temperature {found['level_temperature']:g}; loss in nats a vertebra by temperature: {told}")
    network = {**settings, **found, "score_calibration": list(found["score_calibration"])}
    return {**weights.metadata, "network": network}


_PLAIN = {"score_calibration": [1.0, 0.0], "level_temperature": 1.0}
"""Settings of a method that nothing was fitted to."""


def _write(args: argparse.Namespace, weights: Weights, metadata: dict[str, Any]) -> None:
    """Rewrite the file; those that ship only as a new version."""
    import tempfile

    from VertebraLabelingLib.engines.weights import save_weights

    if args.weights is None and not args.register:
        print("nothing is written without a weight file or --register")
        return
    with tempfile.TemporaryDirectory() as folder:
        file = args.weights or Path(folder) / "weights.npz"
        print(f"{file.name}: SHA-256 {save_weights(file, weights.arrays, metadata)}")
        if args.register:
            from ..onnx_export import register

            register(file, args.register)


def _trust(args: argparse.Namespace, cases: list[Case]) -> int:
    """Measure and write the trust of the ensemble, and of that of the papers' networks alone."""
    from VertebraLabelingLib.methods.registry import DEFAULT_METHOD, ENSEMBLE, PAPER_METHODS, load_method, used_methods

    from ..evidence import gathered
    from ..trust import measured, most_often_right
    from ..trust_source import SOURCE, source_of, table_of
    from .evaluate import write_text

    found = {}
    for name in used_methods(ENSEMBLE):
        print(f"gathering the evidence of {name}", flush=True)
        found[name] = gathered(args.work / f"{name}.npz", load_method(name), cases, args.pieces)
    papers = {name: pieces for name, pieces in found.items() if name in PAPER_METHODS}
    trusts = [measured(found, DEFAULT_METHOD), measured(papers, most_often_right(papers))]
    basis = f"{len(cases)} cases ({' '.join(args.split)}, and {args.phantoms} phantoms that no network has seen)"
    print(*map(table_of, trusts), sep="\n\n")
    write_text(SOURCE, source_of(trusts, f"{basis} and {args.pieces} crops of each"))
    print(f"written: {SOURCE}")
    return 0
