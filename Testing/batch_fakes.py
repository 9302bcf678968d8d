"""A labeller without a network, and small volumes that it can name, for the tests of batch runs."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from VertebraLabelingLib import predict
from VertebraLabelingLib.batch import run
from VertebraLabelingLib.batch.manifest import MANIFEST_NAME
from VertebraLabelingLib.batch.state import file_sha256
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import MemoryExhaustedError, NothingFoundError
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.labelling import LabelledPoint, Labelling
from VertebraLabelingLib.pipeline import LabelledScan
from VertebraLabelingLib.record import Recipe, RunSettings


class FakeLabeller:
    """Names two vertebrae in every scan; the first voxel of a scan may ask for a failure instead (see FAILURES).

    seen: names of the scans it was given, of all runs.  before: called with the name before each.
    loaded: how often a run loaded its networks.
    """

    FAILURES = {  # noqa: RUF012
        4: NothingFoundError("No vertebra was found: is the spine in view?"),
        6: MemoryExhaustedError("Out of memory: crop the scan to the spine."),
        7: ZeroDivisionError("division by zero\nof a library"),
        8: MemoryError(),
    }

    def __init__(self, weights: str = "ab" * 32):
        self.weights, self.seen, self.before, self.loaded = weights, [], lambda name: None, 0

    def recipe(self, args):
        return Recipe("sites", "default", {"sites": self.weights}, True, 2.0, "cd" * 32, 1)

    def load(self, args, progress):
        self.loaded += 1
        return self

    def label(self, scan, progress, anchors=()):
        progress("checking", 0.0)
        self.seen.append(scan.name)
        self.before(scan.name)
        progress("network", 0.5)
        failure = self.FAILURES.get(int(scan.hu[0, 0, 0]))
        if failure is not None:
            raise failure
        points = (
            LabelledPoint(Level.L1, (4.0, 4.0, 6.0), 0.9),
            LabelledPoint(Level.L3, (4.0, 4.0, 2.0), 0.3, "uncertain"),
        )
        remarks = ("L2 between L1 and L3 not found",)
        return LabelledScan(scan, Labelling(points, (), (), False, remarks), {"find": 0.25})

    def settings(self, phantom=False):
        return RunSettings(**vars(self.recipe(None)), engine="onnx", device="cpu", phantom=phantom)


@dataclass(frozen=True)
class ProcessFakes:
    """Gives a `FakeLabeller` to each worker process; what a scan does besides depends on its name.

    "poison…" kills its process, "once…" does so the first time, "hang…" never ends.
    notes: a folder where every process writes down the scans it was given (file by process id).
    seconds: what the work on a scan takes.  load_kills: the networks cannot be loaded without dying.
    """

    notes: Path
    seconds: float = 0.0
    load_kills: bool = False
    device: str = "cpu"

    def recipe(self, args):
        return FakeLabeller().recipe(args)

    def load(self, args, progress):
        if self.load_kills:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        fake = FakeLabeller()
        fake.before = self.before
        settings = replace(fake.settings(), device=self.device)
        fake.settings = lambda phantom=False: settings
        return fake

    def before(self, name: str) -> None:
        mark = self.notes / f"{name}.mark"
        with (self.notes / f"{os.getpid()}.txt").open("a") as file:
            file.write(f"{name} {time.time()} begins\n")
        if name.startswith("poison") or (name.startswith("once") and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        time.sleep(3600 if name.startswith("hang") else self.seconds)
        with (self.notes / f"{os.getpid()}.txt").open("a") as file:
            file.write(f"{name} {time.time()} ends\n")

    def seen(self) -> dict[str, list[str]]:
        """The scans that each process was given, by process id."""
        return {
            path.stem: [line.split()[0] for line in path.read_text().splitlines() if line.endswith("begins")]
            for path in self.notes.glob("*.txt")
        }


def write_volume(path: Path, kind: int = 0) -> Path:
    """A volume of 8x8x8 voxels; `kind` is its first voxel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros((8, 8, 8), np.int16)
    array[0, 0, 0] = kind
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


def batch_args(source: Path, output: Path, *more: object):
    """Options of a quiet run without what takes most of the time: pictures, processes, torch to look for a GPU."""
    words = ["batch", "--input", source, "--output", output, "--no-preview", "--quiet", "--device", "cpu"]
    return predict.parser().parse_args([str(word) for word in (*words, "--scan-timeout", 0, *more)])


def run_batch(source: Path, output: Path, labeller: FakeLabeller, *more: object) -> None:
    """A run with a fake labeller; errors as `batch.run.run_batch`."""
    run.run_batch(batch_args(source, output, *more), labeller)


# --- what a run has left ----------------------------------------------------------------------------------------------


def states(output: Path) -> Iterator[tuple[str, str]]:
    """(stem, state) as anybody could read them; none when the run was killed before there was a manifest."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(output / MANIFEST_NAME)) as database:
        yield from database.execute("SELECT stem, state FROM scans").fetchall()


def is_whole(output: Path, stem: str, names: Sequence[str] = ("L1", "L3"), is_done: bool = True) -> bool:
    """Whether all files of a result are there, can be read, and belong together.

    is_done: whether the manifest has to know the result already.
    """
    markups, record = output / f"{stem}.mrk.json", json.loads((output / f"{stem}.run.json").read_text())
    digests = {file_sha256(markups), record["batch"]["markups_sha256"]}
    if is_done:
        with closing(sqlite3.connect(output / MANIFEST_NAME)) as database:
            query = "SELECT markups_sha256 FROM scans WHERE stem = ?"
            digests.add(database.execute(query, (stem,)).fetchone()[0])
    found = [point.level.name for point in read_points(markups)]
    rows = (output / f"{stem}.csv").read_text().splitlines()
    return found == list(names) and len(rows) == len(found) + 1 and record["exit_code"] == 0 and len(digests) == 1
