"""Damaged files that this program has written itself: weights, lists of models, run records, the manifest of a batch.

Each is read, or refused in a sentence; a batch run loses no scan by them, and never what the user has corrected.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from batch_fakes import FakeLabeller, run_batch, write_volume
from bombs import zipped
from fuzz_damage import changes, damaged, exchanges, values
from fuzzing import Worker, settled
from hypothesis import given
from hypothesis import strategies as st
from VertebraLabelingLib.batch.lock import LOCK_NAME
from VertebraLabelingLib.batch.manifest import MANIFEST_NAME
from VertebraLabelingLib.batch.run import SomeFailedError
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.engines.store import UserModels
from VertebraLabelingLib.engines.weights import register_model, save_weights

pytest.importorskip("resource", reason="memory is limited by means of POSIX")

QUICK_EACH, SLOW_EACH = 8, 60
REFUSED_MODEL = 5
RECORD = "a.run.json"
OWN_FILES = {MANIFEST_NAME, LOCK_NAME, RECORD, "a.mrk.json", "a.csv", "index.html", "summary.csv"}
COLUMNS = ("state", "exit_code", "message", "attempts", "deaths", "seconds", "input", "settings", "files", "told")
JSON_COLUMNS = ("seconds", "files", "told")


# --- weights and lists of models --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    save_weights(path, {"a.weight": np.ones((3, 4)), "a.count": np.array(7)}, {"model": "sites"})
    return path


@pytest.fixture(scope="module")
def stores(tmp_path_factory, weights) -> dict[str, tuple[Path, str]]:
    """For each task its folder and the file to damage in it."""
    shipped, own = tmp_path_factory.mktemp("shipped"), tmp_path_factory.mktemp("own")
    register_model(weights, shipped, b"graph", version="1")
    UserModels(own).import_file(weights)
    return {
        "weights": (weights.parent, weights.name),
        "models": (shipped, "models.json"),
        "user models": (own, "models.json"),
    }


def judged(worker: Worker, stores, task: str, content: bytes) -> list[str] | None:
    """What was read, None for a refusal."""
    source, name = stores[task]
    with tempfile.TemporaryDirectory(dir=worker.folder) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        (Path(folder) / name).write_bytes(content)
        answer = worker.read(task, Path(folder) / name)
        assert answer["code"] in (0, REFUSED_MODEL), answer["message"]
        assert answer["mb"] < 50
        if task == "user models" and answer["told"]:
            assert {Path(path).parent for path in answer["told"]} == {Path(folder)}
    return answer["told"]


def original(stores, task: str) -> bytes:
    folder, name = stores[task]
    return (folder / name).read_bytes()


def store_fuzzed(worker: Worker, stores, task: str, count: int) -> None:
    data = original(stores, task)
    true = hashlib.sha256((stores["weights"][0] / "w.npz").read_bytes()).hexdigest()
    damage = changes(task != "weights").map(lambda some: damaged(data, len(data), some))
    exchanged = exchanges().map(lambda one: one.applied(data))

    @settled(count)
    @given(damage if task == "weights" else damage | exchanged)
    def read_or_refused(content):
        told = judged(worker, stores, task, content)
        if task == "models":
            assert set(told or ()) <= {true}

    read_or_refused()


TASKS = ("weights", "models", "user models")


@pytest.mark.parametrize("task", TASKS)
def test_a_few_damaged_stores(worker, stores, task):
    store_fuzzed(worker, stores, task, QUICK_EACH)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_many_damaged_stores(worker, stores, task):
    store_fuzzed(worker, stores, task, SLOW_EACH)


@pytest.mark.parametrize("task", TASKS)
def test_undamaged_stores_are_read(worker, stores, task):
    assert judged(worker, stores, task, original(stores, task))


@pytest.mark.parametrize("task", ["models", "user models"])
def test_a_list_that_is_nested_without_end_is_refused(worker, stores, task):
    assert judged(worker, stores, task, b'{"models": ' + b"[" * 100_000) is None


def test_a_model_that_is_a_device_is_refused(worker, stores):
    """It would be read until the memory is full."""
    content = json.loads(original(stores, "models"))
    content["models"][0]["file"] = "/dev/zero"
    assert judged(worker, stores, "models", json.dumps(content).encode()) is None


def array_head(shape) -> bytes:
    """The beginning of a .npy file."""
    text = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text + b"\n"


def test_weights_that_unpack_to_a_gigabyte_are_refused(worker, stores):
    assert judged(worker, stores, "weights", zipped("w.npy", array_head((2**28,)))) is None


def test_weights_that_claim_a_huge_array_are_refused(worker, stores):
    assert judged(worker, stores, "weights", zipped("w.npy", array_head((100_000,) * 3), chunks=1)) is None


# --- a batch run ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> tuple[Path, Path]:
    """A folder with one scan, and that with its results."""
    folder = tmp_path_factory.mktemp("batch")
    write_volume(folder / "in" / "a.nii.gz")
    run_batch(folder / "in", folder / "out", FakeLabeller(), "--csv")
    return folder / "in", folder / "out"


def gone_on(worker: Worker, place, harm, is_corrected: bool) -> int:
    """Exit code of a batch run after `harm(folder)`; is_corrected: the user has moved a point before."""
    source, results = place
    with tempfile.TemporaryDirectory(dir=worker.folder) as folder:
        output = Path(shutil.copytree(results, Path(folder) / "out"))
        markups = output / "a.mrk.json"
        if is_corrected:
            markups.write_text(markups.read_text().replace("4.0", "5.5"))
        before = markups.read_bytes()
        harm(output)
        answer = worker.ask("batch", output / "x", source=str(source))
        code, after = answer["code"], sorted(path.name for path in output.iterdir())
        worker.counts["half_written"] += not set(after) <= OWN_FILES
        assert set(after) <= OWN_FILES
        lost = is_corrected and markups.read_bytes() != before
        lost |= code == 0 and [point.level.name for point in read_points(markups)] != ["L1", "L3"]
        worker.counts["lost"] += lost
        assert not lost
        told = (output / "summary.csv").read_text()
    worker.counts["crashes"] += code not in (0, 2, SomeFailedError.exit_code)
    assert code in (0, 2, SomeFailedError.exit_code), answer["message"]
    assert code == 0 or answer["message"].rstrip().endswith("."), answer["message"]
    assert code != SomeFailedError.exit_code or "a.nii.gz,failed," in told
    worker.counts["went on" if code == 0 else "refused"] += 1
    return code


def record_exchanged(place, alone: bool):
    """What damages the run record; alone: the manifest is lost too, and the record all that tells of the result."""
    data = (place[1] / RECORD).read_bytes()
    contents = exchanges().map(lambda one: one.applied(data)) | changes(True).map(
        lambda some: damaged(data, len(data), some)
    )

    def harm(content: bytes):
        def written(output: Path) -> None:
            (output / RECORD).write_bytes(content)
            if alone:
                (output / MANIFEST_NAME).unlink()

        return written

    return contents.map(harm)


def manifest_damaged(place):
    """What damages the bytes of the manifest, or exchanges a value in it."""
    data = (place[1] / MANIFEST_NAME).read_bytes()
    contents = changes(False).map(lambda some: damaged(data, 500, some))
    return contents.map(lambda content: lambda output: (output / MANIFEST_NAME).write_bytes(content)) | st.builds(
        cell_exchanged, st.sampled_from(COLUMNS), values
    )


def cell_exchanged(column: str, value):
    """A value of whatever kind in a column; as JSON where the column holds JSON."""
    told = json.dumps(value) if column in JSON_COLUMNS or isinstance(value, (list, dict)) else value
    told = str(told) if isinstance(told, int) and abs(told) >= 2**63 else told

    def harm(output: Path) -> None:
        with closing(sqlite3.connect(output / MANIFEST_NAME)) as database, database:
            database.execute("PRAGMA ignore_check_constraints = ON")
            with suppress(sqlite3.IntegrityError, UnicodeEncodeError):  # what no manifest can hold
                database.execute(f"UPDATE scans SET {column} = ?", (told,))

    return harm


BATCH = {
    "record": lambda place: record_exchanged(place, alone=False),
    "record alone": lambda place: record_exchanged(place, alone=True),
    "manifest": manifest_damaged,
}


def batch_fuzzed(worker: Worker, place, what: str, count: int) -> None:
    @settled(count)
    @given(BATCH[what](place), st.booleans())
    def goes_on_or_refuses(harm, is_corrected):
        gone_on(worker, place, harm, is_corrected)

    goes_on_or_refuses()


@pytest.mark.parametrize("what", BATCH)
def test_a_few_damaged_batch_folders(worker, place, what):
    batch_fuzzed(worker, place, what, QUICK_EACH)


@pytest.mark.slow
@pytest.mark.parametrize("what", BATCH)
def test_many_damaged_batch_folders(worker, place, what):
    batch_fuzzed(worker, place, what, SLOW_EACH)


@pytest.mark.parametrize("is_corrected", [False, True])
def test_an_undamaged_batch_folder_is_left_alone(worker, place, is_corrected):
    assert gone_on(worker, place, lambda output: None, is_corrected) == 0


def test_a_record_that_is_nested_without_end_is_no_record(worker, place):
    def harm(output: Path) -> None:
        (output / MANIFEST_NAME).unlink()
        (output / RECORD).write_bytes(b"[" * 100_000)

    assert gone_on(worker, place, harm, is_corrected=False) == SomeFailedError.exit_code
