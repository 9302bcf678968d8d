"""What runs the networks: what of it is there (see `installed`), whether it works, and how to get it.

Slicer brings numpy, scipy, SimpleITK, pydicom and highdicom.  A run needs one engine more: torch, which the extension
PyTorch installs, or ONNX Runtime, the light way.  Nothing here tries a second time what has failed.
"""

from __future__ import annotations

import importlib
import inspect
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from ..core.errors import VertebraLabelingError
from ..engines.device import ENGINES
from .installed import TORCH_EXTENSION, TORCH_LEAST, DependencyState, Package, dotted, state
from .process import ChildProcess, Event, Launch

__all__ = [
    "DependencyError",
    "DependencyState",
    "Package",
    "Verification",
    "install_light",
    "install_torch",
    "offline_instructions",
    "state",
    "verify",
]

REQUESTER = "VertebraLabeling"
REQUIREMENTS_FILE = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"


class DependencyError(VertebraLabelingError):
    """A package could not be installed or is not usable."""


class Verification:
    """What `state` says, after every engine was imported in a child of its own; poll it until it has an answer."""

    def __init__(self, launch: Launch | None = None) -> None:
        probe = ["-m", "VertebraLabelingLib.engines.probe"]
        self._children = {package: ChildProcess([*probe, package], launch) for package in ENGINES.values()}
        self._probed: dict[str, Package] = {}

    def poll(self) -> DependencyState | None:
        """The answer, None as long as there is none; returns at once."""
        codes = {name: child.returncode for name, child in self._children.items()}
        for name, child in self._children.items():
            for event in child.poll():
                self._probed[name] = _told(name, event)
        if None in codes.values():
            return None
        found = state()
        engines = tuple(self._judged(package, codes[package.name]) for package in found.engines)
        return replace(found, engines=engines, is_verified=True)

    def close(self) -> None:
        """End the children that still run."""
        for child in self._children.values():
            child.close()

    def _judged(self, found: Package, code: int | None) -> Package:
        """What metadata and import say together of a package."""
        if not (found.version or found.problem):
            return found
        probed = self._probed.get(found.name) or Package(found.name, problem=_ended(code))
        return replace(probed, version=probed.version or found.version, problem=probed.problem or found.problem)


def verify(launch: Launch | None = None) -> Verification:
    """Start to import the engines in a child; LaunchError when there is no Python to do it."""
    return Verification(launch)


def install_light() -> DependencyState:
    """Install ONNX Runtime after one question; DependencyError when the user declines or pip fails."""
    try:
        from slicer import packaging
    except ImportError as error:
        raise DependencyError(_("This needs Slicer 5.12 or newer; install a newer Slicer.")) from error
    try:
        packaging.pip_ensure(packaging.load_requirements(REQUIREMENTS_FILE), requester=REQUESTER, prompt_install=True)
    except Exception as error:  # RuntimeError: declined; CalledProcessError: pip; whatever a broken installation raises
        raise DependencyError(_("ONNX Runtime was not installed: {reason}.").format(reason=_reason(error))) from error
    return _installed("onnxruntime", _("ONNX Runtime was not installed; see Slicer's Python console for the reason."))


def install_torch() -> DependencyState:
    """Install torch through the extension PyTorch, which asks first; DependencyError says what to do when it fails.

    The extension imports torch into Slicer when it is done; nothing of ours ever uses it there.
    """
    try:
        logic = importlib.import_module(TORCH_EXTENSION).PyTorchUtilsLogic()
    except ImportError as error:
        raise DependencyError(
            _(
                "The extension PyTorch is missing: open View > Extension Manager, install 'PyTorch', restart Slicer "
                "and press this button again; or install ONNX Runtime, the light way."
            )
        ) from error
    options = {"askConfirmation": True, "torchVersionRequirement": ">=" + dotted(TORCH_LEAST)}
    try:
        torch = logic.installTorch(**_accepted(logic.installTorch, options))
    except Exception as error:  # pip, network, half-written metadata (TypeError), a torch that cannot be imported
        raise DependencyError(
            _("PyTorch was not installed: {reason}. {help}").format(reason=_reason(error), help=_mend_torch())
        ) from error
    if torch is None:
        raise DependencyError(_("PyTorch was not installed: the question was answered with no."))
    return _installed("torch", _("PyTorch was not installed completely. {help}").format(help=_mend_torch()))


def offline_instructions() -> str:
    """How to install ONNX Runtime on a computer without a network."""
    requirement = _requirement_texts()[0]
    return _(
        "On a computer of the same kind ({system}) with a network and the same Slicer, run\n"
        '    PythonSlicer -m pip download --only-binary=:all: -d wheels "{requirement}"\n'
        "copy the folder 'wheels' to this computer, and enter in Slicer's Python console here\n"
        "    slicer.util.pip_install('--no-index --find-links /path/of/wheels {requirement}')\n"
        "The networks' weights came with this extension; nothing else is downloaded.\n"
        "Python here: {python}."
    ).format(system=platform.platform(terse=True), requirement=requirement, python=platform.python_version())


def _told(name: str, event: Event) -> Package:
    devices = tuple(str(device) for device in event.get("devices", ()))
    return Package(name, str(event.get("version", "")), str(event.get("problem", "")), devices)


def _accepted(function: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The options that a function of another extension knows: its parameters have changed with its versions."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}


def _installed(name: str, otherwise: str) -> DependencyState:
    found = state()
    if not any(package.name == name and package.is_usable for package in found.engines):
        raise DependencyError(otherwise)
    return found


def _requirement_texts() -> list[str]:
    lines = REQUIREMENTS_FILE.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _mend_torch() -> str:
    return _(
        "Restart Slicer, open the module PyTorch Utils, uninstall PyTorch there and install it again; "
        "or install ONNX Runtime, the light way."
    )


def _ended(code: int | None) -> str:
    return _("its import ends the program (exit code {code}); uninstall it and install it again").format(code=code)


def _reason(error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    return text.splitlines()[0] if text else type(error).__name__
