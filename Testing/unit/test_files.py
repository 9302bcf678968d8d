from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib.core import files
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.core.files import atomic_write, require_writable_folder
from VertebraLabelingLib.core.temporary import temporary_folder


def test_file_appears_only_when_the_block_ends(tmp_path):
    target = tmp_path / "a.txt"
    with atomic_write(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.is_relative_to(tmp_path)
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_temporary_name_keeps_the_suffix_by_which_the_format_is_chosen(tmp_path):
    target = tmp_path / "patient 1.v2.nii.gz"
    with atomic_write(target) as temporary:
        assert temporary.name.endswith(".nii.gz")
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4), np.int16)), str(temporary))
    assert target.read_bytes()[:2] == b"\x1f\x8b"


def test_what_a_killed_program_has_left_is_removed(tmp_path):
    with temporary_folder(tmp_path) as folder:
        left = folder.with_name(f"{folder.name}0")
        left.mkdir()
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("new")
        assert folder.exists() and not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_looked_through_once_however_many_files_are_written(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr(files, "remove_abandoned", looked.append)
    for name in ("a.txt", "b.txt"):
        with atomic_write(tmp_path / name) as temporary:
            temporary.write_text("new")
    assert looked == [tmp_path]


def test_missing_folder_and_folder_in_place_of_the_file_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="cannot be written"), atomic_write(tmp_path / "no" / "a.txt") as temporary:
        temporary.write_text("x")
    (tmp_path / "taken").mkdir()
    with pytest.raises(UsageError, match="taken cannot be written"), atomic_write(tmp_path / "taken") as temporary:
        temporary.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_writable_folder_passes_and_stays_empty(tmp_path):
    require_writable_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_and_file_are_refused(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        require_writable_folder(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a folder"):
        require_writable_folder(tmp_path / "file")


def test_folder_that_refuses_files_is_refused(tmp_path, monkeypatch):
    """By a fake of the system call: administrators, as in containers, may write everywhere."""

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("VertebraLabelingLib.core.files.tempfile.TemporaryFile", refuse)
    with pytest.raises(UsageError, match="Permission denied"):
        require_writable_folder(tmp_path)
