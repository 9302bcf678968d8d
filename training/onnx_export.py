"""A network as an ONNX graph without its weights, for the engine that runs where torch is not installed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from onnx import GraphProto, ModelProto, TensorProto, helper
from onnxscript import optimizer
from torch import Tensor, nn
from VertebraLabelingLib.engines.network import named_outputs
from VertebraLabelingLib.engines.onnx_network import PREFIX
from VertebraLabelingLib.engines.weights import ModelEntry, load_weights, register_model

from .tasks import make_task

OPSET = 20
LARGEST_CONSTANT = 4096
"""Elements; a parameter that slipped into the graph as a constant would be larger, and would not follow the weights."""


class _Named(nn.Module):
    """The network with its outputs as a tuple; parameters are called "network.…"."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(named_outputs(self.network(image)).values())


def register(weights_file: Path, version: str) -> ModelEntry:
    """Make a weight file the one that ships for its model, with its graph."""
    metadata = load_weights(weights_file).metadata
    network = make_task(metadata["model"], dict(metadata["network"]), {}).build_network()
    graph = graph_of(network, metadata["network"])
    return register_model(weights_file, graph=graph, version=version, licence="Apache-2.0")


def graph_of(network: nn.Module, settings: Mapping[str, Any]) -> bytes:
    """The ONNX file of a network for one "image" of the trained size, (1, channels, z, y, x) or (1, channels, h, w).

    settings: the metadata of the network, with its "window_zyx", or "image_hw" if it sees projections.  The weights
    that the network has do not matter.
    """
    size = settings.get("image_hw") or settings["window_zyx"]
    first = next(parameter for parameter in network.parameters() if parameter.ndim == 2 + len(size))
    image = torch.zeros(1, first.shape[1], *size)
    with torch.no_grad():
        names = list(named_outputs(network.eval()(image)))
    return without_weights(_exported(network, image, names), settings).SerializeToString()


def _exported(network: nn.Module, image: Tensor, names: list[str]) -> ModelProto:
    """The graph as torch writes it.

    Not optimised: that would compute new constants out of the weights.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Named(network), (image,), dynamo=True, optimize=False, verbose=False, opset_version=OPSET,
            input_names=["image"], output_names=names,
        )  # fmt: skip
    return program.model_proto


def without_weights(model: ModelProto, settings: Mapping[str, Any]) -> ModelProto:
    """The model optimised, with its weights to be given when it is loaded, and the settings in its metadata.

    While it is optimised the weights are inputs, of which nothing can be known.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if tensor.name.startswith(PREFIX)}
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in shapes]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    _replace(model.graph.initializer, kept)
    model.graph.input.extend(inputs)
    model = optimizer.optimize(model)
    _replace(model.graph.input, [value for value in model.graph.input if value.name not in shapes])
    _require_small(model.graph)
    model.graph.initializer.extend(_external(name, shape) for name, shape in shapes.items())
    _without_remarks(model)
    helper.set_model_props(model, {"network": json.dumps(settings), "opset": str(OPSET)})
    return model


def _replace(field: Any, values: list[Any]) -> None:
    """Set a repeated field of a message."""
    del field[:]
    field.extend(values)


def _external(name: str, shape: tuple[int, ...]) -> TensorProto:
    """A parameter whose values lie elsewhere; the location is never opened."""
    tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights")
    return tensor


def _require_small(graph: GraphProto) -> None:
    large = [tensor.name for tensor in graph.initializer if torch.Size(tensor.dims).numel() > LARGEST_CONSTANT]
    if large:
        raise ValueError(f"the graph would keep large constants: {', '.join(large)}")


def _without_remarks(model: ModelProto) -> None:
    """Drop what torch notes of every node, with paths and code of the machine that exported it."""
    del model.graph.value_info[:]
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.input, *graph.output):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
