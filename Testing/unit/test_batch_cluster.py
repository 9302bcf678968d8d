"""Batch runs on a Dask cluster of two worker processes on this machine."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from batch_fakes import ProcessFakes, batch_args, states, write_volume
from VertebraLabelingLib.batch import cluster, run
from VertebraLabelingLib.batch.discover import discover
from VertebraLabelingLib.batch.lock import LOCK_NAME, only_run
from VertebraLabelingLib.batch.manifest import opened
from VertebraLabelingLib.batch.run import SomeFailedError
from VertebraLabelingLib.batch.task import Assignment, Job
from VertebraLabelingLib.core.errors import CancelledError, UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path) -> tuple[Path, Path, ProcessFakes]:
    """Input with six scans, the output folder, and the notes of the workers."""
    for number in range(6):
        write_volume(tmp_path / "in" / f"{number}.nii")
    (tmp_path / "notes").mkdir()
    return tmp_path / "in", tmp_path / "out", ProcessFakes(tmp_path / "notes", seconds=0.2)


@pytest.fixture
def local_cluster(monkeypatch):
    """Two workers, each a process that a nanny starts again when it dies."""
    distributed = pytest.importorskip("distributed")
    paths = [str(ROOT), str(ROOT / "VertebraLabeling"), str(ROOT / "Testing"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    options = {"processes": True, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as found:
        yield found


@pytest.fixture
def empty_cluster(monkeypatch) -> Iterator[str]:
    """The address of a scheduler without workers."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as found:
        yield found.scheduler_address


def started_worker(address: str) -> subprocess.Popen[bytes]:
    """A worker that nobody starts again when it dies."""
    words = ["-m", "dask", "worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    return subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_a_scan_that_hangs_on_a_worker_fails_and_its_worker_goes_on(place, local_cluster):
    source, output, fakes = place
    write_volume(source / "hang.nii")
    address = local_cluster.scheduler_address
    with pytest.raises(SomeFailedError, match="1 of 7"):
        run.run_batch(batch_args(source, output, "--scheduler", address, "--scan-timeout", 15), fakes)
    with opened(output) as manifest:
        rows = {stem: manifest.get(stem) for stem in [*map(str, range(6)), "hang"]}
    assert (rows["hang"].state, rows["hang"].exit_code) == ("failed", 8)
    assert {rows[str(number)].state for number in range(6)} == {"done"}
    assert 1 <= sum(names.count("hang.nii") for names in fakes.seen().values()) <= 2, "no other worker is ended by it"
    end = time.monotonic() + 60
    while len(local_cluster.scheduler_info["workers"]) < 2:
        assert time.monotonic() < end, "the worker has not come back"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_scans_of_a_worker_that_is_killed_are_done_by_another(place, local_cluster):
    """One scan kills its worker once, one whenever it is tried; all others are done."""
    source, output, fakes = place
    write_volume(source / "once.nii")
    write_volume(source / "poison.nii")
    with pytest.raises(SomeFailedError, match="1 of 8"):
        run.run_batch(batch_args(source, output, "--scheduler", local_cluster.scheduler_address), fakes)
    with opened(output) as manifest:
        rows = {stem: manifest.get(stem) for stem in [*map(str, range(6)), "once", "poison"]}
    assert {stem: row.state for stem, row in rows.items()} == {
        **dict.fromkeys(map(str, range(6)), "done"), "once": "done", "poison": "failed",
    }  # fmt: skip
    assert "ended abruptly 4 times" in rows["poison"].message
    seen = fakes.seen()
    assert len(seen) >= 3 and str(os.getpid()) not in seen, "a killed worker is replaced"
    before = sum(map(len, seen.values()))
    with pytest.raises(SomeFailedError):
        run.run_batch(batch_args(source, output, "--scheduler", local_cluster.scheduler_address), fakes)
    assert sum(map(len, fakes.seen().values())) == before, "what is done is done"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_hours_without_a_worker_are_not_counted_as_work(place, empty_cluster, capsys):
    """Before the first worker comes, and after the only one has been ended with a scan in its hands."""
    source, output, fakes = place
    write_volume(source / "once.nii")
    limit_s = 15
    workers: list[subprocess.Popen[bytes]] = []

    def come() -> None:
        for _ in range(2):
            time.sleep(limit_s + 3)
            workers.append(started_worker(empty_cluster))
            workers[-1].wait()

    threading.Thread(target=come, daemon=True).start()
    args = batch_args(source, output, "--scheduler", empty_cluster, "--scan-timeout", limit_s, "--json-lines")
    try:
        run.run_batch(args, fakes)
    finally:
        workers[-1].kill()
    with opened(output) as manifest:
        rows = {stem: manifest.get(stem) for stem in [*map(str, range(6)), "once"]}
    assert {row.state for row in rows.values()} == {"done"}
    assert len(fakes.seen()) == 2, "two workers, one after the other"
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    waiting = [n for n, event in enumerate(events) if event.get("stage") == "waiting for workers"]
    started = [n for n, event in enumerate(events) if event["event"] == "scan-started"]
    assert waiting and waiting[0] < started[0], "nothing is handed out to nobody"
    assert started[-1] < waiting[-1], "the second wait"


SBATCH = """#!/bin/bash
bash "${@: -1}" > /dev/null 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
kill "$@"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> None:
    """`sbatch` starts a job on this machine, `scancel` ends it."""
    for name, script in {"sbatch": SBATCH, "scancel": SCANCEL}.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
@pytest.mark.usefixtures("slurm")
def test_the_jobs_that_the_page_on_slurm_starts_share_the_scans(place):
    """As in Resources/Scale-out.md, with two jobs of one worker each."""
    jobqueue = pytest.importorskip("dask_jobqueue")
    source, output, fakes = place
    with jobqueue.SLURMCluster(
        cores=1,
        processes=1,
        memory="2GB",
        walltime="1:00:00",
        death_timeout=300,
        scheduler_options={"dashboard_address": None},
    ) as found:
        found.scale(jobs=2)
        found.wait_for_workers(2, timeout=300)
        run.run_batch(batch_args(source, output, "--scheduler", found.scheduler_address), fakes)
    assert set(dict(states(output)).values()) == {"done"}
    seen = fakes.seen()
    assert len(seen) == 2 and sum(map(len, seen.values())) == 6


def test_without_dask_a_sentence_says_what_to_install(place, monkeypatch):
    found = builtins.__import__

    def no_dask(name, *rest):
        if name.partition(".")[0] in ("dask", "distributed"):
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_dask)
    monkeypatch.delitem(sys.modules, "distributed", raising=False)
    source, output, fakes = place
    with pytest.raises(UsageError, match=r"pip install 'vertebra-labeling\[scale\]'"):
        run.run_batch(batch_args(source, output, "--scheduler", "tcp://127.0.0.1:1"), fakes)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x"])
def test_a_scheduler_that_does_not_answer(place, monkeypatch, address):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "_CONNECT_WITHIN_S", 0.5)
    source, output, fakes = place
    with pytest.raises(UsageError, match="No Dask scheduler answers"):
        run.run_batch(batch_args(source, output, "--scheduler", address), fakes)


def test_a_worker_that_does_not_see_the_output_folder_is_named(tmp_path):
    """The run is not cancelled: it goes on, or nobody would ask."""
    pytest.importorskip("distributed")
    future = SimpleNamespace(status="error", exception=lambda timeout: CancelledError("Cancelled."))
    with pytest.raises(UsageError, match="does not see the output folder"):
        cluster._settle(SimpleNamespace(job=SimpleNamespace(output=tmp_path)), None, future)


def test_the_name_of_the_run_is_on_the_disk_before_any_worker_asks_for_it(tmp_path, monkeypatch):
    """What a process has written to a file that it keeps open, NFS shows to other machines when it is synchronised."""
    synchronised = []
    monkeypatch.setattr(os, "fsync", lambda file: synchronised.append((tmp_path / LOCK_NAME).read_text()))
    with only_run(tmp_path) as name:
        assert [json.loads(text)["run"] for text in synchronised] == [name]
    assert synchronised[-1] == ""


class TakenOver(ProcessFakes):
    """While it labels, another run takes the output folder, as after a kill of the one that asked for the scan."""

    def before(self, name: str) -> None:
        (self.notes.parent / "out" / LOCK_NAME).write_text(json.dumps({"run": "another"}))


def test_a_worker_writes_nothing_once_its_run_has_ended(place, monkeypatch):
    source, output, fakes = place
    output.mkdir()
    entry, args = discover(source, output)[0], batch_args(source, output)
    with only_run(output) as name:
        job = Job(source, output, "s", (), False, False, name)
        assignment = Assignment(entry, job.identity(entry), ("markups", "record"), False)
        monkeypatch.setattr(cluster, "_loaded", {})
        assert cluster.label_on_worker(assignment, job, args, fakes).exit_code == 0
        (output / "0.mrk.json").unlink()
        monkeypatch.setattr(cluster, "_loaded", {})
        monkeypatch.setattr(cluster, "_ASK_EVERY_S", 1e9)
        with pytest.raises(CancelledError, match="run of this scan has ended"):
            cluster.label_on_worker(assignment, job, args, TakenOver(fakes.notes))
    with pytest.raises(CancelledError, match="run of this scan has ended"):
        cluster.label_on_worker(assignment, job, args, fakes)
    assert not (output / "0.mrk.json").exists()
    assert len(fakes.seen()[str(os.getpid())]) == 1
