"""Temporary folders: locked while they are used, removed when nobody uses them any more, whoever made them."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from VertebraLabelingLib.core import temporary
from VertebraLabelingLib.core.temporary import PREFIX, remove_abandoned, temporary_folder

DAY_S = 24 * 3600


def hold(parent: Path, made: Connection) -> None:
    """As another process: keep a folder with half a file until it is killed."""
    with temporary_folder(parent) as folder:
        (folder / "a.csv").write_text("half")
        made.send("made")
        time.sleep(600)


@pytest.fixture
def holder(tmp_path):
    """A process that has a folder."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=hold, args=(tmp_path, theirs))
    process.start()
    assert ours.poll(120) and ours.recv() == "made"
    yield process
    process.kill()
    process.join()


def folders(parent: Path) -> list[Path]:
    return list(parent.glob(f"{PREFIX}*"))


def left_behind(parent: Path, name: str, age_s: float = 0.0) -> Path:
    folder = parent / f"{PREFIX}{name}"
    folder.mkdir()
    (folder / ".lock").touch()
    os.utime(folder, (time.time() - age_s,) * 2)
    return folder


def test_a_folder_is_hidden_while_it_is_used_and_gone_after_it(tmp_path):
    with temporary_folder(tmp_path) as folder:
        assert folders(tmp_path) == [folder]
        (folder / "a").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_process_that_works_stays_and_that_of_a_killed_one_goes(tmp_path, holder):
    remove_abandoned(tmp_path)
    (folder,) = folders(tmp_path)
    assert (folder / "a.csv").read_text() == "half"
    holder.kill()
    holder.join()
    assert folder.exists()
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_this_process_stays_where_locks_are_per_process(tmp_path, monkeypatch):
    """As on NFS."""
    monkeypatch.setattr(temporary, "try_lock", lambda file: True)
    with temporary_folder(tmp_path) as folder:
        remove_abandoned(tmp_path)
        assert folder.is_dir()


def test_the_folder_of_another_machine_stays_for_a_day(tmp_path):
    """Its lock may not be seen here."""
    new, old = left_behind(tmp_path, "00000000-new"), left_behind(tmp_path, "00000000-old", DAY_S + 60)
    remove_abandoned(tmp_path)
    assert (new.exists(), old.exists()) == (True, False)


def test_where_there_are_no_locks_a_folder_stays_for_a_day(tmp_path, monkeypatch):
    def refuse(file):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(temporary, "try_lock", refuse)
    with temporary_folder(tmp_path) as folder:
        assert folder.is_dir()
    own = temporary._own_prefix().removeprefix(PREFIX)
    new, old = left_behind(tmp_path, f"{own}new"), left_behind(tmp_path, f"{own}old", DAY_S + 60)
    remove_abandoned(tmp_path)
    assert (new.exists(), old.exists()) == (True, False)


def test_a_folder_that_is_taken_for_abandoned_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    """Somebody tidies between the making of the folder and its lock."""
    locked, seen = temporary._locked, []

    def late(path):
        seen.append(path)
        if len(seen) == 1:
            temporary._in_use.clear()  # another process does not know it
            remove_abandoned(tmp_path)
        return locked(path)

    monkeypatch.setattr(temporary, "_locked", late)
    with temporary_folder(tmp_path) as folder:
        assert len(seen) == 2 and folder.is_dir()
        assert folders(tmp_path) == [folder]


def test_files_and_links_of_that_name_are_not_touched(tmp_path):
    (tmp_path / f"{PREFIX}notes").write_text("x")
    (tmp_path / "real").mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "real")
    remove_abandoned(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_that_is_not_there_has_nothing_to_tidy(tmp_path):
    remove_abandoned(tmp_path / "none")


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_get_the_permissions_that_they_would_have_without_the_folder(tmp_path):
    (tmp_path / "beside").touch()
    with temporary_folder(tmp_path) as folder:
        (folder / "a").touch()
        (folder / "a").replace(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "beside").stat().st_mode
