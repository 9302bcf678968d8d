"""What is installed to run the networks with, found out without importing any of it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from slicer.i18n import tr as _

from ..engines.device import ENGINES

TORCH_LEAST = (2, 3)
"""The first torch that works with NumPy 2, which Slicer bundles."""
TORCH_EXTENSION = "PyTorchUtils"
"""Module of the extension PyTorch."""


@dataclass(frozen=True)
class Package:
    """A package as found.  version: "" when it is not installed.  problem: "" when nothing is wrong with it."""

    name: str
    version: str = ""
    problem: str = ""
    devices: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether it is there and nothing is known to be wrong with it."""
        return bool(self.version) and not self.problem


@dataclass(frozen=True)
class DependencyState:
    """What is there.  engines: torch and ONNX Runtime; one is enough.  extras: what only some functions need."""

    engines: tuple[Package, ...]
    extras: tuple[Package, ...]
    has_pytorch_extension: bool
    is_verified: bool = False

    @property
    def can_label(self) -> bool:
        """Whether some engine is usable, as far as is known."""
        return any(package.is_usable for package in self.engines)

    @property
    def lines(self) -> tuple[str, ...]:
        """One line per package, and what to do when nothing can be labelled."""
        extension = _("installed") if self.has_pytorch_extension else _("not installed")
        lines = [*map(_line, self.engines), _("Extension PyTorch: {state}").format(state=extension)]
        lines += [
            _("{package} (only for {purpose})").format(package=_line(p), purpose=_purpose(p)) for p in self.extras
        ]
        if not self.can_label:
            lines.append(_("Nothing can run the networks yet: install PyTorch or, the light way, ONNX Runtime."))
        return tuple(lines)


def state() -> DependencyState:
    """What is installed by its metadata and files; nothing of it is imported, so a broken library may go unnoticed."""
    importlib.invalidate_caches()  # a package may have been installed a moment ago
    engines = tuple(_found(package) for package in ENGINES.values())
    extras = (_found("matplotlib"), _found("scikit-learn", module="sklearn"))
    return DependencyState(engines, extras, _spec_exists(TORCH_EXTENSION))


def _found(name: str, module: str = "") -> Package:
    """A package by its metadata and its files."""
    there, version = _spec_exists(module or name), _version(name)
    if not there and version is None:
        return Package(name)
    if not there or not version:
        return Package(name, version or "", _("incomplete; uninstall it and install it again"))
    if name == "torch" and _numbers(version) < TORCH_LEAST:
        least = dotted(TORCH_LEAST)
        return Package(name, version, _("too old; {least} or newer is needed").format(least=least))
    return Package(name, version)


def _version(name: str) -> str | None:
    """Version in the metadata; None without metadata, "" where it is half-written."""
    try:
        return metadata.version(name) or ""
    except metadata.PackageNotFoundError:
        return None
    except (KeyError, TypeError, ValueError, OSError):
        return ""


def _spec_exists(module: str) -> bool:
    """Whether an import would find files; what pip leaves behind of a package, folders without code, does not count."""
    if getattr(sys.modules.get(module), "__file__", None):  # Slicer's own loader sets no spec
        return True
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return False
    return spec is not None and spec.origin is not None


def _numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of a version, such as (2, 3) of "2.3.1+cpu"."""
    parts = version.split("+")[0].split(".")[:2]
    return tuple(int(part) for part in parts if part.isdecimal())


def dotted(numbers: Sequence[int]) -> str:
    """(2, 3) -> "2.3"."""
    return ".".join(map(str, numbers))


def _line(package: Package) -> str:
    words = [package.version or _("not installed"), package.problem, ", ".join(package.devices)]
    return f"{package.name}: {', '.join(filter(None, words))}"


def _purpose(package: Package) -> str:
    purposes = {
        "matplotlib": _("preview pictures of a batch"),
        "scikit-learn": _("the fusion of Qin et al. on the command line"),
    }
    return purposes[package.name]
