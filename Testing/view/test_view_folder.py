"""The folder of the page: nothing outside of it is listed, read or written."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib.core.errors import InputError, UsageError
from VertebraLabelingLib.view import folder
from VertebraLabelingLib.view.folder import LONGEST_NAME_BYTES, Folder
from VertebraLabelingLib.view.listing import Limits


@pytest.fixture
def places(tmp_path):
    """A folder with a CT, one in a sub-folder and a point list, and a secret outside."""
    root = tmp_path / "open"
    (root / "deep").mkdir(parents=True)
    image = sitk.GetImageFromArray(np.zeros((4, 4, 4), np.int16))
    for place in ("a.nii.gz", "deep/b.nrrd"):
        sitk.WriteImage(image, str(root / place))
    (root / "a.mrk.json").write_text("{}")
    (root / ".hidden.mrk.json").write_text("{}")
    sitk.WriteImage(image, str(tmp_path / "secret.nii.gz"))
    return Folder(root)


def test_the_list_names_cts_at_any_depth_and_what_the_page_saves(places):
    for name in ("b.csv", "c_ctd.json", "d.json", "e.txt", "F.MRK.JSON"):
        (places.root / name).write_text("x")
    listing = places.listing()
    assert listing.scans == ("a.nii.gz", "deep/b.nrrd")
    assert listing.point_files == ("F.MRK.JSON", "a.mrk.json", "b.csv", "c_ctd.json")
    assert not listing.is_cut
    assert places.file("deep/b.nrrd") == places.root / "deep" / "b.nrrd"


def test_a_folder_of_slices_is_one_place(places):
    (places.root / "series").mkdir()
    for folder_ in (places.root, places.root / "series"):
        (folder_ / "1.dcm").write_bytes(b"x")
    assert places.listing().scans == (".", "a.nii.gz", "deep/b.nrrd", "series")


def wide_tree(root, levels, width):
    """Folders with one CT each."""
    root.mkdir(exist_ok=True)
    (root / "ct.nii").touch()
    for number in range(width if levels else 0):
        wide_tree(root / str(number), levels - 1, width)


def entered(monkeypatch):
    """The folders that are looked into from now on."""
    import os

    seen, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: seen.append(path) or scandir(path))
    return seen


@pytest.mark.parametrize("limits", [Limits(entries=30), Limits(depth=1), Limits(seconds=0.0)])
def test_a_search_ends_at_its_limits_and_says_so(tmp_path, monkeypatch, limits):
    wide_tree(tmp_path / "tree", 4, 4)
    seen = entered(monkeypatch)
    listing = Folder(tmp_path / "tree").listing(limits)
    assert listing.is_cut
    assert len(seen) < 20, "of 341 folders"


def test_beyond_the_deepest_level_the_search_goes_on_beside_it(tmp_path):
    wide_tree(tmp_path / "tree", 2, 2)
    listing = Folder(tmp_path / "tree").listing(Limits(depth=1))
    assert listing.scans == ("0/ct.nii", "1/ct.nii", "ct.nii")
    assert listing.is_cut


def test_no_more_is_looked_for_than_the_list_can_show(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "LONGEST_LIST", 3)
    wide_tree(tmp_path / "tree", 4, 4)
    seen = entered(monkeypatch)
    listing = Folder(tmp_path / "tree").listing()
    assert listing.scans == ("0/ct.nii", "1/ct.nii", "ct.nii"), "the nearest ones"
    assert listing.is_cut
    assert len(seen) < 10


def test_many_files_that_are_no_scans_are_not_all_opened(tmp_path, monkeypatch):
    for number in range(50):
        (tmp_path / f"{number}.txt").touch()
    opened = []
    monkeypatch.setattr("VertebraLabelingLib.view.listing.is_slice", lambda path: opened.append(path) or False)
    assert Folder(tmp_path).listing(Limits(entries=120)).is_cut
    assert len(opened) < 50


def test_a_search_goes_round_in_no_circle(places):
    (places.root / "deep" / "up").symlink_to(places.root)
    (places.root / "loop").symlink_to(places.root / "loop")
    assert places.listing().scans == ("a.nii.gz", "deep/b.nrrd")
    with pytest.raises(InputError):
        places.file("loop")


@pytest.mark.parametrize(
    "place",
    ["../secret.nii.gz", "deep/../../secret.nii.gz", "/etc/passwd", "..", "link.nii.gz", "out/secret.nii.gz", "a\0"],
)
def test_nothing_outside_is_opened(places, place):
    (places.root / "link.nii.gz").symlink_to(places.root.parent / "secret.nii.gz")
    (places.root / "out").symlink_to(places.root.parent)
    with pytest.raises(InputError, match="outside the folder"):
        places.file(place)


def test_links_that_lead_out_are_not_listed(places):
    (places.root / "link.nii.gz").symlink_to(places.root.parent / "secret.nii.gz")
    (places.root / "link.mrk.json").symlink_to(places.root.parent / "secret.nii.gz")
    assert places.listing().scans == ("a.nii.gz", "deep/b.nrrd")
    assert places.listing().point_files == ("a.mrk.json",)


def header_of(path, named):
    path.write_text(
        f"ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\nElementDataFile = {named}\n"
    )
    return path


@pytest.mark.parametrize("named", ["../secret.raw", "{outside}/secret.raw", "link.raw", "out/secret.raw"])
def test_a_header_that_names_a_file_outside_is_refused(places, named):
    outside = places.root.parent
    (outside / "secret.raw").write_bytes(bytes(128))
    (places.root / "link.raw").symlink_to(outside / "secret.raw")
    (places.root / "out").symlink_to(outside)
    path = header_of(places.root / "x.mhd", named.format(outside=outside))
    with pytest.raises(InputError, match="outside of the folder"):
        places.require_inside(path)


def test_whether_a_file_outside_is_there_is_not_told(places):
    (places.root.parent / "there.raw").write_bytes(bytes(128))
    told = set()
    for name in ("there.raw", "missing.raw"):
        with pytest.raises(InputError) as error:
            places.require_inside(header_of(places.root / "x.mhd", f"../{name}"))
        told.add(str(error.value).replace(name, ""))
    assert len(told) == 1


def test_the_half_of_a_nifti_pair_that_is_a_link_out_is_refused(places):
    outside = places.root.parent
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4, 4), np.int16)), str(outside / "pair.img"))
    (places.root / "pair.hdr").write_bytes((outside / "pair.hdr").read_bytes())
    (places.root / "pair.img").symlink_to(outside / "pair.img")
    with pytest.raises(InputError, match="outside of the folder"):
        places.require_inside(places.root / "pair.hdr")


def test_a_dicom_folder_with_a_slice_that_is_a_link_out_is_refused(places):
    series = places.root / "series"
    series.mkdir()
    (series / "1.dcm").write_bytes(b"x")
    (series / "notes.txt").symlink_to(places.root.parent / "secret.nii.gz")
    places.require_inside(series)
    (places.root.parent / "secret.dcm").write_bytes(b"x")
    (series / "2.dcm").symlink_to(places.root.parent / "secret.dcm")
    with pytest.raises(InputError, match=r"2\.dcm.*outside of the folder"):
        places.require_inside(series)


def test_scans_whose_files_are_all_inside_may_be_read(places):
    image = sitk.GetImageFromArray(np.zeros((4, 4, 4), np.int16))
    for name in ("m.mhd", "n.nhdr", "p.img", "q.mha"):
        sitk.WriteImage(image, str(places.root / name))
    (places.root / "way").symlink_to(places.root / "deep")
    for name in ("m.mhd", "n.nhdr", "p.hdr", "q.mha", "a.nii.gz", "deep/b.nrrd", "way/b.nrrd"):
        places.require_inside(places.root / name)


def test_a_folder_reached_through_a_link_is_open_itself(places, tmp_path):
    (tmp_path / "way").symlink_to(places.root)
    assert Folder(tmp_path / "way").file("a.nii.gz").is_file()


def test_a_file_that_has_gone_is_told(places):
    with pytest.raises(InputError, match="reload the list"):
        places.file("gone.nii.gz")
    with pytest.raises(InputError, match="reload the list"):
        places.file("x" * 5000)


def test_a_name_to_save_gets_its_suffix_once(places):
    assert places.target("mine", ".mrk.json") == places.root / "mine.mrk.json"
    assert places.target(" mine.mrk.json ", ".mrk.json") == places.root / "mine.mrk.json"


@pytest.mark.parametrize(
    "name",
    ["", "  ", ".mrk.json", ".x", "../x", "a/b", "a\\b", "c:x", "a\0b", "x" * (LONGEST_NAME_BYTES + 1), "ä" * 101],
)
def test_a_name_that_is_no_file_name_is_refused(places, name):
    with pytest.raises(UsageError, match="no file name"):
        places.target(name, ".mrk.json")


def test_saving_does_not_follow_a_link_out_of_the_folder(places):
    (places.root / "x.csv").symlink_to(places.root.parent / "stolen.csv")
    with pytest.raises(UsageError, match="leads out"):
        places.target("x", ".csv")
