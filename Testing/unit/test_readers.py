from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib.core import readers
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.readers import read_scan

OBLIQUE = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
HU = np.random.default_rng(0).integers(-1024, 2000, (6, 7, 8)).astype(np.int16)


def image(array: np.ndarray = HU, direction=OBLIQUE, is_vector: bool = False) -> sitk.Image:
    result = sitk.GetImageFromArray(array, isVector=is_vector)
    result.SetSpacing((0.75, 1.25, 2.5))
    result.SetOrigin((-101.5, 20.25, 830.125))
    result.SetDirection(np.ravel(direction))
    return result


def written(path, array: np.ndarray = HU, **options):
    sitk.WriteImage(image(array, **options), str(path))
    return path


def patched(path, offset: int, layout: str, *values):
    """The file with some bytes of its header replaced."""
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, offset, *values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_values_and_oblique_geometry_are_kept(tmp_path, suffix):
    scan = read_scan(written(tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(scan.hu, HU)
    assert scan.hu.dtype == np.int16
    assert scan.name == f"a{suffix}"
    assert scan.notes == ()
    assert scan.geometry.shape_zyx == (6, 7, 8)
    np.testing.assert_allclose(scan.geometry.spacing_xyz_mm, (0.75, 1.25, 2.5), rtol=1e-6)
    np.testing.assert_allclose(scan.geometry.origin_lps_mm, (-101.5, 20.25, 830.125), rtol=1e-6)
    np.testing.assert_allclose(np.reshape(scan.geometry.direction, (3, 3)), OBLIQUE, atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_every_number_type_becomes_float32(tmp_path, kind):
    array = np.arange(6 * 7 * 8).reshape(6, 7, 8).astype(kind)
    scan = read_scan(written(tmp_path / "a.nrrd", array))
    assert scan.hu.dtype == np.float32
    np.testing.assert_array_equal(scan.hu, array)


def test_nifti_slope_and_intercept_are_applied(tmp_path):
    scan = read_scan(patched(written(tmp_path / "a.nii"), 112, "<2f", 2.0, -1024.0))
    np.testing.assert_array_equal(scan.hu, 2.0 * HU - 1024.0)


def test_fourth_axis_of_length_one_is_dropped(tmp_path):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(sitk.JoinSeries([image()]), str(path))
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.hu, HU)
    np.testing.assert_allclose(np.reshape(scan.geometry.direction, (3, 3)), OBLIQUE, atol=1e-6)


def test_four_dimensions_are_refused(tmp_path):
    sitk.WriteImage(sitk.JoinSeries([image(), image()]), str(tmp_path / "a.nii.gz"))
    with pytest.raises(InputError, match="4 dimensions"):
        read_scan(tmp_path / "a.nii.gz")


def test_missing_empty_and_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_scan(tmp_path / "missing.nii")
    with pytest.raises(InputError, match="cannot be opened"):
        read_scan(tmp_path / ("too long" * 99))
    (tmp_path / "empty.nii").touch()
    with pytest.raises(InputError, match="is empty"):
        read_scan(tmp_path / "empty.nii")
    for name in ("a.txt", "a.nii.gz", "a.nrrd", "a.dcm", "a"):
        (tmp_path / name).write_text("not an image")
        with pytest.raises(InputError, match="not an image"):
            read_scan(tmp_path / name)


def test_a_name_that_no_library_takes_is_refused(tmp_path):
    """SimpleITK ends the whole process at it."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.nii"))
    try:
        written(tmp_path / "a.nii").rename(path)
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(InputError, match=r"\\udcff\.nii has a name that is not valid UTF-8; rename it"):
        read_scan(path)


@pytest.mark.parametrize("name", ["a.png", "a.nii"])
def test_pictures_are_refused(tmp_path, name):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((9, 9), np.uint8)), str(tmp_path / name))
    with pytest.raises(InputError, match="2-D"):
        read_scan(tmp_path / name)


def test_colour_and_complex_values_are_refused(tmp_path):
    with pytest.raises(InputError, match="3 values per voxel"):
        read_scan(written(tmp_path / "a.nrrd", np.zeros((6, 7, 8, 3), np.uint8), is_vector=True))
    with pytest.raises(InputError, match="complex"):
        read_scan(written(tmp_path / "a.nii", HU.astype(np.complex64)))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("lost_bytes", [20, 300])
def test_truncated_files_are_refused(tmp_path, suffix, lost_bytes):
    """The NIfTI library would fill the missing voxels with zeros and say nothing to us."""
    path = written(tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    with pytest.raises(InputError, match="cut short"):
        read_scan(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("given", [".hdr", ".img"])
def test_a_pair_of_header_and_voxels_is_read_by_either(tmp_path, given, packed):
    written(tmp_path / "a.hdr")
    if packed:
        data = tmp_path / "a.img"
        (tmp_path / "a.img.gz").write_bytes(gzip.compress(data.read_bytes()))
        data.unlink()
        given = given.replace(".img", ".img.gz")
    np.testing.assert_array_equal(read_scan(tmp_path / f"a{given}").hu, HU)


def test_a_pair_without_all_its_voxels_is_refused(tmp_path):
    path, data = written(tmp_path / "a.hdr"), tmp_path / "a.img"
    data.write_bytes(data.read_bytes()[:-20])
    with pytest.raises(InputError, match="cut short"):
        read_scan(path)
    data.unlink()
    with pytest.raises(InputError, match=r"in 'a\.img', which is no file"):
        read_scan(path)


def test_what_is_no_number_in_a_pair_becomes_air_too(tmp_path):
    array = HU.astype(np.float32)
    array[0, 0, :3] = np.nan
    scan = read_scan(written(tmp_path / "a.hdr", array))
    np.testing.assert_array_equal(scan.hu[0, 0, :3], -1000)
    assert scan.notes[0].startswith("3 voxels")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_nifti_2_is_refused_by_its_name(tmp_path, order, pack):
    path = tmp_path / ("a.nii" if pack is bytes else "a.nii.gz")
    path.write_bytes(pack(struct.pack(f"{order}i8s", 540, b"n+2\0\r\n\x1a\n") + bytes(2000)))
    with pytest.raises(InputError, match="NIfTI-2"):
        read_scan(path)


def test_gzip_of_several_members_is_read(tmp_path):
    data = written(tmp_path / "a.nii").read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:]))
    np.testing.assert_array_equal(read_scan(path).hu, HU)


def test_absurd_size_is_refused_before_anything_is_allocated(tmp_path, monkeypatch):
    monkeypatch.setattr(sitk.ImageFileReader, "Execute", lambda *_: pytest.fail("voxels were read"))
    with pytest.raises(InputError, match="too many"):
        read_scan(patched(written(tmp_path / "a.nii"), 42, "<3h", 30000, 30000, 30000))
    with pytest.raises(InputError, match="cut short"):
        read_scan(patched(written(tmp_path / "b.nii"), 42, "<3h", 1000, 1000, 1000))


def test_zero_spacing_is_refused(tmp_path):
    with pytest.raises(InputError, match="spacing"):
        read_scan(patched(written(tmp_path / "a.nii"), 80, "<3f", 0.0, 1.0, 1.0))
    path = written(tmp_path / "a.mha")
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 0.75", b"ElementSpacing = 0.00"))
    with pytest.raises(InputError, match="spacing"):
        read_scan(path)


def test_leaning_axes_are_refused(tmp_path):
    nifti = patched(written(tmp_path / "a.nii"), 252, "<2h", 0, 1)
    with pytest.raises(InputError, match="right angles"):
        read_scan(patched(nifti, 280, "<12f", 1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0))
    nrrd = written(tmp_path / "a.nrrd", direction=np.eye(3))
    nrrd.write_bytes(nrrd.read_bytes().replace(b"(0.75,0,0)", b"(0.75,0.3,0)"))
    with pytest.raises(InputError, match="right angles"):
        read_scan(nrrd)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_few_voxels_that_are_no_numbers_become_air_with_a_note(tmp_path, wrong):
    array = HU.astype(np.float32)
    array[0, 0, :3] = wrong
    scan = read_scan(written(tmp_path / "a.nii", array))
    np.testing.assert_array_equal(scan.hu[0, 0, :3], -1000)
    np.testing.assert_array_equal(scan.hu[1:], HU[1:])
    assert len(scan.notes) == 1 and scan.notes[0].startswith("3 voxels")


def test_mostly_nan_is_refused(tmp_path):
    array = np.full(HU.shape, np.nan, np.float32)
    array[0] = 1
    with pytest.raises(InputError, match="83% of the voxels"):
        read_scan(written(tmp_path / "a.nii", array))


def test_header_that_names_another_modality_is_refused(tmp_path):
    path = written(tmp_path / "a.mha")
    path.write_bytes(path.read_bytes().replace(b"NDims = 3\n", b"NDims = 3\nModality = MET_MOD_MR\n"))
    with pytest.raises(InputError, match="MR, not CT"):
        read_scan(path)


def test_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="no DICOM"):
        read_scan(tmp_path)


def test_out_of_memory_has_an_error_of_its_own(tmp_path, monkeypatch):
    def exhausted(*_):
        raise RuntimeError("Failed to allocate memory for image.")

    monkeypatch.setattr(sitk.ImageFileReader, "Execute", exhausted)
    with pytest.raises(readers.MemoryExhaustedError, match="memory"):
        read_scan(written(tmp_path / "a.nii"))


def test_a_refused_file_prints_nothing_from_itk(tmp_path, capfd):
    path = written(tmp_path / "a.nrrd")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError):
        read_scan(path)
    assert "WARNING" not in capfd.readouterr().err
