"""Batch runs with several worker processes, real ones, and a fake labeller in each."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from batch_fakes import ProcessFakes, batch_args, write_volume
from VertebraLabelingLib.batch import pool, run, worker
from VertebraLabelingLib.batch.manifest import Row, opened
from VertebraLabelingLib.batch.run import SomeFailedError
from VertebraLabelingLib.batch.state import MAX_DEATHS
from VertebraLabelingLib.core.errors import CancelledError, MemoryExhaustedError, ModelError, UsageError
from VertebraLabelingLib.engines import device as devices

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kill -9")


@pytest.fixture
def notes(tmp_path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def scans(folder: Path, *names: str) -> Path:
    for name in names:
        write_volume(folder / "in" / name)
    return folder / "in"


def run_pool(source: Path, labellers: ProcessFakes, *more: object) -> Path:
    """A run with two workers; the output folder."""
    output = source.parent / "out"
    run.run_batch(batch_args(source, output, "--workers", 2, *more), labellers)
    return output


def all_seen(fakes: ProcessFakes) -> list[str]:
    return [name for names in fakes.seen().values() for name in names]


def known(output: Path, stem: str) -> Row:
    with opened(output) as manifest:
        row = manifest.get(stem)
    assert row is not None
    return row


def states(output: Path) -> dict[str, str]:
    with (output / "summary.csv").open(encoding="utf-8", newline="") as file:
        return {row["scan"]: row["state"] for row in csv.DictReader(file)}


def test_two_processes_share_the_scans_and_the_manifest_tells_which(tmp_path, notes):
    """Failures are told as in one process."""
    fakes, source = ProcessFakes(notes, seconds=1.0), scans(tmp_path, *(f"{i}.nii" for i in range(6)))
    write_volume(source / "nothing.nii", 4)
    write_volume(source / "bug.nii", 7)
    with pytest.raises(SomeFailedError, match="2 of 8"):
        run_pool(source, fakes)
    output, seen = tmp_path / "out", fakes.seen()
    assert len(seen) == 2 and all(seen.values()) and str(os.getpid()) not in seen
    assert sorted(all_seen(fakes)) == [*(f"{i}.nii" for i in range(6)), "bug.nii", "nothing.nii"]
    assert list(states(output).values()) == ["done"] * 6 + ["failed"] * 2
    assert known(output, "nothing").exit_code == 4
    assert "ZeroDivisionError" in known(output, "bug").message
    row = known(output, "0")
    assert row.worker.removeprefix("process ") in seen
    assert (row.attempts, row.deaths, row.state, row.exit_code) == (1, 0, "done", 0)
    assert {"read", "find", "write"} <= row.seconds.keys()
    assert row.begun_utc and row.ended_utc and row.begun_utc <= row.ended_utc
    assert not any(psutil.pid_exists(int(pid)) for pid in seen)


def test_what_dies_under_a_scan_is_replaced_and_the_scan_tried_again(tmp_path, notes, capsys):
    fakes = ProcessFakes(notes)
    output = run_pool(scans(tmp_path, "a.nii", "once.nii", "z1.nii", "z2.nii", "z3.nii"), fakes, "--json-lines")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    retried = {event["scan"]: event for event in events if event["event"] == "scan-retried"}
    assert retried["once.nii"]["message"] == "killed, perhaps for want of memory"
    assert events[-1]["event"] == "result" and events[-1]["done"] == 5
    fractions = [event["fraction"] for event in events if event["event"] == "progress" and event["done"]]
    assert fractions and min(fractions) > 0 and max(fractions) <= 1
    assert set(states(output).values()) == {"done"}
    assert all_seen(fakes).count("once.nii") == 2
    assert known(output, "once").attempts == 2


@pytest.mark.slow
def test_a_scan_that_always_kills_is_given_up_and_takes_no_other_with_it(tmp_path, notes):
    fakes = ProcessFakes(notes)
    source = scans(tmp_path, "a.nii", "b.nii", "poison1.nii", "poison2.nii", "z.nii")
    with pytest.raises(SomeFailedError, match="2 of 5"):
        run_pool(source, fakes)
    assert states(tmp_path / "out") == {
        "a.nii": "done", "b.nii": "done", "poison1.nii": "failed", "poison2.nii": "failed", "z.nii": "done",
    }  # fmt: skip
    seen = all_seen(fakes)
    assert 2 <= seen.count("poison1.nii") <= MAX_DEATHS  # a death while it was read ahead counts as well
    assert "ended abruptly 3 times" in known(tmp_path / "out", "poison1").message
    assert "killed, perhaps for want of memory" in known(tmp_path / "out", "poison1").message
    count = len(seen)
    with pytest.raises(SomeFailedError):
        run_pool(source, fakes)
    assert len(all_seen(fakes)) == count, "given up means given up"


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_scan_that_hangs_fails_alone_and_the_rest_goes_on(tmp_path, notes, workers):
    """The one that was read ahead meanwhile is not blamed."""
    fakes, source = ProcessFakes(notes), scans(tmp_path, "a.nii", "hang.nii", "i.nii", "j.nii", "k.nii")
    with pytest.raises(SomeFailedError, match="1 of 5"):
        run_pool(source, fakes, "--workers", workers, "--scan-timeout", 4)
    output = tmp_path / "out"
    assert {name for name, state in states(output).items() if state != "done"} == {"hang.nii"}
    row = known(output, "hang")
    assert (row.exit_code, row.state, row.seconds) == (8, "failed", {"all": 4.0})
    assert "took longer than 4 s" in row.message
    assert {(known(output, stem).attempts, known(output, stem).deaths) for stem in "aijk"} == {(1, 0)}
    assert not any(psutil.pid_exists(int(pid)) for pid in fakes.seen())
    count = len(all_seen(fakes))
    with pytest.raises(SomeFailedError, match="1 of 5"):
        run_pool(source, fakes)
    assert len(all_seen(fakes)) == count, "failed, until --retry-failed"


class SlowToLoad(ProcessFakes):
    def load(self, args, progress):
        time.sleep(3600)


@pytest.mark.slow
def test_networks_that_hang_whoever_loads_them_end_the_run(tmp_path, notes, monkeypatch):
    monkeypatch.setattr(pool, "_LOAD_WITHIN_S", 4.0)
    with pytest.raises(MemoryExhaustedError, match="hang while they load"):
        run_pool(scans(tmp_path, "a.nii", "b.nii"), SlowToLoad(notes), "--scan-timeout", 4)


def test_the_wait_for_a_gpu_does_not_count(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    crew = pool.Pool(SimpleNamespace(waiting=2), None, None, 2)
    pipe = SimpleNamespace(send=lambda message: None)
    first, second = (pool.Hand(number, None, pipe, "cuda:0", [object()], 100.0) for number in range(2))
    crew._queue_up(first)
    crew._queue_up(second)
    now_s[0] = 150.0
    assert (first.seconds(), second.seconds()) == (50.0, 0.0)
    crew._step_back(first)
    now_s[0] = 160.0
    assert (first.seconds(), second.seconds()) == (60.0, 10.0)


class NoModel(ProcessFakes):
    def load(self, args, progress):
        raise ModelError("The weights are missing.")


def test_networks_that_cannot_be_loaded_end_the_run(tmp_path, notes):
    source = scans(tmp_path, "a.nii", "b.nii")
    with pytest.raises(ModelError, match="weights are missing"):
        run_pool(source, NoModel(notes))
    assert set(states(tmp_path / "out").values()) == {"waiting"}


class RoomForOne(ProcessFakes):
    """The second worker finds no memory for its networks."""

    def load(self, args, progress):
        try:
            (self.notes / "taken").mkdir()
        except FileExistsError:
            raise MemoryExhaustedError("Out of memory.") from None
        return super().load(args, progress)


@pytest.mark.slow
def test_where_memory_lacks_for_all_workers_fewer_do_the_work(tmp_path, notes):
    fakes = RoomForOne(notes, seconds=1.0)
    output = run_pool(scans(tmp_path, *(f"{i}.nii" for i in range(8))), fakes)
    assert set(states(output).values()) == {"done"} and len(fakes.seen()) == 1


def test_where_memory_lacks_for_every_worker_the_run_ends():
    """Both say so before either of them has ended."""
    crew = pool.Pool(SimpleNamespace(waiting=3), None, None, 2)
    first, second = crew._hands = [pool.Hand(number, None, None) for number in range(2)]
    crew._do_without(first, MemoryExhaustedError("Out of memory."))
    with pytest.raises(MemoryExhaustedError):
        crew._do_without(second, MemoryExhaustedError("Out of memory."))


@pytest.mark.slow
def test_networks_that_kill_whoever_loads_them_end_the_run(tmp_path, notes):
    source = scans(tmp_path, "a.nii", "b.nii")
    with pytest.raises(MemoryExhaustedError, match="fewer --workers"):
        run_pool(source, ProcessFakes(notes, load_kills=True))


def test_cancel_ends_all_workers_at_once_and_leaves_scans_as_they_were(tmp_path, notes):
    fakes, flag, asked_s = ProcessFakes(notes, seconds=300), tmp_path / "flag", []

    def cancel_when_both_work():
        while sum(len(seen) for seen in fakes.seen().values()) < 2:
            time.sleep(0.05)
        flag.touch()
        asked_s.append(time.monotonic())

    threading.Thread(target=cancel_when_both_work, daemon=True).start()
    with pytest.raises(CancelledError, match="after 0 of 3 scans"):
        run_pool(scans(tmp_path, "a.nii", "b.nii", "c.nii"), fakes, "--cancel-file", flag)
    assert time.monotonic() - asked_s[0] < 60
    assert not any(psutil.pid_exists(int(pid)) for pid in fakes.seen())
    assert known(tmp_path / "out", "a").attempts == 0
    flag.unlink()
    run_pool(tmp_path / "in", ProcessFakes(notes), "--workers", 1)
    assert set(states(tmp_path / "out").values()) == {"done"}


@pytest.mark.slow
def test_workers_end_with_a_coordinator_that_is_killed(tmp_path, notes):
    source = scans(tmp_path, "a.nii", "b.nii", "c.nii")
    here = Path(__file__).resolve()
    code = f"""
import sys
sys.path[:0] = {[str(here.parents[1]), str(here.parents[2]), str(here.parents[2] / "VertebraLabeling")]!r}
from pathlib import Path
from batch_fakes import ProcessFakes, batch_args
from VertebraLabelingLib.batch import run
if __name__ == "__main__":
    args = batch_args(Path({str(source)!r}), Path({str(tmp_path / "out")!r}), "--workers", 2)
    run.run_batch(args, ProcessFakes(Path({str(notes)!r}), 60))
"""
    fakes = ProcessFakes(notes)
    process = subprocess.Popen([sys.executable, "-c", code])
    while sum(len(seen) for seen in fakes.seen().values()) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until_s = time.monotonic() + 20
    while any(psutil.pid_exists(int(pid)) for pid in fakes.seen()) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(int(pid)) for pid in fakes.seen())
    output = run_pool(source, fakes)
    assert set(states(output).values()) == {"done"}
    assert (known(output, "a").attempts, known(output, "a").deaths) == (2, 0)


@pytest.mark.slow
def test_on_a_gpu_one_worker_labels_at_a_time(tmp_path, notes):
    fakes = ProcessFakes(notes, seconds=0.2, device="cuda:0")
    run_pool(scans(tmp_path, *(f"{i}.nii" for i in range(6))), fakes)
    assert len(fakes.seen()) == 2
    lines = [line.split() for path in notes.glob("*.txt") for line in path.read_text().splitlines()]
    events = [what for _, _, what in sorted(lines, key=lambda line: float(line[1]))]
    assert events == ["begins", "ends"] * 6


@pytest.mark.parametrize(
    ("cores", "limit", "workers", "threads"), [(8, "", 2, 4), (8, "2", 2, 1), (2, "", 4, 1), (8, "64", 3, 2)]
)
def test_the_cores_are_divided(monkeypatch, cores, limit, workers, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert pool.threads_each(workers) == threads


@pytest.mark.parametrize(
    ("wish", "number", "device"),
    [("auto", 0, "cuda:0"), ("auto", 3, "cuda:1"), ("cuda", 1, "cuda:1"), ("cuda:1", 0, "cuda:1"), ("cpu", 1, "cpu")],
)
def test_the_gpus_are_dealt_out_unless_the_user_names_one(monkeypatch, tmp_path, wish, number, device):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(device_count=lambda: 2)))
    monkeypatch.setattr(devices, "choose_engine", lambda name: "torch")
    monkeypatch.setattr(devices, "choose_device", lambda name, engine: "cuda:0")
    args = batch_args(tmp_path, tmp_path / "out", "--device", wish)
    assert worker.with_own_gpu(args, number).device == device
    assert args.device == wish


def test_workers_and_a_scheduler_do_not_go_together(tmp_path):
    args = batch_args(tmp_path, tmp_path / "out", "--workers", 2, "--scheduler", "tcp://x:1")
    with pytest.raises(UsageError, match="do not go together"):
        args.run(args)
