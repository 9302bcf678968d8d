"""Imports a package that runs networks and says what came of it: ``python -m VertebraLabelingLib.engines.probe torch``.

A process of its own, because a broken installation may end the process that imports it.  One JSON line:
{"event": "package", "package", "version", "problem", "devices"}; problem is "" when it works.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


def main(package: str) -> None:
    """Probe the package of an engine."""
    print(json.dumps({"event": "package", "package": package, **probe(package, _CHECKS[package])}), flush=True)


def probe(package: str, check: Callable[[ModuleType], list[str]]) -> dict[str, Any]:
    """Version, problem and devices of a package; an empty version when there is none."""
    try:
        module = import_module(package)
        # a half-removed package can still be imported, as an empty one
        return {"version": str(module.__version__), "problem": "", "devices": check(module)}
    except ModuleNotFoundError as error:
        problem = "not installed" if error.name == package else f"incomplete: {error}"
    except Exception as error:  # whatever a broken installation raises
        problem = f"broken: {type(error).__name__}: {error}"
    return {"version": "", "problem": problem.splitlines()[0], "devices": []}


def _torch_devices(torch: Any) -> list[str]:
    """CUDA devices by name, after a number has gone from numpy through a network's operation and back."""
    import numpy as np

    values = torch.from_numpy(np.ones((1, 1, 3, 3, 3), np.float32))
    if torch.nn.functional.conv3d(values, values).numpy().item() != 27.0:
        raise ArithmeticError("a convolution gives a wrong result")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["cpu", *(f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in range(count))]


def _onnx_devices(onnxruntime: Any) -> list[str]:
    if "CPUExecutionProvider" not in onnxruntime.get_available_providers():
        raise RuntimeError("it cannot run on the CPU")
    return ["cpu"]


_CHECKS: dict[str, Callable[[Any], list[str]]] = {"torch": _torch_devices, "onnxruntime": _onnx_devices}


if __name__ == "__main__":
    main(sys.argv[1])
