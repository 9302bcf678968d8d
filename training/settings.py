"""The configuration of a training run: one TOML file, checked."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from VertebraLabelingLib.core.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class RunSettings:
    """How long and how fast.  Training ends at `minutes` or `steps`, whichever comes first; the cosine follows.

    rate: the highest one.  schedule: warm-up and cosine over the run, or times `plateau_factor` after
    `plateau_patience` validations without a lower loss (the paper's).  clip: norm of the gradient, 0 for none.
    ema: decay of the averaged weights, 0 for none.  workers: processes that draw windows; threads: of torch.
    processes: data-parallel ones (Lightning DDP), each with its own windows; on a CPU one a core is the fastest.
    validate_every: steps between validations on `validate_windows` fixed windows, where there are cases for it.
    fresh_phantoms: share of the windows that show a phantom made during the training, on the device that trains; 0:
    none are made.
    """

    minutes: float = 60.0
    steps: int = 1_000_000
    batch: int = 2
    optimiser: Literal["adamw", "adam"] = "adamw"
    rate: float = 2e-3
    weight_decay: float = 1e-2
    schedule: Literal["cosine", "plateau"] = "cosine"
    warm_up: float = 0.03
    plateau_factor: float = 0.1
    plateau_patience: int = 5
    clip: float = 5.0
    ema: float = 0.998
    workers: int = 1
    threads: int = 1
    processes: int = 1
    seed: int = 0
    precision: str = "32-true"
    validate_every: int = 500
    validate_windows: int = 16
    checkpoint_minutes: float = 4.0
    fresh_phantoms: float = 0.0


@dataclass(frozen=True)
class DistilSettings:
    """teachers: weight files of the same task.  share: of the loss against their mean opinion, beside the truth."""

    teachers: list[str]
    share: float = 0.5


class Configuration(BaseModel):
    """Tables of the file.  `network` and `windows` override the defaults of the task; `distil` gives teachers."""

    model_config = ConfigDict(extra="forbid")

    task: Literal[
        "sites",
        "corridor",
        "integral-regression",
        "global-to-local",
        "refinement",
        "multi-view",
        "multi-view-pretraining",
    ]
    network: dict[str, Any] = Field(default_factory=dict)
    windows: dict[str, Any] = Field(default_factory=dict)
    run: RunSettings = RunSettings()
    distil: DistilSettings | None = None

    @field_validator("network")
    @classmethod
    def with_none(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The word "none" as None, for which TOML has no value."""
        return {name: None if value == "none" else value for name, value in values.items()}


def read_configuration(path: Path) -> Configuration:
    """The configuration in `path`; UsageError names what is wrong in it."""
    try:
        return Configuration.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"The configuration '{path}' cannot be read ({error.strerror}); check the path.") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UsageError(f"The configuration '{path}' cannot be used: {faults}.") from error
    except ValueError as error:  # neither UTF-8 nor TOML
        raise UsageError(f"The configuration '{path}' is not valid TOML ({error}).") from error
