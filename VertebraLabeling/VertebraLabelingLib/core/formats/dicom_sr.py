"""DICOM SR: one point per vertebra in a Comprehensive 3D SR with template 1500, which Slicer >= 5.12 reads itself.

Each vertebra is a planar ROI group (TID 1410) with a 3-D point in the frame of reference of the CT: the tracking
identifier is the level, the finding site its SNOMED CT code (T13, L6 and S2 have none: "Vertebra", with the level as a
modifier of this program's own), and a measurement "Certainty of Finding" the probability in per cent.

highdicom (extra "dicom"; part of Slicer) is imported when needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ... import __version__
from ..anatomy import Level
from ..dicom_series import ct_series, is_dicom_file
from ..errors import InputError, UsageError
from ..files import atomic_write
from ..labelling import LabelledPoint

PROGRAM = "VertebraLabeling"
OWN_SCHEME = "99VERTLABELING"
"""Coding scheme of the modifiers; names that begin with 99 are private (DICOM PS3.16, 8.2)."""

_SERIES_NUMBER = 1500
_VERTEBRA = ("51282000", "SCT", "Vertebra")
_ANATOMICAL_STRUCTURE = ("123037004", "SCT", "Anatomical structure")
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes of type 2: a report has them, without a value where the series lacks them (made anonymous)."""


@dataclass(frozen=True)
class DicomSource:
    """The CT series that the points belong to: headers of its instances, as pydicom data sets without pixels."""

    datasets: tuple[Any, ...]

    @property
    def frame_of_reference_uid(self) -> str:
        """The coordinate system in which positions of the series, and so of the points, are given."""
        return str(self.datasets[0].FrameOfReferenceUID)


def read_source(folder_or_files: Path | Sequence[Path]) -> DicomSource:
    """Headers of the CT series that `read_dicom_folder` takes from a folder, or of files.

    Files that are no CT slices are passed over.  InputError when no CT is left, the files belong to several series, or
    the series lacks what ties a report to it.  UsageError without highdicom.
    """
    _highdicom()
    if isinstance(folder_or_files, (str, Path)):
        place = Path(folder_or_files)
        datasets = _headers([s.path for s in ct_series(place)[0]] if place.is_dir() else _dicom_files([place]))
    else:
        place = Path(folder_or_files[0]).parent if folder_or_files else Path()
        datasets = _headers(_dicom_files(folder_or_files))
    if not datasets:
        raise InputError(f"{place} holds no DICOM CT slices; a DICOM report needs the DICOM series of the CT.")
    _check_series(datasets, place)
    return DicomSource((_completed(datasets[0]), *datasets[1:]))


def _highdicom() -> ModuleType:
    try:
        import highdicom
    except ImportError as error:
        raise UsageError(
            "A DICOM report needs the package highdicom; install it with: pip install 'vertebra-labeling[dicom]'"
        ) from error
    return highdicom


def _dicom_files(paths: Iterable[Path]) -> list[Path]:
    return [path for path in map(Path, paths) if path.is_file() and is_dicom_file(path)]


def _headers(paths: Iterable[Path]) -> list[Any]:
    """Data sets, without pixels, of the CT slices among the files."""
    return [header for header in map(_header, paths) if header is not None and _is_ct_slice(header)]


def _header(path: Path) -> Any | None:
    from pydicom import dcmread

    try:
        return dcmread(path, stop_before_pixels=True, force=True)  # slices of old systems lack the DICM mark
    except (EOFError, ValueError):  # damaged; the reader of the volume has already said so if it was needed
        return None


def _is_ct_slice(header: Any) -> bool:
    kind = " ".join(header.get("ImageType") or ()).upper()
    return header.get("Modality") == "CT" and "Rows" in header and "LOCALIZER" not in kind


def _check_series(headers: list[Any], place: Path) -> None:
    """InputError when an identifier is missing or empty, or the files belong to more than one series or frame."""
    for keyword in _NEEDED:
        if not all(header.get(keyword) for header in headers):
            raise InputError(
                f"A slice of the DICOM series in {place} has no {keyword}, so no DICOM report can refer to it; "
                "save the points as .mrk.json or .csv."
            )
    for keyword in ("SeriesInstanceUID", "FrameOfReferenceUID"):
        if len({header[keyword].value for header in headers}) > 1:
            raise InputError(f"The DICOM files in {place} have more than one {keyword}; give those of one series.")


def _completed(header: Any) -> Any:
    """A copy with the attributes that may be empty but not absent; those that are absent are empty in it."""
    from copy import copy

    complete = copy(header)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in complete:
            setattr(complete, keyword, "")
    return complete


def write_sr(path: Path, points: Sequence[LabelledPoint], source: DicomSource) -> None:
    """A Comprehensive 3D SR of the points (LPS mm in the frame of reference of `source`), in the study of the source.

    UsageError without points or highdicom, or for a place that cannot be written; InputError when the header of the
    series cannot be carried over.
    """
    hd = _highdicom()
    if not points:
        raise UsageError("There is no point to write into a DICOM report; label a CT first.")
    content = _report(hd, points, source.frame_of_reference_uid)
    document = _document(hd, content, source)
    with atomic_write(Path(path)) as temporary:
        document.save_as(temporary)


def _document(hd: Any, content: Any, source: DicomSource) -> Any:
    try:
        return hd.sr.Comprehensive3DSR(
            evidence=source.datasets,
            content=content,
            series_instance_uid=hd.UID(),
            series_number=_SERIES_NUMBER,
            series_description="Vertebra labels",
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer=PROGRAM,
            manufacturer_model_name=PROGRAM,
            software_versions=__version__,
            is_complete=True,
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"The header of the DICOM series cannot be carried over into a report ({error}); "
            "save the points as .mrk.json or .csv."
        ) from error


def _report(hd: Any, points: Sequence[LabelledPoint], frame_of_reference_uid: str) -> Any:
    """The content tree: TID 1500, observed by this program."""
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    program = hd.sr.DeviceObserverIdentifyingAttributes(uid=generate_uid(None, [PROGRAM]), name=PROGRAM)
    observer = hd.sr.ObserverContext(codes.DCM.Device, program)
    groups = [_group(hd, point, frame_of_reference_uid) for point in points]
    return hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )


def _group(hd: Any, point: LabelledPoint, frame_of_reference_uid: str) -> Any:
    """One vertebra: TID 1410."""
    from pydicom.sr.codedict import codes

    position = np.array([point.position_lps_mm])
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(identifier=point.level.name),
        referenced_region=hd.sr.ImageRegion3D(hd.sr.GraphicTypeValues3D.POINT, position, frame_of_reference_uid),
        finding_type=hd.sr.CodedConcept(*_VERTEBRA),
        finding_category=hd.sr.CodedConcept(*_ANATOMICAL_STRUCTURE),
        finding_sites=[_finding_site(hd, point.level)],
        algorithm_id=hd.sr.AlgorithmIdentification(name=PROGRAM, version=__version__),
        measurements=[
            hd.sr.Measurement(codes.DCM.CertaintyOfFinding, round(100.0 * point.probability, 1), codes.UCUM.Percent)
        ],
    )


def _finding_site(hd: Any, level: Level) -> Any:
    code, meaning = level.snomed
    concept = hd.sr.CodedConcept(code, "SCT", meaning)
    if code != _VERTEBRA[0]:
        return hd.sr.FindingSite(concept)
    modifier = hd.sr.CodedConcept(level.name, OWN_SCHEME, f"{level.name} vertebra")
    return hd.sr.FindingSite(concept, topographical_modifier=modifier)
