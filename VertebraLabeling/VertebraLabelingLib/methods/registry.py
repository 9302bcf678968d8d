"""The methods by name; a method's package is imported only when it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import UsageError

if TYPE_CHECKING:
    from .base import Method

METHODS: dict[str, str] = {
    "sites": "Finds every vertebral body first, then names the found column.",
    "integral-regression": "The network of Qin et al.: all 26 levels at once by integral regression.",
}
DEFAULT_METHOD = "sites"
REFINED_BY_DEFAULT = False
"""Whether the local refinement follows unless the user says otherwise; needs weights that lower the error on val."""
PAPER_METHODS = ("integral-regression",)
"""Methods that have the configuration "paper"."""
CONFIGS: dict[str, str] = {
    "default": "what works best",
    "paper": "as the paper describes it, without the improvements of this project",
}


def load_method(
    name: str, model_file: Path | None = None, device: str = "cpu", config: str = "default", engine: str = "torch"
) -> Method:
    """The method ready to run on a device, as `choose_device` and `choose_engine` return them.

    model_file: weights of the user's own instead of the shipped, verified ones.
    Raises UsageError as `check_choice` does, ModelError when weights are missing, altered or foreign, and when the
    engine cannot run them.
    """
    check_choice(name, config)
    from ..engines.weights import load_model, load_weights

    weights = load_weights(model_file) if model_file is not None else load_model(name)
    weights.require_model(name)
    package = import_module(f".{name.replace('-', '_')}", __package__)
    method: Method = package.load(weights, load_model("corridor"), device, config, engine)
    return method


def weights_sha256(name: str, model_file: Path | None = None, more: Sequence[str] = ()) -> dict[str, str]:
    """Hash of each weight file that a method needs, by its role, without loading a network.

    model_file: weights of the user's own for the method itself.  more: further models.  ModelError as `load_method`.
    """
    from ..engines.weights import find_model, load_weights

    shipped = {role: find_model(role).weights.sha256 for role in (name, "corridor", *more)}
    return shipped if model_file is None else {**shipped, name: load_weights(model_file).sha256}


def check_choice(name: str, config: str) -> None:
    """UsageError for an unknown method, an unknown configuration, and one that the method does not have."""
    if name not in METHODS:
        raise UsageError(f"Method '{name}' is unknown; use one of: {', '.join(METHODS)}.")
    if config not in CONFIGS:
        raise UsageError(f"Configuration '{config}' is unknown; use one of: {', '.join(CONFIGS)}.")
    if config == "paper" and name not in PAPER_METHODS:
        raise UsageError(f"Method '{name}' is not from a paper; use --config default or another method.")


def uses_sequence(name: str, config: str) -> bool:
    """Whether the sequence decoder follows: not after the paper's own system, which ends with presence > 0.5."""
    return not (name == "integral-regression" and config == "paper")


def uses_refinement(chosen: bool | None, config: str) -> bool:
    """Whether the local refinement follows: as the user chose, else by default but never in a paper's own system."""
    if chosen is not None:
        return chosen
    return REFINED_BY_DEFAULT and config != "paper"
