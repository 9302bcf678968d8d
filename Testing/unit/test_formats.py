from __future__ import annotations

import json

import numpy as np
import pytest
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError, UsageError
from VertebraLabelingLib.core.formats import read_points, verse, write_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import UNCERTAIN_BELOW, LabelledPoint, Labelling

POINTS = (
    LabelledPoint(Level.T12, (1.25, -20.5, 300.0), 0.97),
    LabelledPoint(Level.T13, (1.5, -20.75, 280.0), 0.62),
    LabelledPoint(Level.L1, (2.0, -21.0, 270.125), 0.31, 'could be T13, "short" rib; näher ansehen'),
    LabelledPoint(Level.S2, (-7.5, 12.0, 90.0), 1.0),
)
ROTATION = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
GRID = Geometry((200, 90, 80), (0.8, 1.2, 2.0), (-40.0, -60.0, 50.0), tuple(ROTATION.ravel()))


@pytest.mark.parametrize("name", ["a.mrk.json", "A.MRK.JSON", "a.csv"])
def test_round_trip_keeps_everything(tmp_path, name):
    write_points(tmp_path / name, Labelling(POINTS))
    assert read_points(tmp_path / name) == POINTS


def test_empty_labelling_makes_a_valid_file(tmp_path):
    for name in ("a.mrk.json", "a.csv", "a_ctd.json"):
        write_points(tmp_path / name, Labelling(()), GRID)
        assert read_points(tmp_path / name, GRID) == ()


def test_unknown_endings_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no known ending"):
        write_points(tmp_path / "a.fcsv", Labelling(POINTS))
    with pytest.raises(InputError, match="no point file"):
        read_points(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


# --- Slicer markups ---------------------------------------------------------------------------------------------------


def markup_file(path, points, system="LPS", schema="1.0.0", kind="Fiducial"):
    url = f"https://raw.githubusercontent.com/slicer/slicer/master/x/markups-schema-v{schema}.json#"
    content = {"@schema": url, "markups": [{"type": kind, "coordinateSystem": system, "controlPoints": points}]}
    path.write_text(json.dumps(content))
    return path


def test_markups_file_has_the_values_that_slicer_writes(tmp_path):
    write_points(tmp_path / "a.mrk.json", Labelling(POINTS))
    content = json.loads((tmp_path / "a.mrk.json").read_text())
    assert content["@schema"].endswith("Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.4.json#")
    (markup,) = content["markups"]
    assert (markup["type"], markup["coordinateSystem"], markup["coordinateUnits"]) == ("Fiducial", "LPS", "mm")
    assert (markup["locked"], markup["fixedNumberOfControlPoints"], markup["lastUsedControlPointNumber"]) == (0, 0, 4)
    assert markup["controlPoints"][0] == {
        "id": "1",
        "label": "T12",
        "description": "p=0.97",
        "associatedNodeID": "",
        "position": [1.25, -20.5, 300.0],
        "orientation": [-1, 0, 0, 0, -1, 0, 0, 0, 1],
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": "defined",
    }
    assert (markup["display"]["snapMode"], markup["display"]["sliceProjection"]) == ("unconstrained", True)


def test_improbable_points_are_not_selected(tmp_path):
    at = (LabelledPoint(Level.L1, (0, 0, 0), 0.499), LabelledPoint(Level.L2, (0, 0, 0), UNCERTAIN_BELOW))
    write_points(tmp_path / "a.mrk.json", Labelling(at))
    (markup,) = json.loads((tmp_path / "a.mrk.json").read_text())["markups"]
    assert [control["selected"] for control in markup["controlPoints"]] == [False, True]


def test_ras_files_come_in_as_lps_in_order(tmp_path):
    points = [{"label": "L2", "position": [1, 2, 3]}, {"label": "L1", "position": [4, 5, 6], "description": "seen"}]
    read = read_points(markup_file(tmp_path / "a.mrk.json", points, "RAS"))
    assert read == (
        LabelledPoint(Level.L1, (-4, -5, 6), 1.0, "seen"),
        LabelledPoint(Level.L2, (-1, -2, 3)),
    )


def test_points_that_were_never_placed_are_skipped(tmp_path):
    points = [
        {"label": "F-1", "position": "", "positionStatus": "undefined"},
        {"label": "F-2", "positionStatus": "missing"},
        {"label": "T1", "position": [1, 2, 3], "positionStatus": "defined"},
    ]
    assert read_points(markup_file(tmp_path / "a.json", points, schema="1.0.4")) == (
        LabelledPoint(Level.T1, (1, 2, 3)),
    )


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (
            [{"label": "F-1", "position": [0, 0, 0]}, {"label": "sacrum", "position": [0, 0, 0]}],
            {},
            "'F-1', 'sacrum' are",
        ),
        ([{"label": "L1", "position": [0, 0]}], {}, "position of L1 is not three"),
        ([{"label": "L1", "position": [0, 0, "x"]}], {}, "position of L1"),
        ([{"label": "L1", "position": [0, 0, 10**400]}], {}, "position of L1"),
        ([{"label": "L1", "position": [0, 0, float("nan")]}], {}, "not finite"),
        ([{"label": "L1", "position": [0, 0, 0]}] * 2, {}, "L1 occurs more than once"),
        ([{"label": "L1", "position": [0, 0, 0]}], {"system": "IJK"}, "coordinate system 'IJK'"),
        ([{"label": "L1", "position": [0, 0, 0]}], {"schema": "2.0.0"}, "not version 1"),
        ([], {"kind": "Curve"}, "no point list"),
        ("nonsense", {}, "not a markups file"),
    ],
)
def test_mistakes_in_markups_are_named(tmp_path, points, options, message):
    with pytest.raises(InputError, match=message) as raised:
        read_points(markup_file(tmp_path / "wrong.mrk.json", points, **options))
    assert "wrong.mrk.json" in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "3", '{"a": 1}', "[]", "[[1]]", "\x00\xff", "9" * 5000])
def test_other_json_is_refused_by_name(tmp_path, text):
    (tmp_path / "a.mrk.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"a\.mrk\.json"):
        read_points(tmp_path / "a.mrk.json", GRID)


# --- CSV --------------------------------------------------------------------------------------------------------------


def csv_file(path, *lines):
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_csv_is_written_in_lps_mm_with_a_header(tmp_path):
    write_points(tmp_path / "a.csv", Labelling(POINTS[:1]))
    assert (tmp_path / "a.csv").read_text() == "label,x,y,z,probability,remark\nT12,1.250,-20.500,300.000,0.9700,\n"


def test_bare_annotation_csv_is_read_in_order(tmp_path):
    path = csv_file(tmp_path / "a.csv", "\ufefflabel, x, y, z", "C2,-11.5,-20.5,-174", "c1,-11,-16.5,-152.5", "")
    assert read_points(path) == (
        LabelledPoint(Level.C1, (-11, -16.5, -152.5)),
        LabelledPoint(Level.C2, (-11.5, -20.5, -174)),
    )


@pytest.mark.parametrize(("axes", "place"), [("l,p,s", "1,2,3"), ("r,a,s", "-1,-2,3")])
def test_slicers_csv_is_read(tmp_path, axes, place):
    header = f"label,{axes},defined,selected,visible,locked,description"
    path = csv_file(tmp_path / "a.csv", header, f'"L1",{place},1,1,1,0,"p=0.40; a, b"', '"F-2",0,0,0,0,1,1,0,""')
    assert read_points(path) == (LabelledPoint(Level.L1, (1, 2, 3), 0.4, "a, b"),)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["L1,1,2,3"], "no header"),
        ([""], "no header"),
        (["label,x,y,z", "F-1,1,2,3"], "'F-1' is no level"),
        (["label,x,y,z," + "a" * 200_000], "not a table"),
        (["label,x,y,z", "L1,1,2"], "position of L1"),
        (["label,x,y,z", "L1,1,2,abc"], "position of L1"),
        (["label,x,y,z", "L1,1,2,inf"], "not finite"),
        (["label,x,y,z", "L1,1,2,3", "L1,1,2,4"], "L1 occurs more than once"),
        (["label,x,y,z,probability", "L1,1,2,3,high"], "probability 'high' of L1"),
        (["label,x,y,z,probability", "L1,1,2,3,1.5"], "not between 0 and 1"),
    ],
)
def test_mistakes_in_csv_are_named(tmp_path, lines, message):
    with pytest.raises(InputError, match=message) as raised:
        read_points(csv_file(tmp_path / "wrong.csv", *lines))
    assert "wrong.csv" in str(raised.value)


def test_missing_file_is_named(tmp_path):
    for name in ("gone.csv", "gone.mrk.json"):
        with pytest.raises(InputError, match=r"gone.*cannot be opened"):
            read_points(tmp_path / name)


# --- VerSe ------------------------------------------------------------------------------------------------------------


def test_verse_counts_voxels_along_the_axes_of_the_image(tmp_path):
    """Worked by hand: 1 x 1 x 2 mm, origin (10, 20, 30), i to the left, j to anterior, k to superior."""
    grid = Geometry((40, 50, 60), (1.0, 1.0, 2.0), (10.0, 20.0, 30.0), (1, 0, 0, 0, -1, 0, 0, 0, 1))
    write_points(tmp_path / "a_ctd.json", Labelling((LabelledPoint(Level.L1, (15.5, 8.0, 50.0)),)), grid)
    content = json.loads((tmp_path / "a_ctd.json").read_text())
    assert content == [{"direction": ["L", "A", "S"]}, {"label": 20, "X": 5.5, "Y": 12.0, "Z": 10.0}]


def test_verse_file_of_another_orientation_is_turned(tmp_path):
    """The same point of the same scan, counted in P, I, R order: Y and Z flipped, axes permuted."""
    grid = Geometry((40, 50, 60), (1.0, 1.0, 2.0), (10.0, 20.0, 30.0), (1, 0, 0, 0, -1, 0, 0, 0, 1))
    entry = {"label": 20, "X": 49 - 12.0, "Y": 39 - 10.0, "Z": 59 - 5.5}
    (tmp_path / "a_ctd.json").write_text(json.dumps([{"direction": ["P", "I", "R"]}, entry]))
    assert read_points(tmp_path / "a_ctd.json", grid) == (LabelledPoint(Level.L1, (15.5, 8.0, 50.0)),)


@pytest.mark.parametrize(
    ("direction", "codes"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), "LPS"),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), "RAS"),
        ((0, 0, -1, 1, 0, 0, 0, -1, 0), "PIR"),
        ((0.9, -0.43589, 0, 0.43589, 0.9, 0, 0, 0, -1), "LPI"),
    ],
)
def test_codes_name_the_side_towards_which_the_index_grows(direction, codes):
    assert "".join(verse.axis_codes(Geometry((3, 4, 5), (1, 1, 1), direction=direction))) == codes


def test_verse_round_trip_on_an_oblique_grid_with_all_levels(tmp_path):
    points = tuple(LabelledPoint(level, (1.5 * level, 10.0, 300.0 - 9.0 * level)) for level in Level)
    write_points(tmp_path / "a_ctd.json", Labelling(points), GRID)
    read = read_points(tmp_path / "a_ctd.json", GRID)
    assert [point.level for point in read] == list(Level)
    np.testing.assert_allclose([p.position_lps_mm for p in read], [p.position_lps_mm for p in points], atol=0.003)


def test_verse_needs_the_scan(tmp_path):
    with pytest.raises(UsageError, match="geometry of the scan"):
        write_points(tmp_path / "a_ctd.json", Labelling(POINTS))
    (tmp_path / "a_ctd.json").write_text('[{"direction": ["L", "A", "S"]}]')
    with pytest.raises(InputError, match="give the scan"):
        read_points(tmp_path / "a_ctd.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"direction": ["L", "A", "S"]}, {"label": 27, "X": 1, "Y": 1, "Z": 1}], "label 27 is no vertebra"),
        ([{"direction": ["L", "A", "S"]}, {"label": float("inf"), "X": 1, "Y": 1, "Z": 1}], "is no vertebra"),
        ([{"direction": ["L", "A", "S"]}, {"label": 20, "X": 1, "Y": 1}], "not a VerSe"),
        ([{"direction": ["L", "A", "S"]}, {"label": 20, "X": 1, "Y": 1, "Z": None}], "position of L1"),
        ([{"direction": ["L", "R", "S"]}], "direction"),
        ([{"direction": ["L", "A"]}], "direction"),
        ([{"label": 20, "X": 1, "Y": 1, "Z": 1}], "not a VerSe"),
    ],
)
def test_mistakes_in_verse_files_are_named(tmp_path, content, message):
    (tmp_path / "wrong_ctd.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as raised:
        read_points(tmp_path / "wrong_ctd.json", GRID)
    assert "wrong_ctd.json" in str(raised.value)


@pytest.mark.shared
def test_all_annotations_are_read(shared_data):
    paths = sorted((shared_data / "annotations").glob("*.csv"))
    assert len(paths) >= 20
    assert all(len(read_points(path)) >= 1 for path in paths)
