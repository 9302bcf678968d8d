"""Readers of data sets with points: miniature sets in each format, positions known from SimpleITK."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError, UsageError
from VertebraLabelingLib.core.formats import markups
from VertebraLabelingLib.core.labelling import LabelledPoint

from training.datasets import csi2014, listed, pairs, read_dataset, recognise, verse
from training.datasets.annotated import Annotated, check_points, points_inside, safe_id

TILT = np.deg2rad(9.0)
LEVELS = (Level.T12, Level.T13, Level.L1, Level.L5, Level.L6)
PLACES_LPS_MM = np.array([(-12.0, 30.0, 540.0 - 25.0 * n) for n in range(len(LEVELS))]) + [
    [0, 1.5 * n, 0] for n in range(5)
]


def image(orientation: str = "LPS") -> sitk.Image:
    """A CT-sized grid with unequal spacing, far from the origin, its axes tilted by 9 degrees about x."""
    made = sitk.Image(40, 50, 60, sitk.sitkInt16)
    made.SetSpacing((2.0, 2.5, 3.0))
    made.SetOrigin((-60.0, -45.0, 400.0))
    cos, sin = float(np.cos(TILT)), float(np.sin(TILT))
    made.SetDirection((1, 0, 0, 0, cos, -sin, 0, sin, cos))
    return sitk.DICOMOrient(made, orientation)


def write(made: sitk.Image, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(made, str(file))
    return file


def voxels(made: sitk.Image) -> list[tuple[float, ...]]:
    """Continuous indices i, j, k of the places."""
    return [made.TransformPhysicalPointToContinuousIndex(place.tolist()) for place in PLACES_LPS_MM]


def require_known(item: Annotated) -> None:
    assert [point.level for point in item.points] == list(LEVELS)
    np.testing.assert_allclose([point.position_lps_mm for point in item.points], PLACES_LPS_MM, atol=0.02)


def centroids(places: list[tuple[float, ...]]) -> list[dict[str, float]]:
    """Entries of a VerSe file, not in order."""
    pairs = zip(LEVELS, places, strict=True)
    return [{"label": level.verse_id, **dict(zip("XYZ", place, strict=True))} for level, place in pairs][::-1]


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR"])
def test_verse_by_subject_counts_voxels_of_the_image(orientation: str, tmp_path: Path) -> None:
    made, name = image(orientation), "sub-verse400_split-verse090_dir-ax"
    root = tmp_path / "dataset-02validation"
    scan = write(made, root / "rawdata" / "sub-verse400" / f"{name}_ct.nii.gz")
    file = root / "derivatives" / "sub-verse400" / f"{name}_seg-subreg_ctd.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps([{"direction": list(orientation)}, *centroids(voxels(made))]))
    assert recognise(tmp_path) == "verse"
    (item,) = read_dataset(tmp_path)
    assert (item.id, item.patient, item.split, item.scan_file) == (name, "verse400", "val", scan)
    require_known(item)
    assert {20, 25, 28} <= {entry["label"] for entry in json.loads(file.read_text())[1:]}, "L1, L6 and T13"


@pytest.mark.parametrize(
    ("axes", "image_name", "points_name"),
    [
        ("IPL", "verse014.nii.gz", "verse014_ctd.json"),
        ("PIR", "verse512_CT-iso.nii.gz", "verse512_CT-iso_iso-ctd.json"),
        ("IPL", "verse599.nii.gz", "verse599_iso-ctd.json"),
    ],
)
@pytest.mark.parametrize("stored", ["LPS", "RAS"])
def test_verse_of_the_challenge_counts_millimetres_along_its_own_axes(
    axes: str, image_name: str, points_name: str, stored: str, tmp_path: Path
) -> None:
    turned = sitk.DICOMOrient(image(), axes)
    places = [tuple(np.array(index) * turned.GetSpacing()) for index in voxels(turned)]
    write(image(stored), tmp_path / "01_training" / image_name)
    (tmp_path / "01_training" / points_name).write_text(json.dumps(centroids(places)))
    (item,) = verse.items(tmp_path)
    assert item.split == "train" and item.patient == image_name[:8]
    require_known(item)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "no vertebra"),
        ([{"direction": ["L", "P", "S"]}], "no vertebra"),
        ([{"label": 27, "X": 1, "Y": 2, "Z": 3}], "not a VerSe centroid file"),
        ([{"label": 20, "X": 1}], "not a VerSe centroid file"),
    ],
)
def test_broken_verse_files_say_so(content: list[object], message: str, tmp_path: Path) -> None:
    write(image(), tmp_path / "verse001.nii.gz")
    (tmp_path / "verse001_ctd.json").write_text(json.dumps(content))
    (item,) = verse.items(tmp_path)
    with pytest.raises(InputError, match=message):
        _ = item.points


def test_a_missing_scan_is_named_when_its_points_are_read(tmp_path: Path) -> None:
    (tmp_path / "verse001_ctd.json").write_text(json.dumps(centroids(voxels(image()))))
    (item,) = verse.items(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        _ = item.points


@pytest.mark.parametrize("suffix", [".nii.gz", ".mhd"])
def test_csi_2014_counts_millimetres_from_the_first_voxel(suffix: str, tmp_path: Path) -> None:
    made = image("RAS")
    folder = tmp_path / "spine-1" / "patient0013" / "4511471"
    write(made, folder / f"4511471{suffix}")
    rows = [
        f"{10 * (level + 1)}\t{level.name}_center\t"
        + "\t".join(f"{v:.3f}" for v in np.array(index) * made.GetSpacing())
        for level, index in zip(LEVELS, voxels(made), strict=True)
    ]
    (folder / "4511471.lml").write_text("\n".join(["# 5", *rows]) + "\n")
    assert recognise(tmp_path) == "csi2014"
    (item,) = read_dataset(tmp_path)
    assert (item.id, item.patient, item.split) == ("patient0013-4511471", "patient0013", None)
    require_known(item)


@pytest.mark.parametrize("text", ["# 0\n", "# 1\n10\tC1_center\t3\t4\n", "# 1\n10\tD1_center\t3\t4\t5\n"])
def test_broken_landmark_files_say_so(text: str, tmp_path: Path) -> None:
    scan = write(image(), tmp_path / "a.nii.gz")
    (tmp_path / "a.lml").write_text(text)
    with pytest.raises(InputError, match=r"a\.lml"):
        csi2014.read_lml(tmp_path / "a.lml", scan)


def test_pairs_take_markups_tables_and_verse_files_next_to_the_scan(tmp_path: Path) -> None:
    points = [LabelledPoint(level, tuple(place)) for level, place in zip(LEVELS, PLACES_LPS_MM.tolist(), strict=True)]
    write(image(), tmp_path / "anna" / "first.nii.gz")
    markups.write(tmp_path / "anna" / "first.mrk.json", points)
    write(image("RAS"), tmp_path / "anna" / "second.nrrd")
    table = [
        "label,r,a,s",
        *(f"{p.level.name},{-p.position_lps_mm[0]},{-p.position_lps_mm[1]},{p.position_lps_mm[2]}" for p in points),
    ]
    (tmp_path / "anna" / "second.csv").write_text("\n".join(table) + "\n")
    write(image(), tmp_path / "third.mha")
    (tmp_path / "third_ctd.json").write_text(json.dumps([{"direction": ["L", "P", "S"]}, *centroids(voxels(image()))]))
    write(image(), tmp_path / "not-annotated.nii.gz")
    (tmp_path / "results.csv").write_text("a,b\n")
    assert recognise(tmp_path) == "pairs"
    items = {item.id: item for item in read_dataset(tmp_path)}
    assert {name: item.patient for name, item in items.items()} == {
        "anna-first": "anna", "anna-second": "anna", "third": "third",
    }  # fmt: skip
    for item in items.values():
        require_known(item)


def test_patients_csv_names_the_patients_of_a_flat_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(image(), tmp_path / f"{name}.nii.gz")
        (tmp_path / f"{name}.csv").write_text("label,x,y,z\nL1,0,0,0\n")
    (tmp_path / "patients.csv").write_text("id,patient\na,7\nb,7\n")
    assert {item.patient for item in pairs.items(tmp_path)} == {"7"}


def test_the_list_gives_its_splits_and_leaves_unlabelled_rows_out(tmp_path: Path) -> None:
    rows = ["a,a.nii.gz,train,p1,L1", "b,neck/b.nii.gz,val,p2,none", "c,c.nii.gz,unlabelled,p3,"]
    (tmp_path / "scans.csv").write_text("\n".join(["id,file,split,patient,levels", *rows]) + "\n")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.csv").write_text("label,x,y,z\nL1,1,2,3\n")
    items = {item.id: item for item in read_dataset(tmp_path)}
    assert {name: (item.split, item.patient) for name, item in items.items()} == {
        "a": ("train", "p1"),
        "b": ("val", "p2"),
    }
    assert items["a"].points[0].position_lps_mm == (1.0, 2.0, 3.0) and items["b"].points == ()


def test_additional_annotations_are_of_unlabelled_scans_whose_patient_is_not_held_out(tmp_path: Path) -> None:
    rows = [
        "a,a.nii.gz,val,p1,L1",
        "b,b.nii.gz,unlabelled,p1,",
        "c,c.nii.gz,unlabelled,p3,",
        "d,d.nii.gz,unlabelled,p4,",
    ]
    (tmp_path / "scans.csv").write_text("\n".join(["id,file,split,patient,levels", *rows]) + "\n")
    made = tmp_path / "made"
    made.mkdir()
    for name in "abc":
        (made / f"{name}.csv").write_text("label,x,y,z\nL1,1,2,3\n")
    items = {item.id: item for item in listed.additional_items(tmp_path, made, "pseudo", 0.25)}
    assert items.keys() == {"b", "c"}
    assert (items["c"].split, items["c"].weight, len(items["c"].points)) == ("pseudo", 0.25, 1)
    with pytest.raises(InputError, match="held out"):
        _ = items["b"].points


def test_a_folder_without_a_known_layout_is_a_usage_error(tmp_path: Path) -> None:
    write(image(), tmp_path / "a.nii.gz")
    with pytest.raises(UsageError, match="no data set"):
        recognise(tmp_path)
    with pytest.raises(UsageError, match="layout 'verse'"):
        list(read_dataset(tmp_path, "verse"))
    with pytest.raises(UsageError, match="does not exist"):
        recognise(tmp_path / "nowhere")


def column(*places_lps_mm: tuple[float, float, float]) -> tuple[LabelledPoint, ...]:
    return tuple(LabelledPoint(Level(Level.L1 + n), place) for n, place in enumerate(places_lps_mm))


def test_points_in_another_frame_are_noticed() -> None:
    check_points(column((0, 0, 90), (0, 0, 60), (0, 0, 30)))
    with pytest.raises(InputError, match="lies below"):
        check_points(column((0, 0, 30), (0, 0, 60), (0, 0, 90)))
    with pytest.raises(InputError, match="3 mm apart"):
        check_points(column((0, 0, 9), (0, 0, 6), (0, 0, 3)))


def test_points_just_outside_are_left_out_and_points_far_outside_are_an_error() -> None:
    corner, extent = np.array([0.0, -50.0, -50.0]), np.array([100.0, 100.0, 100.0])
    kept = points_inside(column((0, 0, 105), (0, 0, 75), (0, 0, 45)), corner, extent)
    assert [point.level for point in kept] == [Level.L2, Level.L3]
    with pytest.raises(InputError, match="L1 lies 60 mm outside"):
        points_inside(column((0, 0, 160), (0, 0, 75)), corner, extent)


def test_an_id_is_a_file_name_on_every_system() -> None:
    names = {"neck-201": "neck-201", "a b/c:d": "a-b-c-d", "..x.": "x", "Müller": "Müller", "contour": "contour"}
    reserved = {"CON": "scan-CON", "nul.1": "scan-nul.1", "com1": "scan-com1", "?": "scan-"}
    for name, safe in (names | reserved).items():
        assert safe_id(name) == safe


def test_a_list_of_patients_that_is_not_utf8_is_refused_with_a_sentence(tmp_path: Path) -> None:
    write(image(), tmp_path / "a.nii.gz")
    markups.write(tmp_path / "a.mrk.json", [LabelledPoint(Level.L1, (0.0, 0.0, 450.0))])
    (tmp_path / "patients.csv").write_bytes("id,patient\na,Müller\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"patients\.csv is not text in UTF-8"):
        list(pairs.items(tmp_path))
