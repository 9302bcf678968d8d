"""The configuration of a training run: one TOML file, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import tomllib
from pydantic import BaseModel, ConfigDict, Field

from .loop import RunSettings


class Configuration(BaseModel):
    """Tables of the file.  `network` and `windows` override the defaults of the task."""

    model_config = ConfigDict(extra="forbid")

    task: Literal["sites", "corridor", "integral-regression"]
    network: dict[str, Any] = Field(default_factory=dict)
    windows: dict[str, Any] = Field(default_factory=dict)
    run: RunSettings = RunSettings()


def read_configuration(path: Path) -> Configuration:
    """The configuration in `path`; pydantic.ValidationError names what is wrong."""
    return Configuration.model_validate(tomllib.loads(path.read_text()))
