"""The next scan is read while the networks are busy with the one before."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from batch_fakes import FakeLabeller, run_batch, write_volume
from VertebraLabelingLib.batch import read_ahead, task
from VertebraLabelingLib.batch.discover import discover
from VertebraLabelingLib.batch.manifest import Row, opened
from VertebraLabelingLib.batch.run import SomeFailedError
from VertebraLabelingLib.core.errors import CancelledError
from VertebraLabelingLib.core.progress import silent


@pytest.fixture
def place(tmp_path) -> tuple[Path, Path]:
    for name in "abc":
        write_volume(tmp_path / "in" / f"{name}.nii")
    return tmp_path / "in", tmp_path / "out"


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """Names of the scans that were read."""
    real, names = task.read_entry, []

    def noted(entry, progress):
        names.append(entry.relative)
        return real(entry, progress)

    monkeypatch.setattr(read_ahead, "read_entry", noted)
    return names


def test_a_scan_is_read_while_the_one_before_is_labelled(place, read):
    labeller, at = FakeLabeller(), {}

    def wait_for_the_next(name):
        until_s = time.monotonic() + 20
        while len(read) < min(3, len(labeller.seen) + 1) and time.monotonic() < until_s:
            time.sleep(0.01)
        at[name] = list(read)

    labeller.before = wait_for_the_next
    run_batch(*place, labeller)
    assert at["a.nii"] == ["a.nii", "b.nii"]
    assert at["c.nii"] == ["a.nii", "b.nii", "c.nii"], "and none is read twice"


def test_what_cannot_be_read_ahead_fails_in_its_turn(place, read):
    (place[0] / "b.nii").write_bytes(b"broken")
    labeller = FakeLabeller()
    with pytest.raises(SomeFailedError, match="1 of 3"):
        run_batch(*place, labeller)
    with opened(place[1]) as manifest:
        assert [manifest.get(stem).exit_code for stem in "abc"] == [0, 3, 0]
    assert labeller.seen == ["a.nii", "c.nii"]


def test_a_scan_under_which_a_process_died_is_worked_on_alone(place, read):
    """Nobody could tell which of two killed the process."""
    labeller, at = FakeLabeller(), {}
    run_batch(*place, FakeLabeller(), "--limit", 1)
    with opened(place[1]) as manifest:
        row = manifest.get("a")
        for stem in "bc":
            entry = next(entry for entry in discover(*place) if entry.stem == stem)
            suspect = Row(
                entry.relative, "running", attempts=1, deaths=1, input=entry.fingerprint(), settings=row.settings
            )
            manifest.put(stem, suspect)
    read.clear()
    labeller.before = lambda name: (time.sleep(0.3), at.update({name: list(read)}))
    run_batch(*place, labeller)
    assert at == {"b.nii": ["b.nii"], "c.nii": ["b.nii", "c.nii"]}


def test_waiting_for_a_scan_can_be_cancelled(place, monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    def slow(entry, progress):
        begun.set()
        ended.wait(20)

    def cancel(stage, fraction):
        raise CancelledError("Cancelled.")

    monkeypatch.setattr(read_ahead, "read_entry", slow)
    entry, ahead = discover(*place)[0], read_ahead.ReadAhead()
    ahead.begin(entry)
    assert begun.wait(20)
    with pytest.raises(CancelledError):
        ahead.read(entry, cancel)
    ended.set()
    ahead.close()


def test_what_was_not_begun_is_read_at_once(place):
    scan = read_ahead.ReadAhead().read(discover(*place)[0], silent)
    assert scan.name == "a.nii"
