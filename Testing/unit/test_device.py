"""Device choice and the one error for "out of memory"."""

from __future__ import annotations

import pytest
import torch
from VertebraLabelingLib.core.errors import MemoryExhaustedError, UsageError
from VertebraLabelingLib.engines.device import choose_device, memory_guard, tune_cpu


@pytest.fixture
def gpus(monkeypatch):
    """Pretend to have so many CUDA devices."""

    def pretend(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


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
    with pytest.raises(UsageError, match="unknown"):
        choose_device(name)


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
    ],
)
def test_every_out_of_memory_becomes_one_error(error):
    with pytest.raises(MemoryExhaustedError) as caught, memory_guard():
        raise error
    assert caught.value.exit_code == 6
    assert caught.value.__cause__ is error


def test_torch_refusing_a_real_allocation_is_recognised():
    with pytest.raises(MemoryExhaustedError), memory_guard():
        torch.empty(2**60, dtype=torch.uint8)


def test_other_errors_pass_unchanged():
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError) as caught, memory_guard():
        raise error
    assert caught.value is error


def test_tuning_sets_the_threads_and_leaves_torch_working():
    before = torch.get_num_threads()
    try:
        tune_cpu(threads=1)
        assert torch.get_num_threads() == 1
        assert torch.ones(3, 3).matmul(torch.ones(3, 3)).sum() == 27
    finally:
        torch.set_num_threads(before)
