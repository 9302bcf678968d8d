"""Uploads: limited before and while they are stored, and gone afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.view.uploads import (
    MEGABYTE,
    UploadTooLargeError,
    check_announced,
    kept_place,
    safe_name,
    scan_of,
    store,
    temporary_folder,
)


async def chunks(*sizes):
    for size in sizes:
        yield b"x" * size


def test_an_upload_that_says_itself_too_large_is_refused_before_anything_is_read():
    check_announced(None, 10)
    check_announced(10, 10)
    with pytest.raises(UploadTooLargeError, match=r"larger than 2 MB.*--upload-limit"):
        check_announced(2 * MEGABYTE + 1, 2 * MEGABYTE)


def test_an_upload_that_lied_of_its_size_ends_at_the_limit(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(UploadTooLargeError):
        asyncio.run(store(chunks(4, 4, 4), path, 10))
    assert path.stat().st_size == 8


def test_what_fits_is_stored_whole(tmp_path):
    asyncio.run(store(chunks(4, 0, 6), tmp_path / "x", 10))
    assert (tmp_path / "x").read_bytes() == b"x" * 10


def test_no_upload_replaces_a_file(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        asyncio.run(store(chunks(4), tmp_path / "x", 10))
    assert (tmp_path / "x").read_bytes() == b"old"


def test_the_folder_of_an_upload_is_private_and_goes_with_its_content():
    with temporary_folder() as folder:
        (folder / "x").write_bytes(b"1")
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


@pytest.mark.parametrize(
    ("said", "name"),
    [("a.nii.gz", "a.nii.gz"), ("C:\\data\\a.nrrd", "a.nrrd"), ("../../etc/x.nii", "x.nii"), ("a\0b", "ab")],
)
def test_only_the_last_part_of_a_name_counts(said, name):
    assert safe_name(said) == name


@pytest.mark.parametrize("said", ["", "..", "a/", "/", ".", "x" * 256])
def test_a_name_of_which_nothing_is_left_is_refused(said):
    with pytest.raises(InputError, match="usable name"):
        safe_name(said)


@pytest.mark.parametrize("said", ["a/..", "a/", "a/b/."])
def test_a_name_of_which_nothing_is_left_is_refused_in_a_folder_too(said):
    with pytest.raises(InputError, match="usable name"):
        kept_place(said, {})


def test_folders_are_kept_by_number_so_that_no_name_of_theirs_counts():
    folders = {}
    said = ("x.dcm", "../x.dcm", "/etc/x.dcm", "..\\y.dcm", "a/b/x.dcm")
    assert [kept_place(name, folders) for name in said] == [
        "x.dcm", "folder-0/x.dcm", "folder-1/x.dcm", "folder-0/y.dcm", "folder-2/x.dcm",
    ]  # fmt: skip


def dropped(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    return scan_of(folder, names)


@pytest.mark.parametrize(
    ("names", "header"),
    [
        (["a.nii.gz"], "a.nii.gz"),
        (["a.raw", "a.mhd"], "a.mhd"),
        (["a.NHDR", "a.raw.gz"], "a.NHDR"),
        (["a.hdr", "a.img"], "a.hdr"),
        (["folder-0/a.mhd", "folder-0/a.raw", "folder-1/x.txt"], "folder-0/a.mhd"),
        (["folder-0/a.nii.gz"], "folder-0/a.nii.gz"),
    ],
)
def test_a_header_and_its_data_are_one_scan(tmp_path, names, header):
    assert dropped(tmp_path, *names) == (tmp_path / header, Path(header).name)


def test_slices_with_whatever_lies_beside_them_are_a_series(tmp_path):
    assert dropped(tmp_path, "1.dcm", "readme.txt", "2.dcm") == (tmp_path, "DICOM series")
    assert dropped(tmp_path, "folder-0/1.dcm", "folder-1/1.dcm") == (tmp_path, "DICOM series")


@pytest.mark.parametrize("names", [["a.nii.gz", "b.nii.gz"], ["a.mhd", "b.mhd", "1.dcm"], ["a.txt", "b.mrk.json"]])
def test_files_that_are_no_one_scan_are_refused(tmp_path, names):
    with pytest.raises(InputError, match="no one scan"):
        dropped(tmp_path, *names)
