"""Throughput of ``vertebra-labeling batch`` with so many workers, as a run of its own tells it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import VertebraLabelingError

SOME_FAILED = 7
SPACING_ZYX_MM, WIDTH_MM = (3.0, 3.0, 3.0), 210.0
"""Of the phantoms: small enough for a hundred."""


@dataclass(frozen=True)
class BatchRun:
    """One finished run.

    seconds: wall time of the whole process.  busy_seconds: from the moment that the first scan was begun, the networks
    being loaded.  scans: those worked on, well or not.
    """

    workers: int
    scans: int
    failed: int
    seconds: float
    busy_seconds: float

    @property
    def scans_per_minute(self) -> float:
        """While the networks are loaded, which is what counts for many scans."""
        return 60 * self.scans / self.busy_seconds


def write_phantoms(folder: Path, count: int) -> Path:
    """Small phantoms, no two alike, as files in a new folder, which is returned."""
    import SimpleITK as sitk

    from .phantom import PhantomSpec, make_phantom

    spec = PhantomSpec(SPACING_ZYX_MM, first=Level.T12, last=Level.S2, width_mm=WIDTH_MM, depth_mm=WIDTH_MM)
    folder.mkdir(parents=True)
    for seed in range(count):
        image = sitk.Cast(sitk.Round(make_phantom(seed, spec).scan.to_sitk()), sitk.sitkInt16)
        sitk.WriteImage(image, str(folder / f"phantom-{seed:03}.nii.gz"))
    return folder


def run_batches(scans: Path, folder: Path, workers: Iterable[int], *more: str) -> list[BatchRun]:
    """Label all scans below `scans` on the CPU, once per number of workers, into a new folder below `folder` each.

    more: further options of the command line.  VertebraLabelingError when a run cannot be done at all.
    """
    return [_run(scans, folder / f"workers-{number}", number, more) for number in workers]


def _run(scans: Path, output: Path, workers: int, more: Iterable[str]) -> BatchRun:
    words = ["batch", "--input", scans, "--output", output, "--workers", workers, "--device", "cpu", "--json-lines"]
    command = [sys.executable, "-m", "VertebraLabelingLib.predict", *map(str, words), *more]
    begun_s, first_s, result = time.monotonic(), None, None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        for line in process.stdout or ():
            event = json.loads(line)
            if event["event"] == "scan-started" and first_s is None:
                first_s = time.monotonic()
            result = event if event["event"] == "result" else result
    ended_s = time.monotonic()
    if process.returncode not in (0, SOME_FAILED) or result is None or first_s is None:
        raise VertebraLabelingError(f"The batch run ended with exit code {process.returncode}; is {scans} right?")
    return BatchRun(workers, result["labelled"], result["failed"], ended_s - begun_s, ended_s - first_s)
