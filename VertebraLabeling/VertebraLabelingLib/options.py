"""What `label` and `batch` share: the options that choose how to label, and the labeller that they come to.

Nothing heavy is imported before a labeller is loaded, so that --help is instant.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .core.progress import Progress, silent
from .engines.device import ENGINES, check_device_name, choose_engine, memory_guard
from .methods.registry import (
    CONFIGS,
    DEFAULT_METHOD,
    ENSEMBLE,
    METHODS,
    check_choice,
    depends_on_engine,
    load_method,
    uses_refinement,
    uses_sequence,
    weights_sha256,
)

if TYPE_CHECKING:
    from .core.labelling import LabelledPoint
    from .core.scan import Scan
    from .methods.base import Method
    from .methods.refinement import Refinement
    from .pipeline import LabelledScan
    from .record import Recipe, RunSettings


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """--method, --config, --engine, --device, --model and --refine."""
    parser.add_argument(
        "--method", choices=METHODS, default=DEFAULT_METHOD, help="; ".join(f"{n}: {t}" for n, t in METHODS.items())
    )
    parser.add_argument(
        "--config", choices=CONFIGS, default="default", help="; ".join(f"{n}: {t}" for n, t in CONFIGS.items())
    )
    add_engine_options(parser)
    parser.add_argument("--model", metavar="FILE", type=Path, help="weights of your own instead of the shipped ones")
    parser.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        help="move every named point to where a second, local network sees the centre",
    )


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """--engine and --device: what runs a network, and where."""
    parser.add_argument(
        "--engine",
        choices=("auto", *ENGINES),
        default="auto",
        help="what runs the network: torch, or ONNX Runtime on the CPU (default: auto, torch where it is installed)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """--json-lines, --quiet, --cancel-file and --debug: how a run talks, and how it is stopped."""
    parser.add_argument("--json-lines", action="store_true", help="progress and result as JSON lines on stdout")
    parser.add_argument("--quiet", action="store_true", help="no progress and no table")
    parser.add_argument("--cancel-file", metavar="FILE", type=Path, help="stop as soon as this file exists")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an unexpected error")


def check_method_options(args: argparse.Namespace) -> None:
    """UsageError for options that do not go together, before any work; `Labeller.load` trusts them."""
    check_choice(args.method, args.config, args.model)
    check_device_name(args.device)


def chosen_engine(args: argparse.Namespace) -> tuple[str, str]:
    """(engine, device) that ``--engine`` and ``--device`` come to here, with the CPU made ready for them.

    Raises ModelError when the engine is not installed, UsageError when the device is not there.
    """
    from .engines.device import choose_device, tune_cpu

    engine = choose_engine(args.engine)
    device = choose_device(args.device, engine)
    tune_cpu()
    return engine, device


@dataclass(frozen=True)
class Labeller:
    """The networks in memory and how to use them, for one scan or for many.

    args: the options of `add_method_options`.  engine, device: the ones in use, never "auto".
    refinement: None for none.
    """

    args: argparse.Namespace
    method: Method
    refinement: Refinement | None
    engine: str
    device: str

    @staticmethod
    def recipe(args: argparse.Namespace) -> Recipe:
        """What labellings with checked options depend on, told without loading a network; ModelError."""
        refinement = ("refinement",) if uses_refinement(args.refine, args.config) else ()
        # finding the engine imports it, which costs seconds
        engine = choose_engine(args.engine) if depends_on_engine(args.method) else "torch"
        return _recipe(args, weights_sha256(args.method, args.model, refinement, engine))

    @classmethod
    def load(cls, args: argparse.Namespace, progress: Progress = silent) -> Labeller:
        """Load the networks that checked options ask for; ModelError and UsageError as `load_method`."""
        progress("loading the network", 0.0)
        engine, device = chosen_engine(args)
        with memory_guard(device):
            method = load_method(args.method, args.model, device, args.config, engine)
            return cls(args, method, _load_refinement(args, device, engine), engine, device)

    def label(self, scan: Scan, progress: Progress = silent, anchors: Sequence[LabelledPoint] = ()) -> LabelledScan:
        """Name the vertebrae of a scan; `anchors` are points that the user has confirmed.  Errors as `label_scan`."""
        from .pipeline import label_scan

        refine = self.refinement and self.refinement.refined
        in_sequence = uses_sequence(self.args.method, self.args.config)
        with memory_guard(self.device):
            return label_scan(scan, self.method, progress, in_sequence, refine, anchors)

    def settings(self, phantom: bool = False) -> RunSettings:
        """What the run record says of this labeller."""
        from .record import RunSettings

        hashes = {**self.method.weights_sha256, **(self.refinement.weights_sha256 if self.refinement else {})}
        own_file = self.args.model and self.args.model.name
        return RunSettings(
            **vars(_recipe(self.args, hashes)),
            engine=self.engine,
            device=self.device,
            model_file=own_file,
            phantom=phantom,
        )


def _recipe(args: argparse.Namespace, hashes: Mapping[str, str]) -> Recipe:
    from .core.prepare import PREPARED_SPACING_MM
    from .record import RESULTS_VERSION, Recipe

    in_sequence = uses_sequence(args.method, args.config)
    numbers = hashlib.sha256(_fitted_numbers(args.method, in_sequence).encode()).hexdigest()
    return Recipe(args.method, args.config, hashes, in_sequence, PREPARED_SPACING_MM, numbers, RESULTS_VERSION)


def _fitted_numbers(method: str, in_sequence: bool) -> str:
    """As text, the same on every machine."""
    from .core.sequence import SequenceSettings
    from .core.spine_priors import PRIORS
    from .methods.ensemble.measured import TRUSTS

    decoder = (SequenceSettings(), PRIORS) if in_sequence else ()
    return repr((decoder, TRUSTS if method == ENSEMBLE else ()))


def _load_refinement(args: argparse.Namespace, device: str, engine: str) -> Refinement | None:
    """The local stage where the options ask for it."""
    if not uses_refinement(args.refine, args.config):
        return None
    from .methods.refinement import load_shipped

    return load_shipped(device, engine)
