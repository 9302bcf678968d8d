"""DICOM folders as they come from archives: mixed series, duplicates, other objects, files that are cut short."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from dicom_folder import write_series
from dicom_objects import OBJECTS
from small_ct import trunk_hu
from test_dicom_frames import stacked, write_frames
from trust_support import image_of, written
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.readers import read_scan


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("series") / "case"
    write_series(folder)
    return folder


@pytest.fixture
def folder(series, tmp_path) -> Path:
    return Path(shutil.copytree(series, tmp_path / "case"))


def test_other_series_and_objects_do_not_disturb(folder):
    write_series(folder / "thick", trunk_hu()[::3], "t", {"0020|000e": "1.2.3.2"})
    write_series(folder, trunk_hu()[:5], "mr", {"0020|000e": "1.2.3.3", "0008|0060": "MR"})
    write_series(folder, trunk_hu()[:1], "far", {"0020|000e": "1.2.3.5", "0008|0060": "MR", "0020|0032": "1e9\\0\\0"})
    write_series(folder, trunk_hu()[:2], "loc", {"0020|000e": "1.2.3.4", "0008|0008": "ORIGINAL\\PRIMARY\\LOCALIZER"})
    written(folder / "picture.png", image_of(np.zeros((9, 9), np.uint8), (1.0, 1.0)))
    for name, content in {"DICOMDIR": b"DICM" * 40, "README": b"read me", "a.dcm": b"", "b.dcm": bytes(200)}.items():
        (folder / name).write_bytes(content)
    (folder / "c.dcm").write_bytes(bytes(128) + b"DICM" + bytes(50))
    (folder / "broken link.dcm").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    scan = read_scan(folder)
    np.testing.assert_array_equal(scan.hu, trunk_hu())
    assert scan.notes == ("Of 2 CT series the one with most slices was taken (30; others 10).",)


def test_copies_of_slices_count_once_whatever_they_are_called(folder):
    for path in sorted(folder.iterdir())[::4]:
        shutil.copy(path, folder / f"copy of {path.name}")
    scan = read_scan(folder)
    np.testing.assert_array_equal(scan.hu, trunk_hu())
    assert scan.notes == ("8 slices lie where another one lies and were left out.",)


def test_two_series_under_one_uid_are_not_stacked_through_each_other(folder):
    """Another size in plane; the archive gave both the same UID."""
    write_series(folder, trunk_hu()[:10, :12, :12], "small")
    np.testing.assert_array_equal(read_scan(folder).hu, trunk_hu())


CUTS = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_that_is_no_slice_never_spoils_the_series(folder, counts, kind):
    """Whole, and cut short anywhere: also in the middle of its pixels or its header."""
    other = OBJECTS[kind](folder / "other.dcm")
    whole = other.read_bytes()
    sizes = [len(whole), len(whole) - 1, *(int(share * len(whole)) for share in CUTS)]
    for size in sizes:
        other.write_bytes(whole[:size])
        scan = read_scan(folder)
        np.testing.assert_array_equal(scan.hu, trunk_hu(), err_msg=f"cut to {size} of {len(whole)} bytes")
        assert scan.notes == ()
    counts.update(cases=len(sizes))


@pytest.mark.parametrize("share", [0.35, 0.6, 0.9])
def test_a_slice_that_is_cut_short_is_refused_wherever_it_ends(folder, share):
    """Left out in silence it would be a hole that is filled up from its neighbours."""
    path = sorted(folder.iterdir())[7]
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match="cut short"):
        read_scan(folder)


def test_one_file_with_all_slices_is_refused_when_it_is_cut_short_whatever_the_length_of_its_header(tmp_path):
    path = write_frames(tmp_path / "a.dcm", np.zeros((1500, 12, 12), np.int16), stacked(np.arange(1500.0)))
    content = path.read_bytes()
    assert content.index(b"\xe0\x7f\x10\x00") > 1 << 16
    path.write_bytes(content[:-10_000])
    for place in (path, tmp_path):
        with pytest.raises(InputError, match="cut short"):
            read_scan(place)


def test_another_image_or_a_localiser_that_is_cut_short_does_not_disturb(folder):
    write_series(folder, trunk_hu()[:1], "mr", {"0020|000e": "1.2.3.3", "0008|0060": "MR"})
    write_series(folder, trunk_hu()[:1], "loc", {"0020|000e": "1.2.3.4", "0008|0008": "ORIGINAL\\PRIMARY\\LOCALIZER"})
    for path in (folder / "mr000.dcm", folder / "loc000.dcm"):
        path.write_bytes(path.read_bytes()[:-400])
    np.testing.assert_array_equal(read_scan(folder).hu, trunk_hu())
