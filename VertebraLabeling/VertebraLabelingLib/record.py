"""The run record: with what, on what and how long a labelling was made, so that it can be made again."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__

if TYPE_CHECKING:
    from .core.labelling import LabelledPoint, Labelling
    from .core.scan import Scan

FORMAT = "vertebra-labeling-run/1"
RESULTS_VERSION = 1
"""To be raised with every change of the program by which the same weights give another labelling of some scan; a batch
run then makes its results anew.  Fitted numbers need not be thought of: `Recipe.numbers_sha256` knows them.
"""
_LIBRARIES = ("torch", "onnxruntime", "numpy", "SimpleITK", "scikit-learn")


@dataclass(frozen=True)
class Recipe:
    """All that a labelling depends on; engine and device are not of it.

    weights_sha256: hash of each weight file by role.  numbers_sha256: hash of the numbers that were fitted beside them:
    what the decoder assumes, and what the ensemble trusts its members.  results_version: `RESULTS_VERSION`.
    """

    method: str
    config: str
    weights_sha256: Mapping[str, str]
    uses_sequence: bool
    prepared_spacing_mm: float
    numbers_sha256: str
    results_version: int


@dataclass(frozen=True)
class RunSettings(Recipe):
    """What the user chose and what it came to.

    engine, device: the ones in use, never "auto".  model_file: name of the user's own weights, None for the shipped
    ones.
    """

    engine: str
    device: str
    model_file: str | None = None
    phantom: bool = False


def record_path(markups: Path) -> Path:
    """Where the record of a markups file lies: ``a.mrk.json`` (in any case) -> ``a.run.json`` beside it."""
    return markups.with_name(markups.name[: -len(".mrk.json")] + ".run.json")


def run_record(scan: Scan, labelling: Labelling, settings: RunSettings, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Plain JSON values; of the input only file name, size and spacing, never anything of the patient."""
    return {
        "format": FORMAT,
        "created_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "exit_code": 0,
        "versions": {"vertebra-labeling": __version__, "python": platform.python_version(), **_library_versions()},
        "platform": platform.platform(),
        "settings": settings_values(settings),
        "input": {
            "name": scan.name,
            "size_ijk": list(scan.geometry.shape_zyx[::-1]),
            "spacing_ijk_mm": [float(s) for s in scan.geometry.spacing_xyz_mm],
        },
        "notes": list(scan.notes),
        "confirmed": _confirmed_values(labelling),
        "labelling": labelling_values(labelling),
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
    }


def record_text(values: Mapping[str, Any]) -> str:
    """A record as it stands in its file."""
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


def settings_values(settings: RunSettings) -> dict[str, Any]:
    """Settings as plain JSON values."""
    return vars(settings) | {"weights_sha256": dict(settings.weights_sha256)}


def _confirmed_values(labelling: Labelling) -> dict[str, Any]:
    """How many points the user had confirmed before the run, and which."""
    levels = [point.level.name for point in labelling.points if point.confirmed]
    return {"count": len(levels), "levels": levels}


def labelling_values(labelling: Labelling) -> dict[str, Any]:
    """A labelling as plain JSON values, for the record and for a parent process; positions in LPS mm."""
    return {
        "summary": labelling.summary(),
        "level_certain": labelling.level_certain,
        "anchors": [level.name for level in labelling.anchors],
        "remarks": list(labelling.remarks),
        "points": [point_values(point) for point in labelling.points],
        "alternatives": [
            {
                "shift": other.shift,
                "probability": float(other.probability),
                "levels": [level.name if level is not None else None for level in other.levels],
            }
            for other in labelling.alternatives
        ],
    }


def point_values(point: LabelledPoint) -> dict[str, Any]:
    """A point as plain JSON values; position in LPS mm."""
    return {
        "level": point.level.name,
        "position_lps_mm": [float(v) for v in point.position_lps_mm],
        "probability": float(point.probability),
        "remark": point.remark,
        "confirmed": point.confirmed,
    }


def _library_versions() -> dict[str, str | None]:
    """Installed versions; None for a library that is not installed as a package."""
    return {name: _version(name) for name in _LIBRARIES}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
