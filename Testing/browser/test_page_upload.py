"""A CT of several files is chosen at once: the slices of a DICOM series, or a header and its data."""

from __future__ import annotations

import pytest
import SimpleITK as sitk
from dicom_slice import write_slice
from phantoms import small_phantom


def write_series(folder):
    """The phantom as one DICOM file per slice."""
    folder.mkdir()
    image = sitk.Cast(small_phantom().scan.to_sitk(), sitk.sitkInt16)
    for number in range(image.GetSize()[2]):
        picture = image[:, :, number : number + 1]
        x, y, z = image.TransformIndexToPhysicalPoint((0, 0, number))
        tags = {
            "0008|0060": "CT", "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL", "0020|000d": "1.2.3", "0020|000e": "1.2.3.1",
            "0008|0018": f"1.2.3.1.{number + 1}", "0020|0013": str(number + 1), "0020|0052": "1.2.3.0",
            "0020|0032": f"{x}\\{y}\\{z}", "0020|0037": "1\\0\\0\\0\\1\\0",
        }  # fmt: skip
        write_slice(folder / f"IM{number:04d}.dcm", picture, tags)
    return sorted(folder.iterdir())


def back_to_the_phantom(desk):
    desk.open_file("phantom.nii.gz")
    desk.until(lambda state: state["ct"]["name"] == "phantom" and not state["opening"], "the phantom again")


@pytest.mark.parametrize("beside", [None, "readme.txt"])
def test_a_dicom_series_is_opened_with_whatever_lies_beside_it(desk, tmp_path, beside):
    files = write_series(tmp_path / "series")
    if beside:
        (tmp_path / "series" / beside).write_text("No image.", encoding="utf-8")
        files.append(tmp_path / "series" / beside)
    before = desk.state["ct"]
    desk.upload(*files)
    state = desk.until(lambda state: state["ct"]["name"] == "DICOM series" and not state["opening"], "the series")
    assert state["ct"]["size_ijk"] == before["size_ijk"]
    assert state["ct"]["spacing_mm"] == pytest.approx(before["spacing_mm"], abs=1e-3)
    assert state["message"]["kind"] == "info"
    desk.until_shown(4)
    back_to_the_phantom(desk)


@pytest.mark.parametrize("header", ["a.mhd", "a.nhdr"])
def test_a_header_and_its_data_are_opened(desk, tmp_path, header):
    sitk.WriteImage(small_phantom().scan.to_sitk(), str(tmp_path / header), useCompression=True)
    desk.upload(*sorted(tmp_path.iterdir()))
    desk.until(lambda state: state["ct"]["name"] == "a" and not state["opening"], "the CT")
    back_to_the_phantom(desk)


def test_files_that_are_no_one_scan_are_refused(desk):
    before = desk.state
    with desk.refusal():
        desk.upload(desk.folder / "phantom.nii.gz", desk.folder / "other.nii.gz")
        desk.until_told("no one scan", "error")
    assert desk.state["ct"] == before["ct"]
