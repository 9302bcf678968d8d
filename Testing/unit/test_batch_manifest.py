"""The manifest of a batch run, what can be wrong with it, and who may read it meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from batch_fakes import FakeLabeller, run_batch, write_volume
from VertebraLabelingLib.batch import manifest as manifest_module
from VertebraLabelingLib.batch.manifest import MANIFEST_NAME, Row, opened
from VertebraLabelingLib.core.errors import UsageError

POINT = {"level": "L1", "probability": 0.9, "confirmed": False}
TOLD = {"notes": [], "labelling": {"summary": "L1", "level_certain": True, "remarks": [], "points": [POINT]}}
ROW = Row(
    "sub/a b.nii", "failed", 4, "It's \"broken\"; 'x'", 2, 1, "process 7", "2026-01-01T00:00:00+00:00", None,
    {"read": 0.5}, "in", "set", "ab" * 32, ("markups", "record"), TOLD,
)  # fmt: skip


def test_a_row_is_read_as_it_was_written(tmp_path):
    with opened(tmp_path) as manifest:
        assert manifest.get("sub/a b") is None
        manifest.put("sub/a b", Row("sub/a b.nii"))
        manifest.put("sub/a b", ROW)
    with opened(tmp_path) as manifest:
        assert manifest.get("sub/a b") == ROW
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST_NAME], "no journal stays behind"


def test_a_folder_with_any_name_and_a_stem_that_is_no_unicode(tmp_path):
    folder = tmp_path / "a?b#c%20 ü"
    folder.mkdir()
    with opened(folder) as manifest:
        manifest.put("x\udcff", ROW)
        assert manifest.get("x\udcff") == ROW
    assert (folder / MANIFEST_NAME).is_file()


def test_others_may_read_while_a_run_writes(tmp_path):
    with opened(tmp_path) as manifest, closing(sqlite3.connect(tmp_path / MANIFEST_NAME)) as reader:
        manifest.put("a", ROW)
        assert reader.execute("SELECT scan, attempts FROM scans").fetchall() == [("sub/a b.nii", 2)]
        manifest.put("b", ROW)
        assert reader.execute("SELECT count(*) FROM scans").fetchone() == (2,)


def test_a_transaction_that_was_cut_off_is_undone(tmp_path):
    """As after a kill in the middle of writing: the journal is there, and the half-changed file."""
    with opened(tmp_path) as manifest:
        manifest.put("a", ROW)
    path = tmp_path / MANIFEST_NAME
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA cache_size = 0")  # changed pages go to the file before the commit
        database.execute("BEGIN")
        database.execute("UPDATE scans SET state = 'done', told = ?", ("x" * 500_000,))
        half = {name: (tmp_path / name).read_bytes() for name in (MANIFEST_NAME, f"{MANIFEST_NAME}-journal")}
        database.execute("ROLLBACK")
    for name, content in half.items():
        (tmp_path / name).write_bytes(content)
    with opened(tmp_path) as manifest:
        assert manifest.get("a") == ROW


def test_a_damaged_file_is_named_and_results_are_known_again_without_it(tmp_path):
    write_volume(tmp_path / "in" / "a.nii")
    output, labeller = tmp_path / "out", FakeLabeller()
    run_batch(tmp_path / "in", output, labeller)
    (output / MANIFEST_NAME).write_bytes(b"no database " * 100)
    with pytest.raises(UsageError, match=r"manifest\.sqlite is damaged .*move it away"):
        run_batch(tmp_path / "in", output, labeller)
    (output / MANIFEST_NAME).unlink()
    run_batch(tmp_path / "in", output, labeller)
    assert labeller.seen == ["a.nii"]


@pytest.mark.parametrize(
    ("change", "word"), [("application_id = 5", "not of a batch run"), ("user_version = 9", "later version")]
)
def test_a_database_of_others_and_of_the_future_is_refused(tmp_path, change, word):
    with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / MANIFEST_NAME)) as database:
        database.execute(f"PRAGMA {change}")
    with pytest.raises(UsageError, match=word), opened(tmp_path):
        pytest.fail("taken over")


def test_where_the_file_system_has_no_locks_the_one_of_the_folder_is_enough(tmp_path, monkeypatch):
    connect, asked = sqlite3.connect, []

    def without_locks(address, **more):
        asked.append(address)
        if "nolock" not in address:
            raise sqlite3.OperationalError("disk I/O error")
        return connect(address, **more)

    monkeypatch.setattr(manifest_module.sqlite3, "connect", without_locks)
    with opened(tmp_path) as manifest:
        manifest.put("a", ROW)
        assert manifest.get("a") == ROW
    assert len(asked) == 2


def test_a_manifest_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / MANIFEST_NAME).mkdir()
    with pytest.raises(UsageError, match="cannot be used"), opened(tmp_path):
        pytest.fail("opened a folder")


def test_it_is_written_once_per_begin_and_end(tmp_path, monkeypatch):
    """And none of it when there is nothing to do, so that ten thousand done scans cost no writing."""
    for name in "ab":
        write_volume(tmp_path / "in" / f"{name}.nii")
    put, stems = manifest_module.Manifest.put, []
    monkeypatch.setattr(
        manifest_module.Manifest, "put", lambda self, stem, row: (stems.append(stem), put(self, stem, row))
    )
    run_batch(tmp_path / "in", tmp_path / "out", FakeLabeller())
    assert stems == ["a", "a", "b", "b"]
    run_batch(tmp_path / "in", tmp_path / "out", FakeLabeller())
    assert len(stems) == 4


def test_a_stored_text_that_is_no_json_is_damage(tmp_path):
    with opened(tmp_path) as manifest:
        manifest.put("a", ROW)
    with closing(sqlite3.connect(tmp_path / MANIFEST_NAME)) as database:
        database.execute("UPDATE scans SET files = '['")
        database.commit()
    with opened(tmp_path) as manifest, pytest.raises(UsageError, match="damaged"):
        manifest.get("a")


def test_the_page_on_scale_out_tells_every_column(tmp_path):
    page = (Path(__file__).resolve().parents[2] / "Resources" / "Scale-out.md").read_text(encoding="utf-8")
    with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / MANIFEST_NAME)) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(scans)")]
    assert [name for name in columns if f"`{name}`" not in page] == []
