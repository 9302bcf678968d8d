"""A network run by ONNX Runtime on the CPU: the graph that ships for its model, with the weights of a weight file.

The graph holds no weights, so that there is one set of them for both engines; they are put into it when it is loaded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, OrtValue, SessionOptions

from ..core.errors import ModelError, is_out_of_memory
from .weights import Weights, find_model

PREFIX = "network."
"""Before each parameter's name in the graph."""
AFTER_THE_NETWORK = frozenset({"score_calibration", "integral_radius_mm", "neck_magnification"})
"""Network settings that say how the network is used, not what it is: one graph serves any value of theirs."""
_FATAL = 4


class OnnxNetwork:
    """A session of ONNX Runtime; see `Network`."""

    device = "cpu"

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]

    def __call__(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name of windows (B, channels, z, y, x) of the trained size; the graph is made for one."""
        windows = [self._session.run(None, {"image": window[None]}) for window in image]
        return {name: np.concatenate([window[n] for window in windows]) for n, name in enumerate(self._outputs)}


def load_onnx_network(weights: Weights) -> OnnxNetwork:
    """The network of a weight file, ready to run.

    Raises ModelError when the graph of its model is missing or altered, or was made for other network settings.
    """
    model_id = weights.metadata["model"]
    graph = find_model(model_id).graph
    if graph is None:
        raise ModelError(f"'{model_id}' ships without an ONNX graph: pip install torch to run it.")
    session = _session(graph.read(), weights)
    trained_for = json.loads(session.get_modelmeta().custom_metadata_map["network"])
    if _of_the_graph(trained_for) != _of_the_graph(weights.metadata["network"]):
        raise _misfit(weights)
    return OnnxNetwork(session)


def _session(graph: bytes, weights: Weights) -> InferenceSession:
    options = SessionOptions()
    options.log_severity_level = _FATAL  # what it would print is in the exception as well
    # torch obeys the same variable, which may be a list by nesting; 0 is one thread per core
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    options.intra_op_num_threads = int(threads) if threads.isdecimal() else 0
    values = [OrtValue.ortvalue_from_numpy(array) for array in weights.arrays.values()]
    options.add_external_initializers([PREFIX + name for name in weights.arrays], values)
    try:
        return InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own types; names, shapes and types of parameters are compared here
        if is_out_of_memory(error):
            raise
        raise _misfit(weights) from error


def _of_the_graph(network: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in network.items() if key not in AFTER_THE_NETWORK}


def _misfit(weights: Weights) -> ModelError:
    return ModelError(
        f"Weights '{weights.path}' are of a network with other settings than the one that ships for ONNX Runtime; "
        "pip install torch to run them."
    )
