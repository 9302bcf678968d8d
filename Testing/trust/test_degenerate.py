"""Family 5: degenerate shapes, spacings and slices are worked with or refused, and memory stays bounded."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_folder import THICKNESS_MM, element_changed, write_series
from small_ct import trunk_hu
from test_memory import SMALL_BASE_BYTES, peak_bytes
from trust_support import cut, image_of, label, require_alike, resampled, scan_of, turned, written
from VertebraLabelingLib.core.checks import check_ct
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.prepare import prepare
from VertebraLabelingLib.core.readers import read_scan
from VertebraLabelingLib.core.scan import Scan


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_slices_along_any_axis_are_refused(axis, count, tmp_path):
    path = written(tmp_path / "a.nrrd", image_of(np.take(trunk_hu(), range(count), axis)))
    with pytest.raises(InputError, match=f"only {count} slice"):
        check_ct(read_scan(path))


@pytest.mark.parametrize(
    ("voxel_mm", "reason"),
    [
        ((0.2, 0.2, 0.2), "too small"),
        ((1e-6, 1.0, 1.0), "too small"),
        ((20.0, 20.0, 20.0), "too coarse"),
        ((6.0, 6.0, 1e4), "too coarse"),
    ],
)
def test_spacings_that_cannot_be_are_refused(voxel_mm, reason):
    with pytest.raises(InputError, match=reason):
        check_ct(scan_of(image_of(trunk_hu(), voxel_mm)))


def test_a_scan_longer_than_a_patient_is_refused():
    with pytest.raises(InputError, match="larger than a patient"):
        check_ct(scan_of(image_of(np.tile(trunk_hu(), (12, 1, 1)), (6.0, 6.0, 12.0))))


def test_two_thousand_slices_are_prepared_as_few_are(phantom):
    piece = phantom.scan.part(np.array([10, 20, 20]), np.array([60, 50, 50]))
    fine = resampled(piece, (3.0, 3.0, 150.0 / 2000))
    assert fine.geometry.shape_zyx[0] == 2000
    require_near(prepare(fine), prepare(piece))


def test_voxels_of_a_fifth_of_a_millimetre_are_prepared_as_large_ones_are(phantom):
    piece = phantom.scan.part(np.array([30, 30, 30]), np.array([40, 41, 42]))
    require_near(prepare(resampled(piece, (0.2, 0.2, 0.2))), prepare(piece))


def require_near(first, second, typical_hu: float = 20.0):
    """The same numbers at the same places, but for smoothing and the border."""
    inner = tuple(slice(2, -2) for _ in range(3))
    lps = second.geometry.lps_from_index_zyx(np.stack(np.indices(second.hu.shape), -1)[inner])
    index = np.round(first.geometry.index_zyx_from_lps(lps)).astype(int)
    values = first.hu[tuple(np.moveaxis(index, -1, 0))]
    assert np.median(np.abs(values - second.hu[inner])) < typical_hu


def require_right_or_unsure(result, expected, clear_mm: float, others_mm: float) -> bool:
    """Whether the level is certain; then all names and places are right."""
    if result.labelling.level_certain:
        require_alike(result, expected, clear_mm, others_mm)
    return result.labelling.level_certain


def test_thick_slices_of_a_phantom_keep_their_labels_or_doubt(phantom, labeller, labelled):
    """Six to eight millimetres, up to a third of a vertebra; always to doubt would not do."""
    scans = [resampled(phantom.scan, (1.5, 1.5, thickness)) for thickness in (6.0, 8.0)]
    sure = [require_right_or_unsure(labeller.label(scan), labelled, 8.0, 8.0) for scan in scans]
    assert any(sure)


@pytest.mark.slow
def test_coarse_voxels_keep_their_labels_or_doubt(phantom, labeller, labelled):
    """Ten millimetres may be too coarse, four and six must not be."""
    spacings = ((6.0, 6.0, 2.0), (4.0, 4.0, 4.0), (1.0, 1.0, 10.0))
    scans = [resampled(phantom.scan, voxel_mm) for voxel_mm in spacings]
    sure = [
        require_right_or_unsure(labeller.label(scan), labelled, max(1.5, voxel_mm[2]), 12.0)
        for scan, voxel_mm in zip(scans, spacings, strict=True)
    ]
    assert sure[:2] == [True, True]


# --- many and small voxels, labelled ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fine_scans(phantom) -> dict[str, tuple[Scan, Scan]]:
    """By name the scan of many or small voxels, and a plain one of the same."""
    height_mm = phantom.scan.geometry.extent_zyx_mm[0]
    low = cut(phantom.scan, 0.0, 0.6)
    box = around_the_spine(phantom)
    return {
        "2000 slices": (resampled(phantom.scan, (3.0, 3.0, height_mm / 2000)), phantom.scan),
        "0.5 mm": (resampled(low, (0.5, 0.5, 0.5)), low),
        "0.2 mm": (resampled(box, (0.2, 0.2, 0.2)), box),
    }


def around_the_spine(phantom) -> Scan:
    """The lower half of it, about 10 cm wide and deep."""
    middle = np.mean(list(phantom.centroids.values()), axis=0)
    _, y, x = np.round(phantom.scan.geometry.index_zyx_from_lps(middle)).astype(int)
    part = phantom.scan.part(np.array([0, y - 18, x - 16]), np.array([45, y + 18, x + 16]))
    return Scan(np.ascontiguousarray(part.hu), part.geometry, part.name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["2000 slices", "0.5 mm", "0.2 mm"])
def test_many_and_small_voxels_are_labelled_as_few_and_large_ones_are(fine_scans, labeller, name):
    """Up to 500 times as many voxels; the networks see the same."""
    fine, plain = fine_scans[name]
    expected = labeller.label(plain)
    assert expected.labelling.level_certain
    result = labeller.label(fine)
    require_alike(result, expected, clear_mm=1.0, others_mm=3.0)
    assert sum(result.seconds.values()) < 3 * sum(expected.seconds.values()) + 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["2000 slices", "0.2 mm"])
def test_many_and_small_voxels_take_memory_by_their_number(fine_scans, tmp_path, name):
    """From the file to the points, in a process of its own: 16-bit numbers are read, copied once and resampled."""
    fine, _ = fine_scans[name]
    ct = written(tmp_path / "a.nii", sitk.Cast(fine.to_sitk(), sitk.sitkInt16))
    assert peak_bytes(ct, tmp_path) < SMALL_BASE_BYTES + fine.hu.size * 8


# --- headers ----------------------------------------------------------------------------------------------------------


def replaced(path, old: bytes, new: bytes):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


@pytest.mark.parametrize("spacing", [b"0 6 6", b"-6 6 6", b"nan 6 6", b"inf 6 6", b"1e-300 6 6"])
def test_spacings_that_are_no_lengths_are_refused(tmp_path, spacing):
    path = written(tmp_path / "a.mha", image_of(trunk_hu()))
    replaced(path, b"ElementSpacing = 6 6 6", b"ElementSpacing = " + spacing)
    with pytest.raises(InputError, match="spacing"):
        check_ct(read_scan(path))


def test_a_negative_step_in_nrrd_is_a_flip(tmp_path):
    image = image_of(trunk_hu())
    path = replaced(written(tmp_path / "a.nrrd", image), b"(6,0,0)", b"(-6,0,0)")
    expected = scan_of(image)
    scan = read_scan(path)
    assert scan.geometry.direction[0] == -1
    there = scan.geometry.lps_from_index_zyx(np.array([3, 4, 5]))
    np.testing.assert_allclose(there - expected.geometry.lps_from_index_zyx(np.array([3, 4, -5])), 0, atol=1e-4)


def nifti(folder, sform_code: int, **floats: float):
    """A NIfTI file; floats: name of a field -> value, see `FIELDS`."""
    path = written(folder / "a.nii", image_of(trunk_hu()))
    data = bytearray(path.read_bytes())
    struct.pack_into("<h", data, 254, sform_code)
    for name, value in floats.items():
        struct.pack_into("<f", data, FIELDS[name], value)
    path.write_bytes(data)
    return path


FIELDS = {"qfac": 76, "step_i": 80, "step_j": 84, "step_k": 88}
"""Where they stand in the header: pixdim[0..3]."""


def test_a_negative_qfac_turns_the_slices_around(tmp_path):
    """Without an sform the third axis is that of the quaternion times qfac (nifti1.h)."""
    plain, turned_around = (read_scan(nifti(tmp_path, 0, qfac=qfac)) for qfac in (1.0, -1.0))
    np.testing.assert_array_equal(turned_around.hu, plain.hu)
    first, second = (np.reshape(scan.geometry.direction, (3, 3)) for scan in (plain, turned_around))
    np.testing.assert_allclose(second, first @ np.diag([1, 1, -1]), atol=1e-6)


@pytest.mark.parametrize("qfac", [0.0, 7.0, -3.0])
def test_a_qfac_that_is_neither_one_nor_minus_one_counts_by_its_sign(tmp_path, qfac):
    usual = -1.0 if qfac < 0 else 1.0
    expected, scan = (read_scan(nifti(tmp_path, 0, qfac=value)) for value in (usual, qfac))
    assert scan.geometry == expected.geometry


@pytest.mark.parametrize("sform_code", [0, 1])
@pytest.mark.parametrize("step", ["step_i", "step_j", "step_k"])
@pytest.mark.parametrize("mm", [-6.0, 0.0, float("nan"), float("inf")])
def test_a_step_in_nifti_that_is_no_length_is_refused(tmp_path, step, sform_code, mm):
    """The library would read 1 mm for most of them; nifti1.h wants lengths, so a sign means nothing."""
    with pytest.raises(InputError, match="spacing"):
        read_scan(nifti(tmp_path, sform_code, **{step: mm}))


@pytest.mark.parametrize("origin", [b"1e30 0 0", b"0 0 -3e7"])
def test_an_origin_out_of_reach_is_refused(tmp_path, origin):
    path = replaced(written(tmp_path / "a.mha", image_of(trunk_hu())), b"Offset = -70 -60 -90", b"Offset = " + origin)
    with pytest.raises(InputError, match="origin"):
        read_scan(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr"])
def test_a_tilted_gantry_is_refused_with_what_to_do(tmp_path, suffix):
    path = replaced(written(tmp_path / f"a{suffix}", image_of(trunk_hu())), b"(0,0,6)", b"(0,1.6,5.8)")
    with pytest.raises(InputError, match=r"tilted gantry.*resample"):
        read_scan(path)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_voxels_that_are_elsewhere_or_no_file_are_refused(tmp_path, suffix):
    """A device or a pipe would be read without end."""
    path = written(tmp_path / f"a{suffix}", image_of(trunk_hu()))
    header = path.read_bytes()
    data = next(p for p in tmp_path.iterdir() if p != path)
    for name in (b"missing.raw", b"/dev/zero", b".", b" "):
        path.write_bytes(header.replace(data.name.encode(), name))
        with pytest.raises(InputError, match="is no file"):
            read_scan(path)


SPELLINGS = {
    "colon": (".mhd", b"ElementDataFile = ", b"ElementDataFile : "),
    "indented": (".mhd", b"ElementDataFile = ", b"\t ElementDataFile ="),
    "empty line": (".mhd", b"ElementDataFile = ", b"\n\nElementDataFile = "),
    "other order": (".mhd", b"ObjectType = Image\n", b"BinaryData = True\n"),
    "large letters": (".nhdr", b"data file: ", b"Data File: "),
    "one word": (".nhdr", b"data file: ", b"datafile: "),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_file_with_the_voxels_is_known_in_all_spellings(tmp_path, name):
    """Large enough for the header alone to be too small for all voxels."""
    suffix, old, new = SPELLINGS[name]
    hu = np.tile(trunk_hu(), (2, 3, 3))
    path = replaced(written(tmp_path / f"a{suffix}", image_of(hu)), old, new)
    np.testing.assert_array_equal(read_scan(path).hu, hu)
    (data,) = (p for p in tmp_path.iterdir() if p != path)
    data.unlink()
    with pytest.raises(InputError, match="is no file"):
        read_scan(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("number", [np.int16, np.float32, np.float64])
def test_what_lies_behind_the_last_voxel_is_no_harm(tmp_path, pack, number):
    path = written(tmp_path / "a.nii", image_of(trunk_hu().astype(number)))
    path = path.rename(tmp_path / ("a.nii" if pack is bytes else "a.nii.gz"))
    path.write_bytes(pack(path.read_bytes() + b"abc"))
    np.testing.assert_array_equal(read_scan(path).hu, trunk_hu())


# --- DICOM ------------------------------------------------------------------------------------------------------------


def write_stack(folder, hu, places_mm):
    """One slice at each height."""
    for number, (image, place) in enumerate(zip(hu, places_mm, strict=True)):
        tags = {"0020|0032": f"-70\\-60\\{place}", "0008|0018": f"1.2.3.1.{number}"}
        write_series(folder, image[None], f"s{number}", tags)
    return folder


def test_a_missing_dicom_slice_is_filled_with_a_note(tmp_path):
    hu, rest = trunk_hu(), np.delete(np.arange(30), 10)
    scan = read_scan(write_stack(tmp_path, hu[rest], 4.0 * rest))
    (note,) = scan.notes
    assert "4.00 to 8.00 mm" in note
    np.testing.assert_allclose(scan.hu[10], (hu[9].astype(float) + hu[11]) / 2)
    np.testing.assert_array_equal(scan.hu[rest], hu[rest])


def test_a_hole_that_could_hide_a_vertebra_is_refused(tmp_path):
    rest = np.delete(np.arange(30), 10)
    with pytest.raises(InputError, match=r"missing.*12.0 mm"):
        read_scan(write_stack(tmp_path, trunk_hu()[rest], 6.0 * rest))


def test_slices_that_all_lie_at_one_place_are_no_volume(tmp_path):
    write_series(tmp_path, tags={"0020|0032": "0\\0\\0"})
    with pytest.raises(InputError, match="only 1 slice"):
        read_scan(tmp_path)


@pytest.mark.usefixtures("no_network")
def test_dicom_without_rescale_is_corrected(tmp_path):
    write_series(tmp_path / "raw", (trunk_hu() + 1024).astype(np.int16), tags={"0028|1052": "0"})
    assert label(tmp_path / "raw", tmp_path, "--quiet") == 0
    assert "1024 was subtracted" in (tmp_path / "a.run.json").read_text(encoding="utf-8")


def test_places_that_hardly_differ_do_not_make_a_tower_of_slices(tmp_path):
    """Slices 0.02 mm apart and then 6 mm: even spacing would mean thousands of slices."""
    places_mm = [0.02 * number if number < 16 else 6.0 * (number - 15) for number in range(24)]
    with pytest.raises(InputError, match="missing"):
        read_scan(write_stack(tmp_path, trunk_hu()[:24], places_mm))


def test_an_oblique_series_is_read_at_its_places(tmp_path):
    axes = turned("x", 20)
    hu = trunk_hu()
    for number in range(len(hu)):
        place = axes[:, 2] * THICKNESS_MM * number
        write_series(tmp_path, hu[number : number + 1], f"s{number}", {
            "0020|0032": "\\".join(f"{v:.6f}" for v in place),
            "0020|0037": "\\".join(f"{v:.9f}" for v in axes[:, :2].T.ravel()),
            "0008|0018": f"1.2.3.1.{number}",
        })  # fmt: skip
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.hu, hu)
    there = scan.geometry.lps_from_index_zyx(np.array([20, 3, 4]))
    np.testing.assert_allclose(there, axes @ (THICKNESS_MM * np.array([4, 3, 20])), atol=1e-3)


def write_spaced(folder, spacing: str) -> None:
    """A series whose PixelSpacing is this text."""
    for path in write_series(folder):
        value = spacing.encode() + b" " * (len(spacing) % 2)
        path.write_bytes(element_changed(path.read_bytes(), (0x0028, 0x0030), value, None))


@pytest.mark.parametrize(
    "spacing",
    ["0\\0", "-6\\6", "6\\-6", "nan\\nan", "inf\\6", "6\\0", "1e-300\\6", "6", "6\\6\\6", "six\\six", "6,0\\6,0", ""],
)
def test_pixel_spacings_that_are_not_two_lengths_are_refused(tmp_path, spacing):
    """GDCM would read 1 mm for most of them."""
    write_spaced(tmp_path, spacing)
    with pytest.raises(InputError, match=r"[sS]pacing"):
        check_ct(read_scan(tmp_path))


def test_pixel_spacing_is_first_between_rows(tmp_path):
    """DICOM PS3.3, 10.7.1.3: the first number is the distance down, the second the one across."""
    write_spaced(tmp_path, "5\\7")
    assert read_scan(tmp_path).geometry.spacing_xyz_mm[:2] == (7.0, 5.0)
