"""What lies beside a CT series in an archive: structures, segmentations, presentations, documents and doses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from dicom_folder import PATIENT, THICKNESS_MM
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

FRAMES, ROWS, COLUMNS = 12, 24, 24


def item(**values: object) -> Dataset:
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def saved(path: Path, kind: str, modality: str, data: Dataset) -> Path:
    """The object as a file of the same patient and study as `dicom_folder.write_series` has."""
    data.SOPClassUID, data.Modality, data.PatientName = kind, modality, PATIENT
    data.SOPInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.StudyInstanceUID, data.FrameOfReferenceUID = "1.2.3", "1.2.3.0"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.save_as(path, enforce_file_format=True)
    return path


def write_structures(path: Path) -> Path:
    """An RTSTRUCT with one contour on each slice."""
    contours = [
        item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=4,
             ContourData=[f"{v:.1f}" for v in np.insert(np.ones((4, 2)), 2, z, axis=1).ravel()])
        for z in -90 + THICKNESS_MM * np.arange(30)
    ]  # fmt: skip
    data = item(StructureSetLabel="spine", ROIContourSequence=[item(ReferencedROINumber=1, ContourSequence=contours)])
    return saved(path, "1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", data)


def pixels(bits: int, values: bytes, frames: int) -> Dataset:
    return item(
        NumberOfFrames=frames, Rows=ROWS, Columns=COLUMNS, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=0, PixelData=values,
    )  # fmt: skip


def write_segmentation(path: Path, bits: int = 8) -> Path:
    """A SEG with as many frames as half of the series; bits: 8, or 1 for a packed one."""
    data = pixels(bits, bytes(FRAMES * ROWS * COLUMNS * bits // 8), FRAMES)
    data.ImageType, data.SegmentationType = ["DERIVED", "PRIMARY"], "BINARY"
    shared = {
        "PixelMeasuresSequence": [item(PixelSpacing=[6.0, 6.0], SliceThickness=6.0)],
        "PlaneOrientationSequence": [item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
    }
    data.SharedFunctionalGroupsSequence = [item(**shared)]
    data.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=[-70.0, -60.0, -90.0 + THICKNESS_MM * k])])
        for k in range(FRAMES)
    ]
    return saved(path, "1.2.840.10008.5.1.4.1.1.66.4", "SEG", data)


def write_packed_segmentation(path: Path) -> Path:
    return write_segmentation(path, bits=1)


def write_presentation(path: Path) -> Path:
    """A GSPS: how somebody has looked at the slices."""
    area = item(DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[COLUMNS, ROWS])
    data = item(ContentLabel="VIEW", PresentationLUTShape="IDENTITY", DisplayedAreaSelectionSequence=[area])
    return saved(path, "1.2.840.10008.5.1.4.1.1.11.1", "PR", data)


def write_document(path: Path) -> Path:
    """An encapsulated PDF."""
    data = item(MIMETypeOfEncapsulatedDocument="application/pdf", EncapsulatedDocument=b"%PDF-1.4\n" + bytes(5000))
    return saved(path, "1.2.840.10008.5.1.4.1.1.104.1", "DOC", data)


def write_dose(path: Path) -> Path:
    """An RTDOSE on the grid of the series, with a spacing of its own."""
    data = pixels(16, bytes(FRAMES * ROWS * COLUMNS * 2), FRAMES)
    data.ImagePositionPatient, data.ImageOrientationPatient = [-70.0, -60.0, -90.0], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.DoseGridScaling, data.DoseUnits = [6.0, 6.0], 1e-5, "GY"
    data.GridFrameOffsetVector = [THICKNESS_MM * k for k in range(FRAMES)]
    data.FrameIncrementPointer = 0x3004000C
    return saved(path, "1.2.840.10008.5.1.4.1.1.481.2", "RTDOSE", data)


OBJECTS: dict[str, Callable[[Path], Path]] = {
    "RTSTRUCT": write_structures, "SEG": write_segmentation, "packed SEG": write_packed_segmentation,
    "PR": write_presentation, "PDF": write_document, "RTDOSE": write_dose,
}  # fmt: skip
