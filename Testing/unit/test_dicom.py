from __future__ import annotations

import struct

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_slice import write_slice
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.readers import read_scan

IDENTITY = np.eye(3)
OBLIQUE = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
OBLIQUE[:, 2] = np.cross(OBLIQUE[:, 0], OBLIQUE[:, 1])
ORIGIN = np.array([-120.0, -95.5, 40.25])


def ramp(count: int, rows: int = 6, columns: int = 5) -> np.ndarray:
    """HU that differ in every voxel, so that a swapped slice or axis shows."""
    return (np.arange(count * rows * columns).reshape(count, rows, columns) * 3 - 1000).astype(np.int16)


def write_series(
    folder,
    hu: np.ndarray,
    places_mm,
    *,
    uid: str = "1.2.3.1",
    direction: np.ndarray = IDENTITY,
    shift_per_mm=(0.0, 0.0, 0.0),
    prefix: str = "s",
    tags: dict[str, str] | None = None,
):
    """One CT file per slice, written in scrambled order with names and instance numbers that do not sort by place.

    hu: whole numbers (n, rows, columns); the writer stores (hu - intercept) / slope.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(1).permutation(len(hu))
    for number, k in enumerate(order):
        picture = sitk.GetImageFromArray(hu[k : k + 1])
        picture.SetSpacing((0.5, 0.75, 1.0))
        position = ORIGIN + places_mm[k] * (direction[:, 2] + np.asarray(shift_per_mm))
        values = {
            "0008|0060": "CT",
            "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
            "0010|0010": "Doe^Jane",
            "0020|000e": uid,
            "0020|000d": "1.2.3",
            "0008|0018": f"{uid}.{number + 1}",
            "0020|0013": str(number + 1),
            "0020|0032": "\\".join(f"{v:.6f}" for v in position),
            "0020|0037": "\\".join(f"{v:.9f}" for v in direction[:, :2].T.ravel()),
            "0028|1052": "-1024",
            "0028|1053": "1",
            **(tags or {}),
        }
        write_slice(folder / f"{prefix}{number:03d}.dcm", picture, values)
    return folder


def write_report(path):
    """A structured report without pixels, explicit little endian, by hand: SimpleITK writes images only."""

    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        value += (b"\0" if kind == b"UI" else b" ") * (len(value) % 2)
        return struct.pack("<HH2sH", group, number, kind, len(value)) + value

    meta = element(2, 2, b"UI", b"1.2.840.10008.5.1.4.1.1.88.11") + element(2, 3, b"UI", b"1.2.3.9")
    meta += element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1")
    body = element(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.88.11") + element(8, 0x60, b"CS", b"SR")
    length = element(2, 0, b"UL", struct.pack("<I", len(meta)))
    path.write_bytes(bytes(128) + b"DICM" + length + meta + body)


@pytest.mark.parametrize("direction", [IDENTITY, OBLIQUE, np.diag([-1.0, -1.0, 1.0]), np.diag([1.0, -1.0, -1.0])])
def test_slices_are_sorted_by_position_and_geometry_is_exact(tmp_path, direction):
    hu = ramp(7)
    scan = read_scan(write_series(tmp_path / "Doe", hu, np.arange(7) * 2.5, direction=direction))
    np.testing.assert_array_equal(scan.hu, hu)
    np.testing.assert_allclose(scan.geometry.spacing_xyz_mm, (0.5, 0.75, 2.5), rtol=1e-6)
    index = np.array([[0, 0, 0], [6, 5, 4], [3, 0, 2]])
    steps = index[:, ::-1] * np.array([0.5, 0.75, 2.5])
    np.testing.assert_allclose(scan.geometry.lps_from_index_zyx(index), ORIGIN + steps @ direction.T, atol=1e-4)
    assert scan.notes == ()


def test_name_is_the_folder_and_nothing_tells_the_patient(tmp_path):
    write_series(tmp_path / "case7", ramp(5), [0, 1, 2, 3, 4])
    write_series(tmp_path / "case7", ramp(3), [0, 1, 2], uid="1.2.3.2", prefix="b")
    scan = read_scan(tmp_path / "case7")
    assert scan.name == "case7"
    assert scan.notes and "Doe" not in " ".join(scan.notes)


def test_each_slice_has_its_own_rescale(tmp_path):
    """Stored numbers of the two halves differ, Hounsfield units do not."""
    hu = (ramp(4) * 2).astype(np.int16)
    write_series(tmp_path, hu[:2], [0.0, 2.0])
    write_series(tmp_path, hu[2:], [4.0, 6.0], prefix="t", tags={"0028|1053": "2", "0028|1052": "-1000"})
    np.testing.assert_array_equal(read_scan(tmp_path).hu, hu)


def test_series_with_most_slices_is_taken_from_sub_folders_and_noted(tmp_path):
    write_series(tmp_path / "a", ramp(3), [0, 5, 10], uid="1.2.3.1")
    write_series(tmp_path / "b", ramp(6) + 1, np.arange(6) * 2.0, uid="1.2.3.2")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.hu, ramp(6) + 1)
    assert scan.notes == ("Of 2 CT series the one with most slices was taken (6; others 3).",)


def test_localisers_reports_other_modalities_and_other_files_are_skipped(tmp_path):
    hu = ramp(4)
    write_series(tmp_path, hu, [0, 2, 4, 6])
    write_series(
        tmp_path, ramp(6), range(6), uid="1.2.3.4", prefix="l", tags={"0008|0008": "ORIGINAL\\PRIMARY\\LOCALIZER"}
    )
    write_series(tmp_path, ramp(9), range(9), uid="1.2.3.5", prefix="p", tags={"0008|0060": "PT"})
    write_report(tmp_path / "sr.dcm")
    (tmp_path / "DICOMDIR").write_bytes(b"no")
    (tmp_path / "readme.txt").write_text("hello")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.hu, hu)
    assert scan.notes == ()


def test_a_few_missing_slices_are_interpolated_in_place_and_noted(tmp_path):
    hu = np.repeat(np.arange(10, dtype=np.int16)[:, None, None] * 100 - 500, 6, axis=1).repeat(5, axis=2)
    keep = [0, 1, 2, 5, 6, 7, 8, 9]
    scan = read_scan(write_series(tmp_path, hu[keep], np.array(keep) * 2.0))
    np.testing.assert_allclose(scan.hu, hu, atol=1e-3)
    assert scan.geometry.spacing_xyz_mm[2] == pytest.approx(2.0)
    assert len(scan.notes) == 1 and "2.00 to 6.00 mm" in scan.notes[0]


def test_a_wide_hole_is_refused(tmp_path):
    with pytest.raises(InputError, match="Slices are missing"):
        read_scan(write_series(tmp_path, ramp(6), [0, 2, 4, 20, 22, 24]))


def test_repeated_slices_count_once(tmp_path):
    hu = ramp(4)
    write_series(tmp_path / "a", hu, [0, 2, 4, 6], tags={"0020|0012": "1"})
    write_series(tmp_path / "b", hu + 500, [0, 2, 4, 6], tags={"0020|0012": "2"})
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.hu, hu)
    assert scan.notes == ("4 slices lie where another one lies and were left out.",)


def test_tilted_gantry_is_refused(tmp_path):
    with pytest.raises(InputError, match="tilted gantry"):
        read_scan(write_series(tmp_path, ramp(6), np.arange(6) * 3.0, shift_per_mm=(0, 0.3, 0)))


def test_another_modality_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="holds MR, not CT"):
        read_scan(write_series(tmp_path, ramp(4), range(4), tags={"0008|0060": "MR"}))


def test_single_slice_file_asks_for_the_folder(tmp_path):
    write_series(tmp_path, ramp(3), range(3))
    with pytest.raises(InputError, match="give the folder"):
        read_scan(tmp_path / "s000.dcm")


def test_too_few_slices_are_refused(tmp_path):
    with pytest.raises(InputError, match="only 2 slice"):
        read_scan(write_series(tmp_path, ramp(2), range(2)))


def test_report_alone_is_no_ct(tmp_path):
    write_report(tmp_path / "sr.dcm")
    with pytest.raises(InputError, match="not a CT slice"):
        read_scan(tmp_path / "sr.dcm")
    with pytest.raises(InputError, match="no DICOM image"):
        read_scan(tmp_path)


def test_truncated_slice_is_refused(tmp_path):
    write_series(tmp_path, ramp(4, 64, 64), range(4))
    broken = tmp_path / "s002.dcm"
    broken.write_bytes(broken.read_bytes()[:-5000])
    with pytest.raises(InputError, match="cut short"):
        read_scan(tmp_path)
