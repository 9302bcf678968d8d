"""Family 7: the same bits on a second run; between engines and numbers of threads a drift that nobody would notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fuzzing import child_environment
from trust_support import distances_mm
from VertebraLabelingLib import predict
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.options import Labeller
from VertebraLabelingLib.pipeline import LabelledScan

DRIFT_MM, DRIFT_PROBABILITY = 0.004, 1e-4
"""Between torch and ONNX Runtime, and between 1 and 2 threads, on the CPU: sums in another order.

Measured: between the engines 0.0023 mm (1.1 thousandths of a voxel of the network) and 1e-5 on a real scan, 0.0001 mm
on the phantom; nothing between the threads.
"""
GPU_DRIFT_MM, GPU_DRIFT_PROBABILITY = 0.5, 0.05
"""A GPU multiplies with 10 bits (TF32) where it may."""
REAL_SCAN = "ct/lungdx-a0001.nii.gz"


def loaded(engine: str = "torch", threads: int = 1, device: str = "cpu") -> Labeller:
    """The default method, on so many threads."""
    words = ["label", "ct", "--output", "a.mrk.json", "--device", device, "--engine", engine]
    with threads_of_onnx(threads):
        return Labeller.load(predict.parser().parse_args(words))


@contextmanager
def threads_of_onnx(threads: int) -> Iterator[None]:
    """ONNX Runtime is told by the environment when a network is loaded."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        os.environ.update({"OMP_NUM_THREADS": before} if before else {})


@contextmanager
def threads_of_torch(threads: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def drift(result: LabelledScan, expected: LabelledScan) -> tuple[float, float]:
    """(mm, probability) by which the points differ at the most; they have the same names."""
    assert result.labelling.levels == expected.labelling.levels
    assert result.labelling.level_certain == expected.labelling.level_certain
    pairs = zip(result.labelling.points, expected.labelling.points, strict=True)
    far = max(abs(a.probability - b.probability) for a, b in pairs)
    return max(distances_mm(result, expected).values()), far


def test_the_same_process_says_the_same_twice(phantom, labeller, labelled):
    assert labeller.label(phantom.scan).labelling == labelled.labelling


def test_engines_and_threads_agree(phantom, labeller):
    pytest.importorskip("onnxruntime")
    with threads_of_torch(1):
        expected = labeller.label(phantom.scan)
    with threads_of_torch(2):
        found = {"torch, 2 threads": labeller.label(phantom.scan)}
    found["ONNX, 1 thread"] = loaded("onnx").label(phantom.scan)
    require_near(found, expected)


def require_near(found: dict[str, LabelledScan], expected: LabelledScan) -> None:
    for how, result in found.items():
        mm, probability = drift(result, expected)
        print(f"{how}: {mm:.5f} mm, probability {probability:.6f}")
        assert (mm < DRIFT_MM, probability < DRIFT_PROBABILITY) == (True, True), how


@pytest.mark.slow
@pytest.mark.shared
def test_engines_and_threads_agree_on_a_real_scan(shared_data):
    scan = read_scan(shared_data / REAL_SCAN)
    labeller = loaded()
    with threads_of_torch(1):
        expected = labeller.label(scan)
    with threads_of_torch(2):
        found = {"torch, 2 threads": labeller.label(scan)}
    found |= {f"ONNX, {threads} thread(s)": loaded("onnx", threads).label(scan) for threads in (1, 2)}
    require_near(found, expected)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize("threads", [1, 2])
def test_two_processes_write_the_same_bits(shared_data, tmp_path, engine, threads):
    """Whatever else the machine does: the markups are the same to the last digit."""
    written = []
    for name in ("first", "second"):
        markups = tmp_path / f"{name}.mrk.json"
        words = ["label", shared_data / REAL_SCAN, "--output", markups, "--engine", engine, "--device", "cpu"]
        command = [sys.executable, "-m", "VertebraLabelingLib.predict", *map(str, words), "--quiet"]
        environment = child_environment() | {"OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, check=True, env=environment)
        written.append(points_of(markups))
    assert written[0] == written[1]
    assert len(written[0]) > 5


def points_of(markups: Path) -> list[dict[str, object]]:
    return json.loads(markups.read_text(encoding="utf-8"))["markups"][0]["controlPoints"]


@pytest.mark.gpu
def test_a_gpu_says_the_same(phantom, labelled):
    if not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("needs a CUDA device")
    labeller = loaded(device="cuda")
    first, second = labeller.label(phantom.scan), labeller.label(phantom.scan)
    assert np.array_equal(*([p.position_lps_mm for p in r.labelling.points] for r in (first, second)))
    mm, probability = drift(first, labelled)
    assert (mm < GPU_DRIFT_MM, probability < GPU_DRIFT_PROBABILITY) == (True, True)
