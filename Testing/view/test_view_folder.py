"""The folder of the page: nothing outside of it is listed, read or written."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib.core.errors import InputError, UsageError
from VertebraLabelingLib.view.folder import LONGEST_NAME, Folder


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


def test_the_list_names_cts_at_any_depth_and_points(places):
    assert places.scans == ("a.nii.gz", "deep/b.nrrd")
    assert places.point_files == ("a.mrk.json",)
    assert places.file("deep/b.nrrd") == places.root / "deep" / "b.nrrd"


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
    assert places.scans == ("a.nii.gz", "deep/b.nrrd")
    assert places.point_files == ("a.mrk.json",)


def test_a_folder_reached_through_a_link_is_open_itself(places, tmp_path):
    (tmp_path / "way").symlink_to(places.root)
    assert Folder(tmp_path / "way").file("a.nii.gz").is_file()


def test_a_file_that_has_gone_is_told(places):
    with pytest.raises(InputError, match="reload the list"):
        places.file("gone.nii.gz")


def test_a_name_to_save_gets_its_suffix_once(places):
    assert places.target("mine", ".mrk.json") == places.root / "mine.mrk.json"
    assert places.target(" mine.mrk.json ", ".mrk.json") == places.root / "mine.mrk.json"


@pytest.mark.parametrize(
    "name", ["", "  ", ".mrk.json", ".x", "../x", "a/b", "a\\b", "c:x", "a\0b", "x" * (LONGEST_NAME + 1)]
)
def test_a_name_that_is_no_file_name_is_refused(places, name):
    with pytest.raises(UsageError, match="no file name"):
        places.target(name, ".mrk.json")


def test_saving_does_not_follow_a_link_out_of_the_folder(places):
    (places.root / "x.csv").symlink_to(places.root.parent / "stolen.csv")
    with pytest.raises(UsageError, match="leads out"):
        places.target("x", ".csv")
