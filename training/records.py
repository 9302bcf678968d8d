"""Runs of a comparison: each leaves one JSON file, so that the comparison can be stopped and taken up again."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from VertebraLabelingLib.core.errors import InputError, UsageError
from VertebraLabelingLib.core.files import atomic_write

Record = dict[str, Any]


class Planned(Protocol):
    """One run.  configuration: everything that decides its result, as plain JSON values."""

    @property
    def name(self) -> str:
        """Of the run; several seeds share it."""
        ...

    @property
    def seed(self) -> int:
        """Of the run."""
        ...

    @property
    def configuration(self) -> Mapping[str, Any]:
        """Plain values."""
        ...


AnyPlan = TypeVar("AnyPlan", bound=Planned)


def run_folder(output: Path, plan: Planned) -> Path:
    """Where a run may keep its own files."""
    return output / f"{plan.name}-seed{plan.seed}"


def record_file(output: Path, plan: Planned) -> Path:
    """Where the result of a run lies."""
    return output / f"{plan.name}-seed{plan.seed}.json"


def unfinished(output: Path, plans: Sequence[AnyPlan]) -> list[AnyPlan]:
    """The runs without a result; says how many have one.  Makes the folder.  UsageError as `is_finished`."""
    output.mkdir(parents=True, exist_ok=True)
    missing = [plan for plan in plans if not is_finished(output, plan)]
    print(f"{len(plans) - len(missing)} of {len(plans)} runs are finished")
    return missing


def is_finished(output: Path, plan: Planned) -> bool:
    """Whether the result of this very run is there; UsageError when one of another configuration is in its place."""
    file = record_file(output, plan)
    if not file.exists():
        return False
    if read_record(file)["configuration"] != plan.configuration:
        raise UsageError(f"'{file}' is from another configuration or budget; remove it or choose another --output.")
    return True


def read_record(file: Path) -> Record:
    """A stored result; InputError when it is not one."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if not {"name", "seed", "configuration", "scans"} <= record.keys():
            raise ValueError("values are missing")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"'{file}' is not the result of a run ({error}); remove it to run again.") from error
    return dict(record)


def read_records(output: Path) -> list[Record]:
    """All results in a folder, by name and seed."""
    return [read_record(file) for file in sorted(output.glob("*-seed*.json"))]


def write_record(output: Path, plan: Planned, values: Mapping[str, Any]) -> Path:
    """Store what a run came to, "scans" among it, with its name, its configuration and the machine."""
    told = {"name": plan.name, "seed": plan.seed, "configuration": plan.configuration, "machine": machine()}
    with atomic_write(record_file(output, plan)) as temporary:
        temporary.write_text(json.dumps({**told, **values}, indent=2) + "\n", encoding="utf-8")
    return record_file(output, plan)


def machine() -> str:
    """The processor in words, as far as the system tells."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
