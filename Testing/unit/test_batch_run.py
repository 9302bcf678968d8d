"""Batch runs with a fake labeller: what is done, what is skipped, what is kept, after any end of a run."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from batch_fakes import FakeLabeller, run_batch, write_volume
from VertebraLabelingLib import predict
from VertebraLabelingLib.batch import desk, lock, state
from VertebraLabelingLib.batch.manifest import MANIFEST_NAME, Manifest, Row, opened
from VertebraLabelingLib.batch.run import SomeFailedError
from VertebraLabelingLib.core.errors import CancelledError, ModelError, UsageError
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.temporary import temporary_folder
from VertebraLabelingLib.options import Labeller

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path) -> tuple[Path, Path]:
    """Input with three good scans, and the output folder that is not there yet."""
    for name in ("a.nii.gz", "sub/b.nrrd", "sub/c.mha"):
        write_volume(tmp_path / "in" / name)
    return tmp_path / "in", tmp_path / "out"


@pytest.fixture
def labeller() -> FakeLabeller:
    return FakeLabeller()


def add_broken(source: Path) -> None:
    """Scans that fail in every way there is, two of them unreadable files."""
    (source / "cut.nii.gz").write_bytes((source / "a.nii.gz").read_bytes()[:60])
    (source / "empty.nrrd").write_bytes(b"")
    for name, kind in (("nothing", 4), ("large", 6), ("bug", 7), ("alloc", 8)):
        write_volume(source / f"{name}.nii", kind)


def rows(output: Path) -> dict[str, dict[str, str]]:
    with (output / "summary.csv").open(encoding="utf-8", newline="") as file:
        return {row["scan"]: row for row in csv.DictReader(file)}


def record(output: Path, stem: str) -> dict:
    return json.loads((output / f"{stem}.run.json").read_text())


def known(output: Path, stem: str) -> Row:
    """What the manifest says of a scan."""
    with opened(output) as manifest:
        row = manifest.get(stem)
    assert row is not None
    return row


def note(output: Path, stem: str, **changes: object) -> None:
    """Change what the manifest says of a scan."""
    row = replace(known(output, stem), **changes)
    with opened(output) as manifest:
        manifest.put(stem, row)


def snapshot(output: Path) -> dict[str, int]:
    """Time of the last change of every result."""
    pages = ("summary.csv", "index.html", lock.LOCK_NAME, MANIFEST_NAME)
    return {str(p): p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file() and p.name not in pages}


# --- one run ----------------------------------------------------------------------------------------------------------


def test_all_scans_are_labelled_and_outputs_mirror_the_input(place, labeller):
    run_batch(*place, labeller, "--csv")
    assert labeller.seen == ["a.nii.gz", "b.nrrd", "c.mha"]
    files = {p.relative_to(place[1]).as_posix() for p in place[1].rglob("*") if p.is_file()}
    results = {f"{stem}{end}" for stem in ("a", "sub/b", "sub/c") for end in (".mrk.json", ".run.json", ".csv")}
    assert files == results | {"summary.csv", "index.html", MANIFEST_NAME, lock.LOCK_NAME}
    assert [p.level.name for p in read_points(place[1] / "sub" / "b.mrk.json")] == ["L1", "L3"]
    assert record(place[1], "a")["exit_code"] == 0


def test_the_summary_tells_what_was_found(place, labeller):
    run_batch(*place, labeller)
    row = rows(place[1])["sub/b.nrrd"]
    assert float(row.pop("seconds")) >= 0.2
    assert row == {
        "scan": "sub/b.nrrd", "state": "done", "exit_code": "0", "message": "", "first": "L1", "last": "L3",
        "count": "2", "levels": "L1 L3", "level_certain": "no", "uncertain": "1", "missing": "L2",
        "notes": "L2 between L1 and L3 not found", "markups": "sub/b.mrk.json",
    }  # fmt: skip


def test_failures_do_not_end_the_run_and_are_recorded(place, labeller):
    source, output = place
    add_broken(source)
    with pytest.raises(SomeFailedError, match="6 of 9 scans failed") as failure:
        run_batch(source, output, labeller)
    assert failure.value.exit_code == 7
    codes = {name: row["exit_code"] for name, row in rows(output).items()}
    assert codes == {
        "a.nii.gz": "0", "sub/b.nrrd": "0", "sub/c.mha": "0", "cut.nii.gz": "3", "empty.nrrd": "3", "nothing.nii": "4",
        "large.nii": "6", "alloc.nii": "6", "bug.nii": "1",
    }  # fmt: skip
    assert known(output, "empty").message == rows(output)["empty.nrrd"]["message"]
    assert "0 bytes" in known(output, "empty").message
    assert "ZeroDivisionError: division by zero)" in known(output, "bug").message
    assert not (output / "empty.run.json").exists()
    assert not (output / "empty.mrk.json").exists()


def test_nothing_tells_the_folders_above(place, labeller):
    source, output = place
    add_broken(source)
    with pytest.raises(SomeFailedError):
        run_batch(source, output, labeller)
    for path in output.rglob("*.*"):
        if path.name != lock.LOCK_NAME:
            assert os.fsencode(source.parent) not in path.read_bytes(), path


def test_only_so_many_scans_as_asked(place, labeller):
    run_batch(*place, labeller, "--limit", 2)
    assert [row["state"] for row in rows(place[1]).values()] == ["done", "done", "waiting"]
    run_batch(*place, labeller, "--limit", 2)
    assert labeller.seen == ["a.nii.gz", "b.nrrd", "c.mha"]


def test_an_empty_folder_a_file_and_a_missing_one_are_refused(tmp_path, labeller):
    (tmp_path / "in").mkdir()
    write_volume(tmp_path / "a.nii")
    for name, word in (("in", "No CT was found"), ("a.nii", "is a file"), ("no", "does not exist")):
        with pytest.raises(UsageError, match=word):
            run_batch(tmp_path / name, tmp_path / "out", labeller)
    with pytest.raises(UsageError, match="cannot be opened"):
        run_batch(tmp_path / ("x" * 300), tmp_path / "out", labeller)
    assert not (tmp_path / "out").exists()


def test_a_missing_model_ends_the_run_at_once(place, labeller):
    def load(args, progress):
        raise ModelError("The weights are missing.")

    labeller.load = load
    with pytest.raises(ModelError):
        run_batch(*place, labeller)
    assert {row["state"] for row in rows(place[1]).values()} == {"waiting"}


def test_one_result_that_cannot_be_written_fails_alone(place, labeller):
    (place[1] / "a.mrk.json").mkdir(parents=True)
    with pytest.raises(SomeFailedError):
        run_batch(*place, labeller)
    assert "is a folder" in rows(place[1])["a.nii.gz"]["message"]
    assert labeller.seen == ["b.nrrd", "c.mha"]


def test_earlier_outputs_that_cannot_be_read_fail_alone(place, labeller, monkeypatch):
    run_batch(*place, labeller)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(state, "file_sha256", refuse)
    with pytest.raises(SomeFailedError, match="3 of 3"):
        run_batch(*place, labeller)
    assert "cannot be read (Permission denied)" in rows(place[1])["a.nii.gz"]["message"]


def test_a_full_disk_ends_the_run(place, labeller, monkeypatch):
    def full(self, stem, row):
        raise UsageError("No space left on device.")

    monkeypatch.setattr(Manifest, "put", full)
    with pytest.raises(UsageError, match="No space"):
        run_batch(*place, labeller)
    assert labeller.seen == []


def test_a_disk_that_fills_up_ends_the_run_and_is_no_failure_of_the_scan(place, labeller, monkeypatch):
    """The network would run for all others in vain."""

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("VertebraLabelingLib.batch.task.file_sha256", full)
        with pytest.raises(UsageError, match="No space left on device"):
            run_batch(*place, labeller)
    assert labeller.seen == ["a.nii.gz"]
    assert not (place[1] / "a.run.json").exists()
    run_batch(*place, labeller)
    assert labeller.seen == ["a.nii.gz", "a.nii.gz", "b.nrrd", "c.mha"]


def test_results_that_could_not_be_written_are_tried_again(place, labeller, monkeypatch):
    def in_use(path):
        raise PermissionError(13, "in use")

    with monkeypatch.context() as patch:
        patch.setattr("VertebraLabelingLib.batch.task.file_sha256", in_use)
        with pytest.raises(SomeFailedError, match="3 of 3"):
            run_batch(*place, labeller)
    assert rows(place[1])["a.nii.gz"]["exit_code"] == "2"
    run_batch(*place, labeller)
    assert {row["state"] for row in rows(place[1]).values()} == {"done"}


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
def test_a_full_disk_does_not_hinder_the_lock(tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with lock.only_run(tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_name_that_the_console_cannot_show_does_not_end_the_run(place, monkeypatch):
    """As on Windows, where what goes through a pipe is in an old code page."""
    (place[0] / "\u4e2d.nii").write_bytes(b"")
    fake, console = FakeLabeller(), io.TextIOWrapper(io.BytesIO(), "cp1252")
    monkeypatch.setattr(Labeller, "load", fake.load)
    monkeypatch.setattr(sys, "stdout", console)
    words = ["batch", "--input", str(place[0]), "--output", str(place[1]), "--no-preview", "--scan-timeout", "0"]
    assert predict.main(words) == 7
    console.flush()
    assert rb"\u4e2d.nii: FAILED (3)" in console.buffer.getvalue()


def test_of_several_series_the_note_reaches_the_summary(tmp_path, labeller):
    from test_dicom import ramp, write_series

    source = tmp_path / "in"
    write_series(source / "pat" / "scan", ramp(5), [0, 1, 2, 3, 4], uid="1.2.3.1")
    write_series(source / "pat" / "scan", ramp(3), [0, 1, 2], uid="1.2.3.2", prefix="t")
    write_series(source / "pat" / "scan" / "thin", ramp(9), range(9), uid="1.2.3.3")
    run_batch(source, tmp_path / "out", labeller)
    found = rows(tmp_path / "out")
    assert list(found) == ["pat/scan", "pat/scan/thin"]
    assert "taken (5; others 3)" in found["pat/scan"]["notes"]
    assert record(tmp_path / "out", "pat/scan/thin")["input"]["size_ijk"][2] == 9
    assert "Doe" not in (tmp_path / "out" / "pat" / "scan.run.json").read_text()


# --- the next run -----------------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing(place, labeller):
    source, output = place
    add_broken(source)
    for _ in range(2):
        with pytest.raises(SomeFailedError):
            run_batch(source, output, labeller)
        done, before = len(labeller.seen), snapshot(output)
        labeller.before = lambda name: pytest.fail("worked again")
    assert len(labeller.seen) == done == 7
    assert snapshot(output) == before
    assert labeller.loaded == 1, "the networks were loaded for nothing"
    assert rows(output)["bug.nii"]["exit_code"] == "1"


def test_results_that_a_network_folder_shows_late_are_known_as_own(place, labeller, monkeypatch):
    """Of files that another machine has written, NFS may say for a while that they are not there."""
    with monkeypatch.context() as late:
        late.setattr(desk, "existing", lambda outputs: ())
        run_batch(*place, labeller)
    run_batch(*place, labeller)
    assert len(labeller.seen) == len(set(labeller.seen)) == 3
    assert {row["state"] for row in rows(place[1]).values()} == {"done"}


def test_changed_input_is_done_again(place, labeller):
    run_batch(*place, labeller)
    labeller.seen.clear()
    os.utime(place[0] / "sub" / "b.nrrd", (1, 1))
    run_batch(*place, labeller)
    assert labeller.seen == ["b.nrrd"]


def test_other_weights_are_a_reason_to_label_again_but_not_to_retry(place, labeller):
    write_volume(place[0] / "nothing.nii", 4)
    for weights, seen in (("ab" * 32, 4), ("cd" * 32, 3)):
        fake = FakeLabeller(weights)
        with pytest.raises(SomeFailedError):
            run_batch(*place, fake)
        assert len(fake.seen) == seen


def test_wanted_outputs_that_are_missing_are_a_reason_to_label_again(place, labeller):
    run_batch(*place, labeller)
    run_batch(*place, labeller, "--csv")
    (place[1] / "a.mrk.json").unlink()
    run_batch(*place, labeller, "--csv")
    assert labeller.seen == ["a.nii.gz", "b.nrrd", "c.mha"] * 2 + ["a.nii.gz"]


@pytest.mark.parametrize("reason", ["changed input", "asked for"])
def test_failed_scans_are_retried_for_a_reason_only(place, labeller, reason):
    path = write_volume(place[0] / "z.nii", 4)
    for _ in range(2):
        with pytest.raises(SomeFailedError):
            run_batch(*place, labeller)
    assert labeller.seen.count("z.nii") == 1
    if reason == "asked for":
        labeller.FAILURES = {}
    else:
        write_volume(path)
        os.utime(path, (1, 1))
    run_batch(*place, labeller, *(["--retry-failed"] if reason == "asked for" else []))
    assert labeller.seen.count("z.nii") == 2
    assert rows(place[1])["z.nii"]["state"] == "done"


def test_points_corrected_by_hand_are_never_replaced(place, labeller):
    source, output = place
    run_batch(source, output, labeller)
    (output / "a.mrk.json").write_text("corrected")
    run_batch(source, output, labeller)
    assert "changed after they were written" in rows(output)["a.nii.gz"]["notes"]
    other = FakeLabeller("cd" * 32)
    run_batch(source, output, other)
    assert other.seen == ["b.nrrd", "c.mha"]
    assert (output / "a.mrk.json").read_text() == "corrected"
    assert "move them away" in rows(output)["a.nii.gz"]["notes"]
    (output / "a.mrk.json").unlink()
    run_batch(source, output, other)
    assert other.seen[-1] == "a.nii.gz"


def test_files_of_others_are_never_replaced(place, labeller):
    """The output may be the input folder, where points and tables of the user's own can lie beside the scans."""
    source, _ = place
    (source / "a.mrk.json").write_text("the user's own")
    (source / "sub" / "b.csv").write_text("a table")
    for options, failed in (([], 1), (["--csv"], 2)):
        with pytest.raises(SomeFailedError, match=f"{failed} of 3"):
            run_batch(source, source, labeller, *options)
    assert (source / "a.mrk.json").read_text() == "the user's own"
    assert (source / "sub" / "b.csv").read_text() == "a table"
    assert "not of a batch run" in rows(source)["a.nii.gz"]["message"]
    (source / "a.mrk.json").unlink()
    (source / "sub" / "b.csv").unlink()
    run_batch(source, source, labeller, "--csv")


@pytest.mark.parametrize("name", ["summary.csv", "index.html"])
def test_a_summary_of_others_is_not_replaced(place, labeller, name):
    place[1].mkdir()
    (place[1] / name).write_text("name;age\n")
    with pytest.raises(UsageError, match=f"{name} exists and is not of a batch run"):
        run_batch(*place, labeller)
    assert labeller.seen == []


def test_a_failure_keeps_the_earlier_result_and_knows_it_again(place, labeller):
    source, output = place
    run_batch(source, output, labeller)
    before = (output / "a.mrk.json").read_bytes()
    write_volume(source / "a.nii.gz", 4)
    os.utime(source / "a.nii.gz", (1, 1))
    with pytest.raises(SomeFailedError):
        run_batch(source, output, labeller)
    assert (output / "a.mrk.json").read_bytes() == before
    write_volume(source / "a.nii.gz", 0)
    run_batch(source, output, labeller)
    assert rows(output)["a.nii.gz"]["state"] == "done"


# --- runs that do not end well ----------------------------------------------------------------------------------------


def test_cancel_keeps_what_is_done_and_leaves_the_scan_as_it_was(place, labeller, tmp_path):
    flag = tmp_path / "cancel"
    labeller.before = lambda name: flag.touch() if name == "b.nrrd" else None
    with pytest.raises(CancelledError, match="after 1 of 3 scans"):
        run_batch(*place, labeller, "--cancel-file", flag)
    assert [row["state"] for row in rows(place[1]).values()] == ["done", "waiting", "waiting"]
    assert not list((place[1] / "sub").iterdir())
    flag.unlink()
    labeller.before = lambda name: None
    run_batch(*place, labeller, "--cancel-file", flag)
    assert labeller.seen == ["a.nii.gz", "b.nrrd", "b.nrrd", "c.mha"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels(place, labeller, number):
    labeller.before = lambda name: os.kill(os.getpid(), number)
    with pytest.raises(CancelledError):
        run_batch(*place, labeller)
    assert labeller.seen == ["a.nii.gz"]


def test_a_second_signal_does_not_wait(place, labeller):
    def twice(name):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second signal did not interrupt")

    labeller.before = twice
    with pytest.raises(CancelledError):
        run_batch(*place, labeller)
    assert not (place[1] / "a.run.json").exists()


def killed_in(source: Path, output: Path, name: str, where: str = "label") -> None:
    """A run in a process of its own that kills itself (SIGKILL) when it comes to the scan `name`."""
    code = f"""
import os, signal, sys
sys.path[:0] = {[str(ROOT), str(ROOT / "VertebraLabeling"), str(ROOT / "Testing")]!r}
from pathlib import Path
from batch_fakes import FakeLabeller, run_batch
from VertebraLabelingLib.batch import task
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
fake = FakeLabeller()
def before(scan):
    if scan == {name!r}:
        if {where!r} == "label":
            die()
        task.file_sha256 = die
fake.before = before
run_batch(Path({str(source)!r}), Path({str(output)!r}), fake)
"""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("where", ["label", "write"])
def test_a_killed_run_goes_on_where_it_was(place, labeller, where):
    """ "write": in the middle of writing the files, which leaves a temporary folder behind."""
    source, output = place
    killed_in(source, output, "b.nrrd", where)
    assert not (output / "sub" / "b.mrk.json").exists()
    assert bool(list(output.rglob(".vertebra-labeling-*"))) == (where == "write")
    summary = rows(output)
    assert summary.keys() == {"a.nii.gz", "sub/b.nrrd", "sub/c.mha"}
    run_batch(source, output, labeller)
    assert labeller.seen == ["c.mha", "b.nrrd"], "what may have killed the process comes last"
    assert {row["state"] for row in rows(output).values()} == {"done"}
    assert known(output, "sub/b").attempts == 2
    assert not list(output.rglob(".vertebra-labeling-*"))


def test_a_scan_that_kills_the_process_again_and_again_is_given_up(place, labeller):
    source, output = place
    run_batch(source, output, labeller, "--limit", 1)
    write_volume(source / "sub" / "c.mha", 4)
    labeller.seen.clear()
    for _ in range(state.MAX_DEATHS):
        killed_in(source, output, "b.nrrd")
    with pytest.raises(SomeFailedError, match="2 of 3"):
        run_batch(source, output, labeller)
    assert labeller.seen == []
    assert "ended abruptly 3 times" in rows(output)["sub/b.nrrd"]["message"]
    assert (known(output, "sub/b").state, known(output, "sub/b").exit_code) == ("failed", 1)
    with pytest.raises(SomeFailedError, match="1 of 3"):
        run_batch(source, output, labeller, "--retry-failed")
    assert labeller.seen == ["b.nrrd", "c.mha"]


@pytest.mark.parametrize("moved", ["the record", "both"])
def test_killed_while_the_results_were_moved_into_place(place, labeller, moved):
    """The run's own markups are replaced, be they the earlier or the new ones; those of the user's are not."""
    source, output = place
    run_batch(source, output, labeller)
    earlier, of_the_run = "0" * 64, known(output, "a").markups_sha256
    if moved == "both":
        note(output, "a", state="running", markups_sha256=earlier)
    else:
        note(output, "a", state="running", markups_sha256=of_the_run)
        values = record(output, "a")
        values["batch"]["markups_sha256"] = earlier
        (output / "a.run.json").write_text(json.dumps(values))
    run_batch(source, output, labeller)
    assert labeller.seen[-1] == "a.nii.gz"
    assert known(output, "a").markups_sha256 == of_the_run == record(output, "a")["batch"]["markups_sha256"]
    note(output, "a", state="running")
    (output / "a.mrk.json").write_text("corrected")
    run_batch(source, output, labeller)
    assert (output / "a.mrk.json").read_text() == "corrected"
    assert "corrected" not in labeller.seen and "by hand" in rows(output)["a.nii.gz"]["notes"]


def test_the_files_tell_the_state_while_the_run_goes_on(place, labeller, monkeypatch):
    monkeypatch.setattr("VertebraLabelingLib.batch.standings.WRITE_EVERY_S", 0.0)
    monkeypatch.setattr("VertebraLabelingLib.batch.standings._SHARE_OF_TIME", 1e9)
    seen = []
    labeller.before = lambda name: seen.append([row["state"] for row in rows(place[1]).values()])
    run_batch(*place, labeller)
    assert seen == [["waiting"] * 3, ["done", "waiting", "waiting"], ["done", "done", "waiting"]]


def test_a_table_that_is_open_elsewhere_does_not_end_the_run(place, labeller, monkeypatch):
    """As in Excel on Windows; at the end the user is told."""

    def in_use(path, outcomes):
        raise UsageError(f"{path} cannot be written (in use).")

    monkeypatch.setattr("VertebraLabelingLib.batch.standings.write_summary", in_use)
    with pytest.raises(UsageError, match="in use"):
        run_batch(*place, labeller)
    assert labeller.seen == ["a.nii.gz", "b.nrrd", "c.mha"]


# --- the lock ---------------------------------------------------------------------------------------------------------


def test_a_second_run_on_the_same_output_refuses(place, labeller):
    seen = []

    def second(name):
        with pytest.raises(UsageError, match=rf"process {os.getpid()} on .* writes to .*out; wait") as error:
            run_batch(*place, FakeLabeller())
        seen.append(error)

    labeller.before = second
    run_batch(*place, labeller)
    assert len(seen) == 3


def test_the_lock_file_of_a_killed_run_keeps_nobody_out(place, labeller):
    place[1].mkdir()
    (place[1] / lock.LOCK_NAME).write_text(json.dumps({"pid": os.getpid(), "host": "here"}))
    run_batch(*place, labeller)
    assert (place[1] / lock.LOCK_NAME).read_text() == ""


# --- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"exit_code": 0}', '{"exit_code": 0, "batch": {}}'])
def test_what_is_no_record_of_a_batch_run(tmp_path, text):
    (tmp_path / "a.run.json").write_text(text)
    assert state.read_record(tmp_path / "a.run.json") is None


@pytest.mark.parametrize("damage", [{"level": "X9"}, {"probability": None}])
def test_a_record_that_the_tables_cannot_tell_is_none(place, labeller, damage):
    """It would end every run."""
    run_batch(*place, labeller)
    values = record(place[1], "a")
    assert state.read_record(place[1] / "a.run.json") is not None
    values["labelling"]["points"][0] |= damage
    (place[1] / "a.run.json").write_text(json.dumps(values))
    assert state.read_record(place[1] / "a.run.json") is None


def test_without_manifest_results_are_known_again_by_their_records(place, labeller):
    run_batch(*place, labeller)
    before = snapshot(place[1])
    (place[1] / MANIFEST_NAME).unlink()
    run_batch(*place, labeller)
    assert snapshot(place[1]) == before
    assert len(labeller.seen) == 3
    assert {(row["state"], row["levels"]) for row in rows(place[1]).values()} == {("done", "L1 L3")}


def test_what_version_0_1_left_is_taken_over(place, labeller):
    """It had no manifest, and wrote a record for each scan that had failed or was only begun."""
    source, output = place
    run_batch(source, output, labeller)
    (output / MANIFEST_NAME).unlink()
    done = record(output, "a")
    for stem, code, more in (("a", 4, {}), ("sub/b", None, {"begun": 1})):
        batch = done["batch"] | {"input": record(output, stem)["batch"]["input"], "files": ["record"], **more}
        values = {"exit_code": code, "message": "Nothing there.", "batch": batch | {"markups_sha256": None}}
        (output / f"{stem}.run.json").write_text(json.dumps(values))
        (output / f"{stem}.mrk.json").unlink()
    labeller.seen.clear()
    with pytest.raises(SomeFailedError, match="1 of 3"):
        run_batch(source, output, labeller)
    assert labeller.seen == ["b.nrrd"]
    assert rows(output)["a.nii.gz"]["message"] == "Nothing there."
    assert known(output, "sub/b").attempts == 2
    assert not (output / "a.run.json").exists()


def test_a_lost_manifest_and_a_damaged_record_protect_the_files_beside(place, labeller):
    run_batch(*place, labeller)
    (place[1] / MANIFEST_NAME).unlink()
    (place[1] / "a.run.json").write_text("{")
    with pytest.raises(SomeFailedError):
        run_batch(*place, labeller)
    assert rows(place[1])["a.nii.gz"]["message"].startswith("Markups and record of this scan")


def abandoned(folder: Path) -> Path:
    """What a killed run leaves: a temporary folder that nobody has locked."""
    with temporary_folder(folder) as held:
        left = held.with_name(f"{held.name}0")
        left.mkdir()
        (left / "half.csv").write_text("half")
    return left


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(place, labeller):
    place[1].mkdir()
    for name in (".keep", ".gitignore", ".vertebra-labeling-notes"):
        (place[1] / name).write_text("")
    (place[1] / ".git").mkdir()
    left = abandoned(place[1])
    with temporary_folder(place[1]) as held:
        run_batch(*place, labeller)
        assert held.is_dir() and not left.exists()
    kept = {".keep", ".gitignore", ".vertebra-labeling-notes", ".git", lock.LOCK_NAME}
    assert {p.name for p in place[1].glob(".*")} == kept


def test_leftovers_beside_the_summary_are_removed_where_no_scan_lies_there(tmp_path, labeller):
    write_volume(tmp_path / "in" / "sub" / "a.nii")
    (tmp_path / "out").mkdir()
    left = abandoned(tmp_path / "out")
    run_batch(tmp_path / "in", tmp_path / "out", labeller)
    assert not left.exists()


def test_preview_pictures_are_made_unless_told_otherwise(place, labeller, monkeypatch):
    from batch_fakes import batch_args
    from VertebraLabelingLib.batch import run

    args = batch_args(*place, "--preview", "--limit", 1)
    run.run_batch(args, labeller)
    assert (place[1] / "a.png").read_bytes().startswith(b"\x89PNG")
    assert '<img src="./a.png"' in (place[1] / "index.html").read_text(encoding="utf-8")
