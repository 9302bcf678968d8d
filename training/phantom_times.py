"""What a phantom costs: seconds, and how many operations a device is asked for, alone and in a batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .phantom import PhantomSpec, make_phantoms, random_spec

SPACING_ZYX_MM = (5.0, 4.0, 4.0)
"""Of the finished phantoms, which are painted at 2 mm: somewhat fewer voxels than in training, the same solids."""


@dataclass(frozen=True)
class PhantomTimes:
    """Means per phantom.  device: None = NumPy, which has no operations of a device.  batch: painted together."""

    device: str | None
    batch: int
    seconds: float
    operations: float


class _Counter(TorchDispatchMode):
    """Counts the operations that compute or copy; views cost a device nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def measure_phantoms(count: int) -> list[PhantomTimes]:
    """Random phantoms of the first `count` seeds: with NumPy, and with torch one by one and all together."""
    seeds = range(count)
    specs = [replace(random_spec(np.random.default_rng(seed)), spacing_zyx_mm=SPACING_ZYX_MM) for seed in seeds]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return [_measured(specs, *way) for way in ((None, 1), (device, 1), (device, count))]


def _measured(specs: Sequence[PhantomSpec], device: str | None, batch: int) -> PhantomTimes:
    """Counted in a first pass, which warms up, and timed in a second one."""
    with _Counter() as counter:
        _make(specs, device, batch)
    start = time.perf_counter()
    _make(specs, device, batch)
    return PhantomTimes(device, batch, (time.perf_counter() - start) / len(specs), counter.count / len(specs))


def _make(specs: Sequence[PhantomSpec], device: str | None, batch: int) -> None:
    for first in range(0, len(specs), batch):
        part = specs[first : first + batch]
        make_phantoms(range(first, first + len(part)), part, device)
