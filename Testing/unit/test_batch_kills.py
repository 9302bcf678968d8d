"""A batch with two workers whose coordinator and workers are killed at random moments: what is lost?  Nothing."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from batch_fakes import ProcessFakes, is_whole, states, write_volume

TESTING = Path(__file__).resolve().parents[1]
SCANS = 24
SCAN_S = 0.2
COORDINATOR_SHARE = 0.3
"""Of the kills; the others go to a worker."""

CODE = f"""
import sys
from pathlib import Path
sys.path[:0] = {[str(TESTING), str(TESTING.parent), str(TESTING.parent / "VertebraLabeling")]!r}
from batch_fakes import ProcessFakes, batch_args
from VertebraLabelingLib.batch import run
if __name__ == "__main__":
    source, output, notes = map(Path, sys.argv[1:])
    args = batch_args(source, output, "--workers", 2, "--csv", "--retry-failed")
    run.run_batch(args, ProcessFakes(notes, {SCAN_S}))
"""


class Batch:
    """A batch over tiny scans, started again whenever it is killed, and over anew when it is done."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._chance, self._round, self._is_over = folder, random.Random(seed), 0, False
        self.counts = Counter(kills=0, coordinator=0, worker=0, rounds=0, given_up=0, lost=0, half_written=0)
        self._process: subprocess.Popen | None = None
        for number in range(SCANS):
            write_volume(folder / "in" / f"{number:02}.nii")

    @property
    def output(self) -> Path:
        return self._folder / f"out{self._round}"

    @property
    def notes(self) -> Path:
        return self._folder / f"notes{self._round}"

    def run(self, kills: int) -> None:
        """Until there were so many kills, and the last round is done."""
        while self.counts["kills"] < kills or not self._is_over:
            process = self._running()
            if self.counts["kills"] < kills and self._some_work_begins(process):
                time.sleep(self._chance.uniform(0, 3 * SCAN_S))
                self._kill(process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
            self._look(process)

    def _running(self) -> subprocess.Popen:
        if self._process is None:
            self.notes.mkdir(exist_ok=True)
            words = [sys.executable, "-c", CODE, self._folder / "in", self.output, self.notes]
            self._process, self._is_over = subprocess.Popen(words, stderr=subprocess.PIPE, text=True), False
        return self._process

    def _some_work_begins(self, process: subprocess.Popen) -> bool:
        """Wait until a worker begins with another scan; False when the run has ended."""
        begun = self._begun()
        while process.poll() is None:
            if self._begun() > begun:
                return True
            time.sleep(0.01)
        return False

    def _begun(self) -> int:
        return sum(map(len, ProcessFakes(self.notes).seen().values()))

    def _kill(self, process: subprocess.Popen) -> None:
        """Kill the coordinator or a worker, unless the run has just ended."""
        workers = [child for child in children(process.pid) if is_worker(child)]
        whole = not workers or self._chance.random() < COORDINATOR_SHARE
        victim = psutil.Process(process.pid) if whole else self._chance.choice(workers)
        if process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
                self.counts.update(["kills", "coordinator" if whole else "worker"])
        if whole:
            psutil.wait_procs(workers, timeout=60)

    def _look(self, process: subprocess.Popen) -> None:
        """When the run has ended: are the results that count whole; when it ended well: are they all there?"""
        if process.poll() is None:
            return
        self._process = None
        found = dict(states(self.output))
        done = [stem for stem, state in found.items() if state == "done"]
        self.counts["half_written"] += sum(not is_whole(self.output, stem) for stem in done)
        self.counts["given_up"] += sum(state == "failed" for state in found.values())
        self._is_over = process.returncode == 0
        if self._is_over:
            self.counts["lost"] += SCANS - len(done)
            self.counts["half_written"] += len(list(self.output.rglob(".vertebra-labeling-*")))
            shutil.rmtree(self.output)
            self._round += 1
            self.counts["rounds"] += 1
            print(dict(self.counts), flush=True)
        elif process.returncode != -9:  # a scan was given up, or starting workers was, after several deaths
            said = process.stderr.read()
            assert "scans failed" in said or "fewer --workers" in said, said


def children(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children()
    return []


def is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "spawn_main" in " ".join(process.cmdline())
    return False


@pytest.mark.skipif(os.name == "nt", reason="kill -9")
@pytest.mark.parametrize(
    ("kills", "seed"), [pytest.param(2, 6, id="2"), pytest.param(100, 100, id="100", marks=pytest.mark.slow)]
)
def test_kills_at_random_moments_lose_nothing(tmp_path, kills, seed, record_property):
    """The quick seed kills a worker, then the coordinator."""
    batch = Batch(tmp_path, seed)
    batch.run(kills)
    record_property("counts", batch.counts | Counter(cases=batch.counts["rounds"] * SCANS))
    assert batch.counts["kills"] == kills
    assert batch.counts["coordinator"] and batch.counts["worker"] and batch.counts["rounds"]
    assert (batch.counts["lost"], batch.counts["half_written"]) == (0, 0)
