"""How to label: what the scene keeps of it, and what belongs to this computer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..methods.registry import DEFAULT_METHOD

IN_SCENE = ("method", "refine")
"""Options that are saved with the scene; the others are facts of the machine."""


@dataclass(frozen=True)
class RunOptions:
    """Choices of a run.

    method: one of `METHODS`.  refine: None as the method does by default.  engine, device: as on the command line.
    model_file: weights of the user's own, None for the shipped ones.
    """

    method: str = DEFAULT_METHOD
    refine: bool | None = None
    engine: str = "auto"
    device: str = "auto"
    model_file: Path | None = None
