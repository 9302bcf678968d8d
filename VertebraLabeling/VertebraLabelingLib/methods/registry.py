"""The methods by name; a method's package is imported only when it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ModelError, UsageError

if TYPE_CHECKING:
    from ..engines.weights import Weights
    from .base import Method
    from .corridor import Corridor

METHODS: dict[str, str] = {
    "sites": "Finds every vertebral body first, then names the found column; the first choice for any CT.",
    "integral-regression": "The network of Qin et al., all 26 levels at once by integral regression; to compare with.",
    "multi-view": "Wu et al.: finds and names in projections from many sides; a second opinion by other means, "
    "needs PyTorch.",
    "global-to-local": "Noothout et al.: all patches vote where each level is, a local network refines that; "
    "a second opinion by other means.",
    "ensemble": "All of these whose weights are installed, fused: several networks behind every name, in the time of "
    "all of them; on our scans as right as `sites`, not more.",
}
"""Each method with one sentence on what it does and when to take it."""
DEFAULT_METHOD = "sites"
ENSEMBLE = "ensemble"
MEMBERS = tuple(name for name in METHODS if name != ENSEMBLE)
"""What the ensemble is made of."""
REFINED_BY_DEFAULT = False
"""Whether the local refinement follows unless the user says otherwise; needs weights that lower the error on val."""
PAPER_METHODS = ("integral-regression", "multi-view", "global-to-local")
"""Methods that have the configuration "paper"."""
CONFIGS: dict[str, str] = {
    "default": "what works best",
    "paper": "our network with the paper's own fusion and naming, without the sequence decoder of this project",
}
_FURTHER_MODELS = {"global-to-local": ("refinement",)}
"""Weights that a method needs besides its own and those of the corridor."""
_TORCH_ONLY = ("multi-view",)
"""Methods whose projections are made with torch, whatever runs the network."""


def load_method(
    name: str, model_file: Path | None = None, device: str = "cpu", config: str = "default", engine: str = "torch"
) -> Method:
    """The method ready to run on a device, as `choose_device` and `choose_engine` return them.

    model_file: weights of the user's own instead of the shipped, verified ones.
    Raises UsageError as `check_choice` does, ModelError when weights are missing, altered or foreign, and when the
    engine cannot run them.
    """
    check_choice(name, config, model_file)
    members = used_methods(name, engine, model_file)
    corridor = _shipped_corridor(device, engine)
    loaded = [method_of(_weights(member, model_file), device, config, engine, corridor) for member in members]
    if name != ENSEMBLE:
        return loaded[0]
    from .ensemble import Ensemble

    return Ensemble(loaded)


def method_of(
    weights: Weights,
    device: str = "cpu",
    config: str = "default",
    engine: str = "torch",
    corridor: Corridor | None = None,
) -> Method:
    """The method that weights in memory belong to, ready to run; ModelError when they do not fit it.

    corridor: None for the one that ships.
    """
    package = import_module(f".{weights.metadata['model'].replace('-', '_')}", __package__)
    method: Method = package.load(weights, corridor or _shipped_corridor(device, engine), device, config, engine)
    return method


def _weights(name: str, model_file: Path | None) -> Weights:
    from ..engines.weights import load_model, load_weights

    weights = load_weights(model_file) if model_file is not None else load_model(name)
    weights.require_model(name)
    return weights


def _shipped_corridor(device: str, engine: str) -> Corridor:
    from ..engines.weights import load_model
    from .corridor import load_corridor

    return load_corridor(load_model("corridor"), device, engine)


def weights_sha256(
    name: str, model_file: Path | None = None, more: Sequence[str] = (), engine: str = "torch"
) -> dict[str, str]:
    """Hash of each weight file that a method needs, by its role, without loading a network.

    model_file: weights of the user's own for the method itself.  more: further models.  engine: decides which methods
    the ensemble has, see `depends_on_engine`.  ModelError as `load_method`.
    """
    from ..engines.weights import find_model, load_weights

    own = {} if model_file is None else {name: load_weights(model_file).sha256}
    roles = dict.fromkeys([role for member in used_methods(name, engine, model_file) for role in models_of(member)])
    return {role: own.get(role) or find_model(role).weights.sha256 for role in (*roles, *more)}


def check_choice(name: str, config: str, model_file: Path | None = None) -> None:
    """UsageError for an unknown method or configuration, and for what the method does not have."""
    if name not in METHODS:
        raise UsageError(f"Method '{name}' is unknown; use one of: {', '.join(METHODS)}.")
    if config not in CONFIGS:
        raise UsageError(f"Configuration '{config}' is unknown; use one of: {', '.join(CONFIGS)}.")
    if config == "paper" and name not in PAPER_METHODS:
        raise UsageError(f"Method '{name}' is not from a paper; use --config default or another method.")
    if name == ENSEMBLE and model_file is not None:
        raise UsageError("The ensemble has several networks; use --model with the one method that the weights are for.")


def models_of(name: str) -> tuple[str, ...]:
    """Ids of the weights that a method, not the ensemble, needs; its own first."""
    return (name, "corridor", *_FURTHER_MODELS.get(name, ()))


def used_methods(name: str, engine: str = "torch", model_file: Path | None = None) -> tuple[str, ...]:
    """What runs as that method: itself, or for the ensemble all members that can run here.

    ModelError when there is none: weights are missing, or the engine cannot run it.
    """
    if name != ENSEMBLE:
        if reason := refusal(name, engine, model_file is not None):
            raise ModelError(reason)
        return (name,)
    able = tuple(member for member in MEMBERS if not refusal(member, engine))
    if not able:
        raise ModelError("The weights of no method are installed; install VertebraLabeling again.")
    return able


def refusal(name: str, engine: str = "torch", has_own_weights: bool = False) -> str:
    """Why a method cannot run here, and what to do, in a sentence; "" when it can.  ModelError for a damaged store."""
    if missing := missing_models(name, has_own_weights):
        return (
            f"The method '{name}' has no weights here ({', '.join(missing)} missing); choose another method, give "
            "weights of your own, or install VertebraLabeling again."
        )
    if engine == "onnx" and name in _TORCH_ONLY:
        return (
            f"The method '{name}' makes its projections with PyTorch: install it and take it as the engine, or choose "
            "another method."
        )
    return ""


def missing_models(name: str, has_own_weights: bool = False) -> tuple[str, ...]:
    """Ids of the weights that are not installed though the method needs them; for the ensemble when no member runs."""
    from ..engines.weights import listed_models

    if name == ENSEMBLE:
        return () if any(not missing_models(member) for member in MEMBERS) else MEMBERS
    listed = listed_models()
    return tuple(role for role in models_of(name)[has_own_weights:] if role not in listed)


def depends_on_engine(name: str) -> bool:
    """Whether the engine decides which weights the method uses: the ensemble does without what cannot run."""
    return name == ENSEMBLE


def uses_sequence(name: str, config: str) -> bool:
    """Whether the sequence decoder follows: not after a paper's own system, which ends with its own naming."""
    return not (name in PAPER_METHODS and config == "paper")


def uses_refinement(chosen: bool | None, config: str) -> bool:
    """Whether the local refinement follows: as the user chose, else by default but never in a paper's own system."""
    if chosen is not None:
        return chosen
    return REFINED_BY_DEFAULT and config != "paper"
