"""The DICOM report: written for a synthetic CT series, read back as Slicer does, refused with clear sentences."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from test_dicom import ramp, write_series
from VertebraLabelingLib import __version__
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.dicom import read_dicom_folder
from VertebraLabelingLib.core.errors import InputError, UsageError
from VertebraLabelingLib.core.formats.dicom_sr import read_source, write_sr
from VertebraLabelingLib.core.labelling import LabelledPoint

REASON = "needs highdicom: pip install 'vertebra-labeling[dicom]'"
FRAME = "1.2.3.77"
PATIENT = {"0010|0020": "P1", "0008|0050": "A7", "0020|0010": "S9", "0008|0020": "20260102", "0008|0030": "101500"}
POINTS = (
    LabelledPoint(Level.T12, (-3.25, 41.5, 120.125), 0.25, "next to the border of the scan"),
    LabelledPoint(Level.T13, (1.0, 40.0, 88.5), 1.0, confirmed=True),
    LabelledPoint(Level.L1, (2.0, 39.0, -1055.5), 0.977),
    LabelledPoint(Level.S2, (0.1, 60.7, -1200.3)),
)


@pytest.fixture
def hd():
    return pytest.importorskip("highdicom", reason=REASON)


@pytest.fixture
def codes():
    pytest.importorskip("highdicom", reason=REASON)
    from pydicom.sr.codedict import codes

    return codes


def series(folder: Path, count: int = 4, **tags: str) -> Path:
    """A CT series in the frame FRAME; `tags` as "g0010_0020"."""
    more = {key[1:].replace("_", "|"): value for key, value in tags.items()}
    return write_series(folder, ramp(count), np.arange(count) * 2.0, tags={"0020|0052": FRAME, **PATIENT, **more})


def without(folder: Path, keyword: str) -> Path:
    """The series with the attribute removed from each file."""
    from pydicom import dcmread

    for path in folder.glob("*.dcm"):
        dataset = dcmread(path)
        delattr(dataset, keyword)
        dataset.save_as(path)
    return folder


@pytest.fixture
def report(tmp_path, hd):
    """The report of POINTS, from the file."""
    write_sr(tmp_path / "labels.dcm", POINTS, read_source(series(tmp_path / "ct")))
    return hd.sr.srread(tmp_path / "labels.dcm")


@pytest.fixture
def groups(report, hd, codes):
    """One group per point, chosen as Slicer's TID 1500 plugin chooses them."""
    return report.content.get_planar_roi_measurement_groups(
        graphic_type=hd.sr.GraphicTypeValues3D.POINT, reference_type=codes.DCM.ImageRegion
    )


def test_every_vertebra_is_a_point_with_its_level_as_tracking_identifier(groups):
    assert [group.tracking_identifier for group in groups] == ["T12", "T13", "L1", "S2"]
    assert len({group.tracking_uid for group in groups}) == len(groups)


def test_places_are_lps_mm_in_the_frame_of_reference_of_the_series(groups):
    places = [group.roi.value for group in groups]
    np.testing.assert_allclose(np.concatenate(places), [point.position_lps_mm for point in POINTS], atol=1e-4)
    assert {group.roi.frame_of_reference_uid for group in groups} == {FRAME}


def test_the_finding_site_is_the_level_or_a_vertebra_with_a_name(groups):
    sites = [group.finding_sites[0] for group in groups]
    assert [(site.value.value, site.value.scheme_designator) for site in sites] == [
        ("23215003", "SCT"), ("51282000", "SCT"), ("66794005", "SCT"), ("51282000", "SCT"),
    ]  # fmt: skip
    assert [site.topographical_modifier and site.topographical_modifier.meaning for site in sites] == [
        None, "T13 vertebra", None, "S2 vertebra",
    ]  # fmt: skip
    assert sites[1].topographical_modifier.scheme_designator.startswith("99")


def test_finding_probability_and_algorithm_are_told(groups, codes):
    assert {(group.finding_type.meaning, group.finding_category.meaning) for group in groups} == {
        ("Vertebra", "Anatomical structure")
    }
    certainties = [group.get_measurements(name=codes.DCM.CertaintyOfFinding)[0] for group in groups]
    assert [one.value for one in certainties] == pytest.approx([25.0, 100.0, 97.7, 100.0])
    assert {one.unit for one in certainties} == {codes.UCUM.Percent}
    texts = {item.ConceptNameCodeSequence[0].CodeMeaning: item.TextValue for item in groups[0][0].ContentSequence
             if item.ValueType == "TEXT"}  # fmt: skip
    assert texts["Algorithm Name"] == "VertebraLabeling"
    assert texts["Algorithm Version"] == __version__


def test_the_document_belongs_to_patient_and_study_and_refers_to_all_slices(report, tmp_path):
    assert report.SOPClassUID.name == "Comprehensive 3D SR Storage"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (report.PatientID, str(report.PatientName), report.AccessionNumber) == ("P1", "Doe^Jane", "A7")
    assert (report.StudyInstanceUID, report.StudyID, str(report.StudyDate)) == ("1.2.3", "S9", "20260102")
    assert (report.Modality, report.SeriesDescription, report.VerificationFlag) == (
        "SR", "Vertebra labels", "UNVERIFIED",
    )  # fmt: skip
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (images,) = study.ReferencedSeriesSequence
    assert images.SeriesInstanceUID == "1.2.3.1" != report.SeriesInstanceUID
    referenced = {item.ReferencedSOPInstanceUID for item in images.ReferencedSOPSequence}
    assert referenced == {f"1.2.3.1.{number}" for number in range(1, 5)}


def test_two_reports_are_two_instances(tmp_path, hd):
    source = read_source(series(tmp_path / "ct"))
    for name in ("a.dcm", "b.dcm"):
        write_sr(tmp_path / name, POINTS, source)
    first, second = hd.sr.srread(tmp_path / "a.dcm"), hd.sr.srread(tmp_path / "b.dcm")
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


# the source


def test_the_source_of_a_folder_is_the_ct_series_with_most_slices_without_pixels(tmp_path, hd):
    series(tmp_path / "a", 3)
    write_series(tmp_path / "b", ramp(6), np.arange(6) * 2.0, uid="1.2.3.2", tags={"0020|0052": "1.2.3.78"})
    write_series(tmp_path, ramp(9), range(9), uid="1.2.3.5", prefix="p", tags={"0008|0060": "PT"})
    write_series(tmp_path, ramp(8), range(8), uid="1.2.3.4", prefix="l", tags={"0008|0008": "DERIVED\\LOCALIZER"})
    (tmp_path / "readme.txt").write_text("hello")
    source = read_source(tmp_path)
    assert {str(header.SeriesInstanceUID) for header in source.datasets} == {"1.2.3.2"}
    assert len(source.datasets) == 6
    assert source.frame_of_reference_uid == "1.2.3.78"
    assert not any("PixelData" in header for header in source.datasets)


@pytest.mark.parametrize("marked", [True, False])
def test_the_source_is_what_the_reader_of_the_volume_takes(tmp_path, hd, marked):
    """Also where one series holds two orientations, and where slices lack the mark of DICOM files."""
    series(tmp_path, 5)
    upright = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]).T
    write_series(tmp_path, ramp(4), np.arange(4) * 2.0, prefix="t", direction=upright, tags={"0020|0052": FRAME})
    if not marked:
        for path in tmp_path.glob("*.dcm"):
            path.write_bytes(path.read_bytes()[132:])
    image, _ = read_dicom_folder(tmp_path)
    source = read_source(tmp_path)
    places = sorted(float(header.ImagePositionPatient[2]) for header in source.datasets)
    assert places == [image.TransformIndexToPhysicalPoint((0, 0, k))[2] for k in range(5)]
    write_sr(tmp_path / "labels.dcm", POINTS, source)
    assert len(hd.sr.srread(tmp_path / "labels.dcm").content.get_planar_roi_measurement_groups()) == len(POINTS)


def test_the_source_can_be_given_as_files(tmp_path, hd):
    folder = series(tmp_path / "ct")
    assert len(read_source(sorted(folder.glob("*.dcm"))).datasets) == 4
    assert len(read_source(folder / "s000.dcm").datasets) == 1


def test_a_report_is_no_source_of_the_next_one(tmp_path, hd):
    folder = series(tmp_path / "ct")
    write_sr(folder / "labels.dcm", POINTS, read_source(folder))
    assert len(read_source(folder).datasets) == 4


def test_what_names_the_patient_may_be_lacking(tmp_path, hd):
    folder = series(tmp_path / "ct")
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"):
        without(folder, keyword)
    write_sr(tmp_path / "labels.dcm", POINTS, read_source(folder))
    report = hd.sr.srread(tmp_path / "labels.dcm")
    assert not report.PatientID
    assert not report.PatientName
    assert report.StudyInstanceUID == "1.2.3"


def test_names_of_patients_outlive_in_any_alphabet(tmp_path, hd):
    from pydicom import dcmread

    folder = series(tmp_path / "ct")
    for path in folder.glob("*.dcm"):
        dataset = dcmread(path)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName = "Žižka^Jürgen"
        dataset.save_as(path)
    write_sr(tmp_path / "labels.dcm", POINTS, read_source(folder))
    assert str(hd.sr.srread(tmp_path / "labels.dcm").PatientName) == "Žižka^Jürgen"


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_series_that_lacks_an_identifier_is_refused(tmp_path, hd, keyword):
    with pytest.raises(InputError, match=f"has no {keyword}, so no DICOM report can refer to it; save the points as"):
        read_source(without(series(tmp_path / "ct"), keyword))


def test_files_of_two_series_or_two_frames_are_refused(tmp_path, hd):
    files = [*series(tmp_path / "a").glob("*.dcm")]
    other = write_series(tmp_path / "b", ramp(4), range(4), uid="1.2.3.2", tags={"0020|0052": FRAME})
    with pytest.raises(InputError, match="more than one SeriesInstanceUID"):
        read_source([*files, *other.glob("*.dcm")])
    moved = write_series(tmp_path / "a", ramp(4), range(4), prefix="t", tags={"0020|0052": "1.2.3.78"})
    with pytest.raises(InputError, match="more than one FrameOfReferenceUID"):
        read_source(moved)


@pytest.mark.parametrize("name", [".", "missing", "readme.txt"])
def test_no_ct_is_no_source(tmp_path, hd, name):
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(InputError, match=r"holds no DICOM (image|CT) slices; (give|a DICOM report needs)"):
        read_source(tmp_path / name)
    with pytest.raises(InputError, match="holds no DICOM CT slices"):
        read_source([])


def test_a_slice_that_is_cut_short_is_refused_as_it_is_by_the_labelling(tmp_path, hd):
    folder = series(tmp_path / "ct")
    broken = folder / "s002.dcm"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(InputError, match="cut short"):
        read_source(folder)


# writing


def test_an_unknown_kind_of_source_is_refused_with_the_reason(tmp_path, hd):
    source = read_source(series(tmp_path / "ct"))
    for header in source.datasets:
        header.SOPClassUID = "1.2.3.4.5"
    with pytest.raises(InputError, match=r"cannot be carried over into a report .*1\.2\.3\.4\.5"):
        write_sr(tmp_path / "labels.dcm", POINTS, source)
    assert not (tmp_path / "labels.dcm").exists()


def test_without_points_there_is_no_report(tmp_path, hd):
    with pytest.raises(UsageError, match="no point to write"):
        write_sr(tmp_path / "labels.dcm", (), read_source(series(tmp_path / "ct")))


def test_a_report_that_cannot_be_written_leaves_the_earlier_one(tmp_path, hd, monkeypatch):
    source = read_source(series(tmp_path / "ct"))
    target = tmp_path / "labels.dcm"
    target.write_bytes(b"earlier")

    def fail(self, path, *args, **kwargs):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hd.sr.Comprehensive3DSR, "save_as", fail)
    with pytest.raises(UsageError, match=r"cannot be written \(No space left"):
        write_sr(target, POINTS, source)
    assert target.read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct", "labels.dcm"]


def test_without_highdicom_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(UsageError, match=r"needs the package highdicom; .* 'vertebra-labeling\[dicom\]'"):
        read_source(tmp_path)
