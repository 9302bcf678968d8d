"""One DICOM file with all slices (enhanced CT): each frame is put where it says it lies, or the file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_folder import THICKNESS_MM
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from small_ct import trunk_hu
from VertebraLabelingLib.core.errors import InputError
from VertebraLabelingLib.core.readers import read_scan

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
INTERCEPT = -1024
COUNT = len(trunk_hu())
PLACES_MM = THICKNESS_MM * np.arange(COUNT)


def item(**values) -> Dataset:
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def write_frames(path: Path, hu, positions, **changes) -> Path:
    """An enhanced CT file; positions: (n, 3) LPS mm of the frames.  changes: of the group that all frames share."""
    data = item(
        file_meta=FileMetaDataset(), SOPClassUID=ENHANCED_CT, SOPInstanceUID="1.2.3.9", Modality="CT",
        StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1", ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        NumberOfFrames=len(hu), Rows=hu.shape[1], Columns=hu.shape[2], SamplesPerPixel=1, BitsAllocated=16,
        PhotometricInterpretation="MONOCHROME2", BitsStored=16, HighBit=15, PixelRepresentation=0,
    )  # fmt: skip
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    shared = {
        "PixelMeasuresSequence": [item(PixelSpacing=[5.0, 6.0], SliceThickness=9.0)],
        "PlaneOrientationSequence": [item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        "PixelValueTransformationSequence": [item(RescaleIntercept=INTERCEPT, RescaleSlope=1, RescaleType="HU")],
    }
    data.SharedFunctionalGroupsSequence = [item(**(shared | changes))]
    data.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=[float(mm) for mm in place])]) for place in positions
    ]
    data.PixelData = (hu - INTERCEPT).astype(np.uint16).tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def stacked(places_mm, shift_y=0.0):
    """Positions at these heights."""
    return np.stack([np.full(len(places_mm), -70.0), -60.0 + shift_y * places_mm, places_mm], axis=1)


ORDERS = {
    "upwards": np.arange(COUNT),
    "downwards": np.arange(COUNT)[::-1],
    "mixed": np.random.default_rng(0).permutation(COUNT),
}


@pytest.mark.parametrize("name", ORDERS)
def test_frames_in_any_order_make_the_same_volume(tmp_path, name):
    order = ORDERS[name]
    scan = read_scan(write_frames(tmp_path / "a.dcm", trunk_hu()[order], stacked(PLACES_MM[order])))
    np.testing.assert_array_equal(scan.hu, trunk_hu())
    assert scan.geometry.spacing_xyz_mm == (6.0, 5.0, THICKNESS_MM)
    assert scan.geometry.origin_lps_mm == (-70.0, -60.0, 0.0)
    np.testing.assert_array_equal(np.reshape(scan.geometry.direction, (3, 3)), np.eye(3))
    assert scan.notes == ()


def test_a_second_phase_in_the_same_file_is_left_out_with_a_note(tmp_path):
    hu = np.concatenate([trunk_hu(), trunk_hu() + 7])
    scan = read_scan(write_frames(tmp_path / "a.dcm", hu, stacked(np.tile(PLACES_MM, 2))))
    np.testing.assert_array_equal(scan.hu, trunk_hu())
    assert "30 slices lie where another one lies" in scan.notes[0]


def test_a_folder_with_such_a_file_tells_the_notes_too(tmp_path):
    write_frames(tmp_path / "a.dcm", np.concatenate([trunk_hu()] * 2), stacked(np.tile(PLACES_MM, 2)))
    assert "30 slices lie where another one lies" in read_scan(tmp_path).notes[0]


@pytest.mark.parametrize(
    ("positions", "reason"),
    [
        (stacked(np.where(np.arange(COUNT) < 15, 0.0, 60.0) + PLACES_MM), "missing"),
        (stacked(PLACES_MM, shift_y=0.3), "tilted gantry"),
        (stacked(PLACES_MM)[:-1], "not all it tells of"),
        (np.full((COUNT, 3), np.nan), "where its slices lie"),
        (stacked(np.zeros(COUNT)), "only 1 slice"),
    ],
    ids=["hole", "tilt", "frame without place", "no numbers", "one place"],
)
def test_frames_that_are_no_even_stack_are_refused(tmp_path, positions, reason):
    with pytest.raises(InputError, match=reason):
        read_scan(write_frames(tmp_path / "a.dcm", trunk_hu(), positions))


@pytest.mark.parametrize("name", ["PixelMeasuresSequence", "PlaneOrientationSequence"])
def test_frames_without_spacing_or_direction_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="not a CT slice with a position"):
        read_scan(write_frames(tmp_path / "a.dcm", trunk_hu(), stacked(PLACES_MM), **{name: []}))
