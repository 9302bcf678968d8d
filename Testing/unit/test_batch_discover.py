"""Which scans a batch run finds below a folder, and what it calls them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from batch_fakes import write_volume
from VertebraLabelingLib.batch import discover as discover_module
from VertebraLabelingLib.batch.discover import discover


def touch(root, *names, content=b"x"):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


DICOM = bytes(128) + b"DICM"


def stems(root, output=None, exclude=()):
    return {entry.relative: entry.stem for entry in discover(root, output or root / "out", exclude)}


def test_volume_files_are_found_at_any_depth_in_a_stable_order(tmp_path):
    names = ["b.nrrd", "a.nii.gz", "z/y/x.mha", "z/A.NII", "c.mhd", "d.nhdr", "e.hdr", "e.img"]
    touch(tmp_path, *names, "readme.txt", "x.json", "c.raw", "program.hdr", ".hidden.nii", ".git/a.nii", "._a.nii.gz")
    found = list(stems(tmp_path))
    assert found == ["a.nii.gz", "b.nrrd", "c.mhd", "d.nhdr", "e.hdr", "z/A.NII", "z/y/x.mha"]


def test_stems_mirror_the_folders_without_the_suffix(tmp_path):
    touch(tmp_path, "p1/ct.nii.gz", "p2/ct.nrrd", "p 3/v1.2.nii")
    assert list(stems(tmp_path).values()) == ["p 3/v1.2", "p1/ct", "p2/ct"]


def test_both_of_two_equal_stems_keep_their_suffix(tmp_path):
    touch(tmp_path, "a.nii.gz", "a.nrrd", "B.mha", "b.nii", "c.nii", "summary.nii", "sub/summary.nii")
    touch(tmp_path / "c", "1.dcm", "2.dcm", content=DICOM)
    assert stems(tmp_path) == {
        "a.nii.gz": "a.nii.gz", "a.nrrd": "a.nrrd", "B.mha": "B.mha", "b.nii": "b.nii", "c": "c", "c.nii": "c.nii",
        "summary.nii": "summary.nii", "sub/summary.nii": "sub/summary",
    }  # fmt: skip


def test_names_made_to_collide_are_numbered(tmp_path):
    touch(tmp_path, "a.nii", "a.nrrd", "a.nii.mha")
    assert sorted(stems(tmp_path).values()) == ["a.nii", "a.nii-2", "a.nrrd"]


def test_a_folder_with_slices_is_one_scan_and_so_is_each_below_it(tmp_path):
    touch(tmp_path / "ward" / "se1", "IM1", "IM2", "notes.txt", content=DICOM)
    touch(tmp_path / "ward" / "se1" / "more", "1.2.840.113", content=DICOM)
    touch(tmp_path / "ward" / "old", "a.dcm", "b.ima")
    touch(tmp_path / "ward", "DICOMDIR", content=DICOM)
    assert list(stems(tmp_path)) == ["ward/old", "ward/se1", "ward/se1/more"]


def test_names_that_another_system_takes_for_one_are_kept_apart(tmp_path):
    touch(tmp_path, "\u00e9.nii", "e\u0301.nrrd")
    assert sorted(stems(tmp_path).values()) == sorted(["\u00e9.nii", "e\u0301.nrrd"])


def test_a_folder_that_may_be_listed_but_not_entered_is_an_entry_of_its_own(tmp_path, monkeypatch):
    """As with the permissions r--; the others are found all the same."""
    touch(tmp_path, "closed/a.nii", "open/b.nii")
    is_file = Path.is_file

    def refusing(path):
        if path.parent.name == "closed":
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refusing)
    found = discover(tmp_path, tmp_path / "out")
    assert [(entry.relative, entry.fingerprint() == "") for entry in found] == [("closed", True), ("open/b.nii", False)]


def test_a_folder_of_slices_given_itself_is_called_by_its_name(tmp_path):
    touch(tmp_path / "series 7", "1.dcm", content=DICOM)
    assert stems(tmp_path / "series 7") == {"series 7": "series 7"}


def test_the_output_folder_is_not_entered_unless_it_is_the_input(tmp_path):
    touch(tmp_path, "a.nii", "out/b.nii", "c/out/d.nii")
    assert list(stems(tmp_path, tmp_path / "out")) == ["a.nii", "c/out/d.nii"]
    assert list(stems(tmp_path, tmp_path)) == ["a.nii", "c/out/d.nii", "out/b.nii"]
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert list(stems(tmp_path, tmp_path / "link")) == ["a.nii", "c/out/d.nii"]


def test_links_to_folders_are_followed_once(tmp_path):
    touch(tmp_path, "in/a/1.nii", "elsewhere/2.nii")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "a" / "loop").symlink_to(tmp_path / "in")
    assert list(stems(tmp_path / "in")) == ["a/1.nii", "b/2.nii"]


def test_excluded_names_and_folders(tmp_path):
    touch(tmp_path, "a.nii", "a_seg.nii", "old/b.nii", "p/c_seg.nii")
    assert list(stems(tmp_path, exclude=["*_seg.nii", "old/*"])) == ["a.nii"]


def test_a_name_that_is_no_unicode_is_told_in_ascii(tmp_path):
    try:
        touch(tmp_path, "CT \udcfc.nii")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes valid names only")
    (entry,) = discover(tmp_path, tmp_path / "out")
    assert entry.relative == "CT \\udcfc.nii"
    assert entry.path.exists()


@pytest.mark.parametrize("change", ["size", "time"])
def test_the_fingerprint_changes_with_size_and_time(tmp_path, change):
    path = write_volume(tmp_path / "a.nii")
    (entry,) = discover(tmp_path, tmp_path / "out")
    before = entry.fingerprint()
    assert entry.fingerprint() == before
    if change == "size":
        stat = path.stat()
        path.write_bytes(path.read_bytes() + b"x")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        os.utime(path, (1, 1))
    assert entry.fingerprint() != before


def test_the_fingerprint_covers_slices_and_data_files_but_not_outputs(tmp_path):
    touch(tmp_path / "s", "1.dcm", "2.dcm", content=DICOM)
    touch(tmp_path, "v.mhd", "v.raw")
    for entry, part in zip(discover(tmp_path, tmp_path), ("s/2.dcm", "v.raw"), strict=True):
        before = entry.fingerprint()
        touch(tmp_path, "s/s.mrk.json", "v.mrk.json", "v.csv", "v.png", "v.run.json")
        assert entry.fingerprint() == before
        touch(tmp_path, part, content=DICOM + b"more")
        assert entry.fingerprint() != before


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("v.mhd", b"NDims = 3\nElementDataFile = sub/voxels.dat\n"),
        ("v.nhdr", b"NRRD0004\ndata file: sub/voxels.dat\n\n"),
    ],
)
def test_the_fingerprint_covers_the_file_that_a_header_names(tmp_path, header, text):
    touch(tmp_path, header, content=text)
    touch(tmp_path, "sub/voxels.dat")
    (entry,) = discover(tmp_path, tmp_path / "out")
    before = entry.fingerprint()
    touch(tmp_path, "sub/voxels.dat", content=b"other")
    assert entry.fingerprint() not in (before, "")


@pytest.mark.parametrize("name", [b"no/such.raw", b"s%03d.raw 1 9 1", b"LIST", b"\x01"])
def test_a_header_that_names_no_single_file_has_a_fingerprint(tmp_path, name):
    touch(tmp_path, "v.mhd", content=b"ElementDataFile = " + name + b"\n")
    (entry,) = discover(tmp_path, tmp_path / "out")
    assert entry.fingerprint()


def test_a_file_that_holds_its_voxels_is_not_read_for_its_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setattr(discover_module, "_LONGEST_HEADER_BYTES", 10)
    touch(tmp_path, "v.mha", content=b"ElementDataFile = LOCAL\n" + bytes(10))
    (entry,) = discover(tmp_path, tmp_path / "out")
    monkeypatch.setattr(discover_module, "data_file_name", pytest.fail)
    assert entry.fingerprint()


def test_a_file_that_is_gone_has_no_fingerprint(tmp_path):
    touch(tmp_path, "a.nii")
    (entry,) = discover(tmp_path, tmp_path / "out")
    entry.path.unlink()
    assert entry.fingerprint() == ""
