"""``python -m training calibrate``: make the scores of a weight file of `sites` or `multi-view` probabilities."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `calibrate` command."""
    parser = subparsers.add_parser("calibrate", help="fit the scores of a weight file to cached cases")
    parser.add_argument("weights", type=Path, help="weight file of sites or multi-view; it is rewritten")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder made by `prepare`")
    parser.add_argument("--split", default="val")
    parser.add_argument("--register", metavar="VERSION", help="also make it the weights that ship, as this version")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit, rewrite the file, print what was fitted.  UsageError for weights of a method without such scores."""
    from dataclasses import replace

    from VertebraLabelingLib.core.errors import UsageError
    from VertebraLabelingLib.engines.weights import load_model, load_weights, save_weights
    from VertebraLabelingLib.methods import multi_view, sites

    from ..calibration import fitted, judged_candidates
    from ..cases import read_cache

    weights = load_weights(args.weights)
    methods = {"sites": sites, "multi-view": multi_view}
    if weights.metadata["model"] not in methods:
        raise UsageError(
            f"The scores of '{weights.metadata['model']}' have no calibration; give weights of another method."
        )
    network = {**weights.metadata["network"], "score_calibration": [1.0, 0.0]}
    metadata = {**weights.metadata, "network": network}
    load = methods[weights.metadata["model"]].load
    method = load(replace(weights, metadata=metadata), load_model("corridor"), "cpu", "default")
    scores, truths = judged_candidates(method, read_cache(args.cache, (args.split,)))
    network["score_calibration"] = list(fitted(scores, truths))
    sha256 = save_weights(args.weights, weights.arrays, metadata)
    slope, offset = network["score_calibration"]
    print(f"{truths.sum()} true and {(~truths).sum()} false candidates: slope {slope:.3f}, offset {offset:.3f}")
    print(f"{args.weights}: SHA-256 {sha256}")
    if args.register:
        from ..onnx_export import register

        register(args.weights, args.register)
    return 0
