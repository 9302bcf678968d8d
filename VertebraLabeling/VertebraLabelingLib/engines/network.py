"""A network whichever engine runs it: numpy arrays in, named numpy arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .weights import Weights, fitting

if TYPE_CHECKING:
    from torch import Tensor, nn


class Network(Protocol):
    """A network with its weights, ready to run.

    device: where it runs, as torch names it; "cpu" with ONNX Runtime.
    """

    device: str

    def __call__(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name of (B, channels, z, y, x) normalised HU; each with the batch as first axis.

        ONNX Runtime takes windows of exactly the trained size, and runs one after the other.
        """
        ...


class TorchNetwork:
    """A module in evaluation mode on a device; see `Network`."""

    def __init__(self, module: nn.Module, device: str = "cpu") -> None:
        from .onednn import for_cpu

        module = module.to(device).eval()
        self._module = for_cpu(module) if device == "cpu" else module
        self.device = device

    def __call__(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name; see `Network`."""
        import torch

        with torch.inference_mode():
            outputs = named_outputs(self._module(torch.from_numpy(image).to(self.device)))
            return {name: values.float().cpu().contiguous().numpy() for name, values in outputs.items()}


def named_outputs(output: Any) -> dict[str, Tensor]:
    """What a module returned, by name: fields of a dataclass or named tuple that are set, or one tensor: "output"."""
    if is_dataclass(output):
        values = {field.name: getattr(output, field.name) for field in fields(output)}
    elif isinstance(output, tuple):
        values = output._asdict()  # type: ignore[attr-defined]
    else:
        values = {"output": output}
    return {name: value for name, value in values.items() if value is not None}


def load_network(
    weights: Weights, build: Callable[[Mapping[str, Any]], nn.Module], engine: str = "torch", device: str = "cpu"
) -> Network:
    """The network of a weight file, ready to run.

    build: ``weights.metadata["network"]`` -> module with random weights; called with engine "torch" only, so that
    nothing else imports torch.  engine: as `choose_engine` returns it.  device: as `choose_device` returns it.
    Raises ModelError when the weights do not fit the module, or the ONNX graph that ships for this model.
    """
    if engine == "onnx":
        from .onnx_network import load_onnx_network

        with fitting(weights):
            return load_onnx_network(weights)
    return TorchNetwork(load_module(weights, build), device)


def load_module(weights: Weights, build: Callable[[Mapping[str, Any]], nn.Module]) -> nn.Module:
    """The module of a weight file on the CPU, as `build` makes it; ModelError when the weights do not fit it."""
    import torch

    with fitting(weights):
        module = build(weights.metadata["network"])
        module.load_state_dict({name: torch.from_numpy(array) for name, array in weights.arrays.items()})
    return module
