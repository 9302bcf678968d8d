"""Which files a scan takes its voxels from: whatever a header names, in every spelling that the libraries take."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.voxel_files import voxel_files

VOXELS = np.random.default_rng(7).integers(-1000, 1000, (9, 10, 11), dtype=np.int16)
META = "ObjectType = Image\nNDims = 3\nDimSize = 11 10 9\nElementSpacing = 1 1 1\nElementType = MET_SHORT\n"
NRRD = (
    "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 11 10 9\n"
    "space directions: (1,0,0) (0,1,0) (0,0,1)\nencoding: raw\nendian: little\nspace origin: (0,0,0)\n"
)
LEADING_OUT = {
    "plain.mhd": META + "ElementDataFile = ../secret.raw\n",
    "absolute.mhd": META + "ElementDataFile = {secret}\n",
    "colon.mha": META + "ElementDataFile : ../secret.raw",
    "many separators.mhd": META + "ElementDataFile == : ../secret.raw \t\r\n",
    "vertical tab.mhd": META + "\x0bElementDataFile = ../secret.raw\n",
    "after many lines.mhd": META + ("Foo = " + "x" * 60 + "\n") * 2000 + "ElementDataFile = ../secret.raw\n",
    "a word of NRRD.mhd": "NRRD0004\n" + META + "ElementDataFile = ../secret.raw\n",
    "plain.nhdr": NRRD + "data file: ../secret.raw\n",
    "absolute.nrrd": NRRD + "data file: {secret}\n",
    "one word.nhdr": NRRD + "DataFile:   ../secret.raw\n",
    "of Windows.nhdr": (NRRD + "data file: ../secret.raw\n").replace("\n", "\r\n"),
    "of old Macs.nhdr": (NRRD + "data file: ../secret.raw\n").replace("\n", "\r"),
    "in a remark.nhdr": NRRD + "# x\rdata file: ../secret.raw\n",
    "after a long remark.nhdr": NRRD + "#" + "x" * 70_000 + "\ndata file: ../secret.raw\n",
}
"""Headers with which ITK reads ../secret.raw."""
UNCLEAR = {
    "odd character.mhd": META + "ElementDataFile = ../secret.raw\x01\n",
    "end of text.mhd": META + "ElementDataFile = ../secret.raw\0 LOCAL\n",
    "key with end of text.mhd": META + "ElementDataFile\0x = ../secret.raw\n",
    "twice.mhd": META + "Comment = ElementDataFile = LOCAL\nElementDataFile = ../secret.raw\n",
    "list.mhd": META + "ElementDataFile = LIST\n../secret.raw\n",
    "pattern.mhd": META + "ElementDataFile = ../s%dcret.raw 1 9 1\n",
    "list.nhdr": NRRD + "data file: LIST 3\n../secret.raw\n",
    "pattern.nhdr": NRRD + "data file: ../s%dcret.raw 1 9 1\n",
    "nothing.mhd": META + "ElementDataFile = \n",
    "no text.nhdr": NRRD + "#data file: LOCAL\ndata file: ../secret.raw\n",
}


@pytest.fixture
def place(tmp_path):
    """A folder beside a file with voxels that is none of it."""
    VOXELS.tofile(tmp_path / "secret.raw")
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def written(place, name, text):
    path = place / name
    path.write_bytes(text.format(secret=place.parent / "secret.raw").encode("latin-1"))
    return path


@pytest.mark.parametrize("name", LEADING_OUT)
def test_a_file_that_a_header_names_is_known(place, name):
    path = written(place, name, LEADING_OUT[name])
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), VOXELS), "the danger is there"
    files = [file.resolve() for file in voxel_files(path)]
    assert files == [path.resolve(), (place.parent / "secret.raw").resolve()]


@pytest.mark.parametrize("name", UNCLEAR)
def test_a_header_that_can_be_understood_in_two_ways_is_refused(place, name):
    with pytest.raises(InputError, match=r"in several files|more than once|no file name"):
        voxel_files(written(place, name, UNCLEAR[name]))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_scan_in_one_file_names_no_other(place, suffix):
    path = place / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(path))
    assert [file for file in voxel_files(path) if file.exists()] in ([path], [path, path])


@pytest.mark.parametrize(("header", "data"), [("a.mhd", "a.raw"), ("a.nhdr", "a.raw"), ("a.hdr", "a.img")])
def test_the_other_half_of_a_pair_is_known(place, header, data):
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(place / (data if data.endswith(".img") else header)))
    (other,) = (path for path in place.iterdir() if path.name != header)
    assert other in voxel_files(place / header)


def test_each_dicom_candidate_of_a_folder_is_known(place):
    for name in ("1.dcm", "2.dcm", "readme.txt"):
        (place / name).write_text("x")
    assert voxel_files(place) == (place, place / "1.dcm", place / "2.dcm")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.vtk", "a.gipl"])
def test_a_format_that_may_refer_to_other_files_in_ways_of_its_own_is_refused(place, name):
    image = sitk.GetImageFromArray(VOXELS.astype(np.uint8)[0] if name == "a.png" else VOXELS.astype(np.uint8))
    sitk.WriteImage(image, str(place / name))
    with pytest.raises(InputError, match="NIfTI, NRRD or MetaImage"):
        voxel_files(place / name)
