"""How long one window of the default network takes, both sides of it, on the CPU, with each engine and setting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from VertebraLabelingLib.engines.device import ENGINES, tune_cpu
from VertebraLabelingLib.engines.network import load_module, load_network, named_outputs
from VertebraLabelingLib.engines.weights import load_model
from VertebraLabelingLib.methods.sites.method import build_network

BF16, OPENVINO = "torch in bf16", "openvino"
PACKAGES = {**ENGINES, BF16: "torch", OPENVINO: "openvino"}
"""Engine -> its package; the last two are measured only, no run uses them."""
SETTINGS = {
    "torch, 1 thread": {"OMP_NUM_THREADS": "1"},
    "torch, 2 threads": {"OMP_NUM_THREADS": "2"},
    "torch, allocator untuned": {"MALLOC_MMAP_MAX_": "65536"},
}
"""Variables of the environment by what they set; the last is glibc's own value, which `tune_cpu` leaves alone."""
Forward = Callable[[NDArray[np.float32]], object]


def installed_engines() -> tuple[str, ...]:
    """Those whose package is there."""
    return tuple(engine for engine, package in PACKAGES.items() if find_spec(package))


def window_seconds(engine: str, forwards: int = 5) -> float:
    """Wall seconds of the fastest of some forward passes, after one that warms up."""
    tune_cpu()
    depth, height, width = load_model("sites").metadata["network"]["window_zyx"]
    windows = np.random.default_rng(0).uniform(-1, 1, (2, 2, depth, height, width)).astype(np.float32)
    forward = OTHERS[engine](windows) if engine in OTHERS else load_network(load_model("sites"), build_network, engine)
    return min([_seconds(forward, windows) for _ in range(forwards + 1)][1:])


def seconds_with(environment: Mapping[str, str]) -> float:
    """`window_seconds` of torch in a process of its own, where threads and allocator are as the environment says."""
    code = f"from {__name__} import window_seconds; print(window_seconds('torch'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | dict(environment), stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def _seconds(forward: Forward, windows: NDArray[np.float32]) -> float:
    start = time.perf_counter()
    forward(windows)
    return time.perf_counter() - start


def _bf16(windows: NDArray[np.float32]) -> Forward:
    """torch, which may take half of the bits where it thinks that it does no harm."""
    import torch

    network = load_network(load_model("sites"), build_network)

    def forward(image: NDArray[np.float32]) -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return network(image)

    return forward


def _openvino(windows: NDArray[np.float32]) -> Forward:
    """The network compiled by OpenVINO in float32, as the other engines compute."""
    import openvino
    import torch

    module = load_module(load_model("sites"), build_network).eval().requires_grad_(False)
    # it takes no dataclass
    traced = torch.jit.trace(lambda image: tuple(named_outputs(module(image)).values()), torch.from_numpy(windows))
    model = openvino.convert_model(traced, example_input=torch.from_numpy(windows))
    return openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


OTHERS = {BF16: _bf16, OPENVINO: _openvino}
"""What prepares the engines that no run uses."""
