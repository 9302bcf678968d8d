"""What belongs to this computer and not to a scene, kept in the user settings of Slicer."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import slicer

_GROUP = "VertebraLabeling"


def models_folder() -> Path:
    """Folder of the user's own weights, beside Slicer's settings."""
    return Path(slicer.app.userSettings().fileName()).parent / "VertebraLabeling" / "Models"


def stored(name: str, default: str, allowed: Collection[str] = ()) -> str:
    """A setting, such as "Engine" or "ExportFolder"; the default for a value that is not (or no longer) allowed."""
    value = slicer.app.userSettings().value(f"{_GROUP}/{name}", default)
    if not isinstance(value, str) or (allowed and value not in allowed):
        return default
    return value


def store(name: str, value: str) -> None:
    """Keep a setting for the next start of Slicer."""
    slicer.app.userSettings().setValue(f"{_GROUP}/{name}", value)
