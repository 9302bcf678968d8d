"""The text behind "Copy diagnostics": what a developer asks first, and nothing of a patient."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import slicer

from .. import __version__
from ..core.errors import ModelError
from .dependencies import DependencyState

LOG_LINES = 40
RESULT_KEYS = ("method", "engine", "device", "weights_sha256", "seconds")
"""Of the last result; never its points, remarks or notes."""
_BUNDLED = ("numpy", "scipy", "SimpleITK", "pydicom", "highdicom")
_QUOTED_PATH = re.compile(r"(?P<quote>['\"])(?P<path>[^'\"\n]*[\\/][^'\"\n]*)(?P=quote)")
_BARE_PATH = re.compile(r"(?:[A-Za-z]:)?[^\s'\",;:()<>]*[\\/][^\s'\",;:()<>]*")
_SCAN_FILE = re.compile(
    r"[^\s'\",;:()<>]+\.(?:nii|nrrd|nhdr|mha|mhd|dcm|ima|hdr|img|json|csv|gz)\b[^\s'\",;:()<>]*", re.I
)


def text(state: DependencyState, result: Mapping[str, Any] | None = None, log: str = "") -> str:
    """Versions, dependencies, hashes of the weights, the last run's settings and the end of its log.

    result: the last run's result event, None when there was none.  Paths are cut to the names of Python files.
    """
    parts = [
        ("Versions", list(_versions())),
        ("Dependencies", [*state.lines, f"verified by an import: {'yes' if state.is_verified else 'no'}"]),
        ("Weights", list(_weights())),
        ("Last result", [f"{key}: {result[key]}" for key in RESULT_KEYS if key in result] if result else ["none"]),
        ("Log of the last run", without_paths(log).splitlines()[-LOG_LINES:] or ["empty"]),
    ]
    return "\n".join(line for title, lines in parts for line in (f"## {title}", *lines, ""))


def without_paths(log: str) -> str:
    """The text with every path reduced, to its name for a Python file and to ``<path>`` otherwise, and no scan's name.

    Takes out too much rather than too little.
    """
    shortened = _QUOTED_PATH.sub(lambda match: f"{match['quote']}{_reduced(match['path'])}{match['quote']}", log)
    return _SCAN_FILE.sub("<file>", _BARE_PATH.sub(lambda match: _reduced(match[0]), shortened))


def _reduced(path: str) -> str:
    kind: type[PurePath] = PureWindowsPath if "\\" in path else PurePosixPath
    name = kind(path).name
    return name if name.endswith(".py") else "<path>"


def _versions() -> Iterator[str]:
    yield f"VertebraLabeling {__version__}"
    yield f"Slicer {slicer.app.applicationVersion}"
    yield f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} processors"
    for name in _BUNDLED:
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            yield f"{name} not installed"


def _weights() -> Iterator[str]:
    """The shipped weights as their manifest pins them."""
    from ..engines.weights import MODEL_IDS, find_model

    for model_id in MODEL_IDS:
        try:
            entry = find_model(model_id)
            yield f"{model_id} {entry.details.get('version', '')} {entry.weights.sha256}"
        except ModelError as error:
            yield f"{model_id}: {without_paths(str(error))}"
