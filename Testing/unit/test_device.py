"""Device choice and the one error for "out of memory"."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Event

import pytest
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors
from VertebraLabelingLib.core.errors import MemoryExhaustedError, ModelError, UsageError
from VertebraLabelingLib.engines import device as device_module
from VertebraLabelingLib.engines.device import (
    begin_import,
    check_device_name,
    choose_device,
    choose_engine,
    memory_guard,
)


@pytest.fixture
def gpus(monkeypatch):
    """Pretend to have so many CUDA devices."""

    def pretend(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


@pytest.fixture
def packages(monkeypatch):
    """Pretend that only these packages can be imported."""

    def only(*there: str) -> None:
        def fake_import(name: str) -> None:
            if name not in there:
                raise ImportError(name)

        monkeypatch.setattr(device_module, "import_module", fake_import)

    return only


@pytest.mark.parametrize(
    ("name", "there", "chosen"),
    [
        ("auto", ("torch", "onnxruntime"), "torch"),
        ("auto", ("onnxruntime",), "onnx"),
        ("auto", ("torch",), "torch"),
        ("onnx", ("torch", "onnxruntime"), "onnx"),
        ("torch", ("torch",), "torch"),
    ],
)
def test_chooses_the_engine(packages, name, there, chosen):
    packages(*there)
    assert choose_engine(name) == chosen


@pytest.mark.parametrize(
    ("name", "there", "words"),
    [
        ("auto", (), r"pip install onnxruntime \(or torch\)"),
        ("torch", ("onnxruntime",), "pip install torch"),
        ("onnx", ("torch",), "pip install onnxruntime"),
    ],
)
def test_a_missing_engine_says_what_to_install(packages, name, there, words):
    packages(*there)
    with pytest.raises(ModelError, match=words):
        choose_engine(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_onnx_runs_on_the_cpu_only(name):
    assert choose_device("auto", "onnx") == choose_device("cpu", "onnx") == "cpu"
    with pytest.raises(UsageError, match=f"not on '{name}'"):
        choose_device(name, "onnx")


@pytest.mark.parametrize(
    ("name", "count", "chosen"),
    [("auto", 0, "cpu"), ("auto", 1, "cuda:0"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda:0"), ("cuda:1", 2, "cuda:1")],
)
def test_chooses(gpus, name, count, chosen):
    gpus(count)
    assert choose_device(name) == chosen


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_missing_gpu_is_a_usage_error_that_names_it(gpus, name, count):
    gpus(count)
    with pytest.raises(UsageError, match=f"'{name}' is not available"):
        choose_device(name)


def test_mps_only_where_it_is(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("mps") == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match="mps"):
        choose_device("mps")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "CPU", "cpu:0", "cuda:-1"])
def test_unknown_names(name):
    for check in (check_device_name, choose_device):
        with pytest.raises(UsageError, match="unknown"):
            check(name)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"
        ),
        RuntimeError("Exception thrown in SimpleITK BinShrink: Failed to allocate memory for image."),
        RuntimeError("std::bad_alloc"),
        onnxruntime_errors.RuntimeException("Failed to allocate memory for requested buffer of size 123"),
    ],
)
def test_every_out_of_memory_becomes_one_error(error):
    with pytest.raises(MemoryExhaustedError) as caught, memory_guard():
        raise error
    assert caught.value.exit_code == 6
    assert caught.value.__cause__ is error


def test_the_innermost_guard_says_on_which_device():
    with pytest.raises(MemoryExhaustedError) as caught, memory_guard(), memory_guard("cuda:0"):
        raise MemoryError
    assert caught.value.device == "cuda:0"


def test_torch_refusing_a_real_allocation_is_recognised():
    with pytest.raises(MemoryExhaustedError), memory_guard():
        torch.empty(2**60, dtype=torch.uint8)


def test_other_errors_pass_unchanged():
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError) as caught, memory_guard():
        raise error
    assert caught.value is error


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
@pytest.mark.parametrize(("environment", "mapped"), [({}, False), ({"MALLOC_MMAP_MAX_": "65536"}, True)])
def test_tuning_keeps_large_blocks_off_mmap_unless_the_user_has_set_it(environment, mapped):
    """A freed block of 64 MB stays with the process, or goes back to the kernel at once."""
    code = """
import numpy as np
from VertebraLabelingLib.engines.device import tune_cpu
def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
tune_cpu()
before = resident_mb()
block = np.ones(2**23); del block
print(resident_mb() - before < 32)
"""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean | environment)
    assert done.stdout.strip() == str(mapped), done.stderr


def test_the_engine_is_imported_beside_other_work(monkeypatch):
    held, names = Event(), []

    def slow_import(name):
        held.wait(10)
        names.append(name)

    monkeypatch.setattr(device_module, "import_module", slow_import)
    thread = begin_import("auto")
    assert names == []
    held.set()
    thread.join(10)
    assert names == ["torch"]


def test_an_engine_that_cannot_be_imported_ends_no_run_before_it_is_needed(packages, capfd):
    packages()
    begin_import("torch").join(10)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ModelError, match="is not installed"):
        choose_engine("torch")
