"""What runs a network and where: choice of engine and device, CPU tuning, and one clear error when memory runs out."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread

from ..core.errors import MemoryExhaustedError, ModelError, UsageError, is_out_of_memory

ENGINES: dict[str, str] = {"torch": "torch", "onnx": "onnxruntime"}
"""Engine -> the package that it needs, the preferred one first."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def choose_engine(name: str) -> str:
    """Engine of a command-line name: "torch", "onnx", or for "auto" the first of them whose package can be imported.

    Raises ModelError when the package is not there.
    """
    if engine := _first_importable(name):
        return engine
    if name == "auto":
        raise ModelError("Nothing that can run a network is installed: pip install onnxruntime (or torch).")
    raise ModelError(f"The engine '{name}' is not installed: pip install {ENGINES[name]}, or use --engine auto.")


def begin_import(name: str) -> Thread:
    """Start to import what the engine needs: it takes seconds, in which a file can be read.

    Whether it fails, `choose_engine` will say, which waits for it.  It is only a head start: where no thread can be
    started, the import comes later.
    """
    thread = Thread(target=_first_importable, args=(name,), name="import-engine")
    with suppress(RuntimeError):
        thread.start()
    return thread


def _first_importable(name: str) -> str | None:
    """The engine, or for "auto" the first one, whose package can be imported."""
    engines = ENGINES if name == "auto" else (name,)
    return next((engine for engine in engines if _importable(ENGINES[engine])), None)


def _importable(package: str) -> bool:
    """Whether a package can really be imported: one with a missing library is no engine."""
    try:
        import_module(package)
    except (ImportError, OSError):
        return False
    return True


def check_device_name(name: str) -> None:
    """UsageError unless `name` can be a device; whether it is there, only the engine can tell."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise UsageError(f"Device '{name}' is unknown; use auto, cpu, cuda, cuda:N or mps.")


def choose_device(name: str, engine: str = "torch") -> str:
    """Device of a command-line name: auto, cpu, cuda, cuda:N or mps.

    ``auto`` takes CUDA where it is there and the CPU otherwise; never MPS, which lacks some 3-D operations.  The engine
    "onnx" runs on the CPU only.
    Raises UsageError when the name is unknown or the device is not there.
    """
    check_device_name(name)
    if name == "cpu":
        return name
    if engine == "onnx":
        return _onnx(name)
    if name == "mps":
        return _mps()
    return _cuda(name)


def _onnx(name: str) -> str:
    if name != "auto":
        raise UsageError(f"ONNX Runtime runs on the CPU here, not on '{name}'; install torch or use --device cpu.")
    return "cpu"


def _mps() -> str:
    import torch

    if not torch.backends.mps.is_available():
        raise UsageError("Device 'mps' is not available on this machine; use --device cpu.")
    return "mps"


def _cuda(name: str) -> str:
    """CUDA device of ``auto``, ``cuda`` or ``cuda:N``."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda:0" if count else "cpu"
    index = int(name.partition(":")[2] or 0)
    if index < count:
        return f"cuda:{index}"
    there = f"this machine has {count} (cuda:0 is the first)" if count else "this machine or this torch has none"
    raise UsageError(f"Device '{name}' is not available: {there}; use --device cpu or auto.")


def tune_cpu() -> None:
    """Make torch fast on the CPU of this process; call before the first forward pass.

    glibc hands every large activation back to the kernel, which costs up to half of the time; telling it to keep the
    memory made one window 2.4 times faster.  The process then keeps what it once needed.  Nothing happens where there
    is no glibc, or where the user has set MALLOC_MMAP_MAX_.
    """
    if not sys.platform.startswith("linux") or "MALLOC_MMAP_MAX_" in os.environ:
        return
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def memory_guard(device: str = "") -> Iterator[None]:
    """Turn every library's way of saying "out of memory" into MemoryExhaustedError; guards may be nested.

    device: what runs the networks inside; "" for none.
    """
    try:
        yield
    except MemoryExhaustedError:
        raise
    except Exception as error:  # ONNX Runtime's have no common type
        if not is_out_of_memory(error):
            raise
        raise MemoryExhaustedError(
            "Out of memory: close other programs, crop the scan to the spine, or use --device cpu if a GPU was in use.",
            device,
        ) from error
