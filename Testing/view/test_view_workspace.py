"""The workspace behind the page, on real MRML and without trame: actions, questions, files, what the page is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("greenlet", reason="greenlet is not installed (pip install '.[dev]')")
from session_support import LUMBAR, FakeJob, drag, labels_of, result, unsure
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.view import workspace
from VertebraLabelingLib.view.folder import Folder
from VertebraLabelingLib.view.snapshot import constants, snapshot
from VertebraLabelingLib.view.workspace import Workspace

PAGE = Path(workspace.__file__).parent / "page"
GRID = Geometry((8, 9, 10), (3.0, 3.0, 3.0))


def ct(name="ct.nii.gz", notes=()):
    return Scan(np.full(GRID.shape_zyx, 40, np.float32), GRID, name, notes)


@pytest.fixture
def desk(scene, tmp_path):
    """A workspace with a CT on show; jobs end as the test says."""
    FakeJob.made.clear()
    made = Workspace(scene, Folder(tmp_path), make_job=FakeJob, make_refine_job=FakeJob)
    made.files.open_scan(ct())
    yield made
    made.close()


def labelled(desk, event=None):
    desk.act("label")
    FakeJob.made[-1].finish(event or result())
    desk.poll()
    return desk.session.points_node


def names(desk):
    return [point["name"] for point in snapshot(desk)["points"]]


def keys(desk, *rows):
    """By which the page names points."""
    return [snapshot(desk)["points"][row]["key"] for row in rows]


def key(desk, row):
    return keys(desk, row)[0]


def told(desk):
    return desk.message_kind, desk.message


def test_a_labelling_is_shown_with_its_middle_marked(desk):
    arrived = []
    desk.points_arrived.connect(arrived.append)
    labelled(desk)
    shown = snapshot(desk)
    assert names(desk) == list(LUMBAR)
    assert shown["selected"] == 3
    assert [point["is_selected"] for point in shown["points"]].index(True) == 3
    assert not shown["is_level_unsure"]
    assert shown["points"][0]["gap"] == "35 mm"
    assert shown["points"][0]["region"] == "T"
    assert len(arrived[-1]) == len(LUMBAR)


def test_all_that_the_page_is_told_can_be_written_as_json(desk):
    labelled(desk, unsure())
    values = json.loads(json.dumps([snapshot(desk), constants(desk, 10)]))
    assert values[0]["is_level_unsure"]
    assert values[0]["alternatives"][0]["text"].startswith("1 level lower")
    assert values[1]["levels"][0] == "C1"


def test_every_tool_of_the_module_is_one_of_the_page(desk):
    labelled(desk)
    desk.act("go", key(desk, 2))
    desk.act("shiftUp")
    assert names(desk) == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    desk.act("relabel", "L3", "down")
    assert names(desk)[2:] == ["L3", "L4", "L5", "S1", "S2"]
    desk.act("undo")
    desk.act("undo")
    assert names(desk) == list(LUMBAR)
    desk.act("redo")
    assert names(desk)[0] == "T11"
    desk.act("anomaly", "REGULAR")
    desk.act("lock", key(desk, 0), True)
    assert snapshot(desk)["points"][0]["locked"]
    desk.act("select", keys(desk, 0))
    desk.act("toggleLock")
    assert not snapshot(desk)["points"][0]["locked"]
    desk.act("select", keys(desk, 0, 1))
    desk.act("delete")
    assert len(names(desk)) == 5


def test_an_alternative_is_applied_by_one_click(desk):
    labelled(desk, unsure())
    desk.act("alternative", 0)
    assert names(desk) == ["L1", "L2", "L3", "L4", "L5", "S1", "S2"]
    assert "level set by you" in snapshot(desk)["summary"][0]


def test_a_question_stands_in_the_page_until_it_is_answered(desk):
    labelled(desk)
    desk.act("lock", key(desk, 1), True)
    desk.act("shiftUp")
    assert "L1" in snapshot(desk)["question"]
    desk.act("undo")
    assert told(desk) == ("error", "Answer the question first.")
    assert names(desk) == list(LUMBAR)
    desk.act("answer", desk.questions.number, False)
    assert (names(desk), snapshot(desk)["question"]) == (list(LUMBAR), "")
    desk.act("shiftUp")
    desk.act("answer", desk.questions.number, True)
    assert names(desk)[0] == "T11"


def test_labelling_again_asks_before_corrections_are_replaced(desk):
    drag(labelled(desk), 0, (5, 5, 5))
    desk.act("label")
    assert "corrected by hand" in snapshot(desk)["question"]
    desk.act("answer", desk.questions.number, False)
    assert not snapshot(desk)["running"]
    desk.act("label")
    desk.act("answer", desk.questions.number, True)
    assert snapshot(desk)["running"]


def test_points_changed_during_a_run_are_replaced_only_after_a_yes(desk):
    node = labelled(desk)
    desk.act("label")
    drag(node, 0, (5, 5, 5))
    FakeJob.made[-1].finish(result(LUMBAR[1:]))
    desk.poll()
    assert "changed while the run went on" in snapshot(desk)["question"]
    desk.poll()  # the clock goes on meanwhile
    desk.act("answer", desk.questions.number, False)
    assert names(desk) == list(LUMBAR[1:])
    assert labels_of(node) == list(LUMBAR)


def test_points_that_are_not_replaced_are_kept_in_a_file_and_leave_the_page(desk, scene, tmp_path):
    """The page shows one list: of another one nobody could select a point."""
    node = labelled(desk)
    desk.act("curve")
    desk.act("label")
    drag(node, 0, (5, 5, 5))
    moved = [point.position_lps_mm for point in desk.session.column]
    arrived = []
    desk.points_arrived.connect(lambda places: arrived.append(len(places)))
    FakeJob.made[-1].finish(result(LUMBAR[1:]))
    desk.poll()
    desk.act("answer", desk.questions.number, False)
    assert (names(desk), arrived) == (list(LUMBAR[1:]), [len(LUMBAR) - 1])
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsCurveNode") == 0
    path = tmp_path / "ct.unsaved.mrk.json"
    assert told(desk) == ("info", f"The points that you had changed are kept in {path}")
    desk.files.open_points(path)
    assert names(desk) == list(LUMBAR)
    assert np.allclose([point.position_lps_mm for point in desk.session.column], moved, atol=0.01)


def test_nothing_is_opened_while_a_question_is_open(desk, tmp_path):
    """Its answer could be about points and a CT that are gone."""
    node = labelled(desk)
    desk.act("save", "markups", "mine")
    desk.act("label")
    drag(node, 0, (5, 5, 5))
    FakeJob.made[-1].finish(result(LUMBAR[1:]))
    desk.poll()
    for opens in (
        lambda: desk.files.open_scan(ct("other.nrrd")),
        lambda: desk.files.open_points(tmp_path / "mine.mrk.json"),
    ):
        opens()
        assert told(desk) == ("error", "Answer the question first.")
    desk.act("answer", desk.questions.number, True)
    assert (snapshot(desk)["ct"]["name"], names(desk)) == ("ct", list(LUMBAR[1:]))


def test_a_refinement_leaves_the_selection_and_the_views_as_they_are(desk):
    labelled(desk)
    desk.act("go", key(desk, 1))
    arrived = []
    desk.points_arrived.connect(arrived.append)
    desk.act("refine")
    moved = {"level": LUMBAR[1], "position_lps_mm": [1.0, 2.0, -40.0]}
    FakeJob.made[-1].finish({"event": "result", "points": [moved], "moved_mm": [5.0]})
    desk.poll()
    assert desk.session.column[1].position_lps_mm == (1.0, 2.0, -40.0)
    assert (desk.rows, desk.session.selected, arrived) == ((1,), 1, [])


def test_what_is_opened_in_place_of_another_leaves_nothing_behind(desk, scene, tmp_path):
    """No display that would hold the voxels of a CT, and no curve of points that are gone."""
    labelled(desk)
    desk.act("save", "markups", "mine")
    desk.act("curve")  # whose colours stay
    desk.files.open_points(tmp_path / "mine.mrk.json")
    before = scene.GetNumberOfNodes()
    for _ in range(2):
        desk.act("curve")
        desk.files.open_points(tmp_path / "mine.mrk.json")
        assert scene.GetNumberOfNodes() == before
        desk.files.open_scan(ct("other.nrrd"))
        desk.files.open_points(tmp_path / "mine.mrk.json")
        assert scene.GetNumberOfNodes() == before


def test_a_run_can_be_cancelled_and_blocks_the_tools(desk):
    labelled(desk)
    desk.act("label")
    desk.act("shiftUp")
    assert told(desk) == ("error", "Wait for the run to end, or cancel it.")
    desk.act("rename", key(desk, 0), "C1")
    assert told(desk)[0] == "error"
    desk.act("cancel")
    assert snapshot(desk)["stopping"]
    FakeJob.made[-1].stop()
    desk.poll()
    assert not snapshot(desk)["running"]
    assert names(desk) == list(LUMBAR)


def test_a_failed_run_tells_why(desk):
    desk.act("label")
    FakeJob.made[-1].fail("No vertebra was found; is the spine in view?")
    desk.poll()
    assert told(desk) == ("error", "No vertebra was found; is the spine in view?")


@pytest.mark.parametrize(
    "asked",
    [("nonsense",), ("relabel", "L1", "sideways"), ("relabel",), ("go",), ("anomaly", "MANY"), ("select", 3),
     ("save", "exe", "x"), ("lock", [], True), ("alternative", []), ("nudge", "X"), ("scroll", "Red", 1),
     ("zoom", "axial", "much"), ("undo", 1), ("save", ["csv"], "x")],
)  # fmt: skip
def test_what_no_page_would_ask_changes_nothing_and_is_told(desk, asked):
    labelled(desk)
    desk.act(*asked)
    assert told(desk)[0] == "error"
    assert "page" in told(desk)[1]
    assert names(desk) == list(LUMBAR)


def test_saving_asks_before_a_file_is_replaced(desk, tmp_path):
    labelled(desk)
    desk.act("save", "csv", "mine")
    assert told(desk) == ("info", f"Saved: {tmp_path / 'mine.csv'}")
    before = (tmp_path / "mine.csv").read_text()
    desk.act("shiftUp")
    assert snapshot(desk)["unsaved"]
    desk.act("save", "csv", "mine")
    desk.act("answer", desk.questions.number, False)
    assert (tmp_path / "mine.csv").read_text() == before
    desk.act("save", "csv", "mine")
    desk.act("answer", desk.questions.number, True)
    assert (tmp_path / "mine.csv").read_text() != before
    assert not snapshot(desk)["unsaved"]


def test_under_the_name_of_a_ct_that_is_as_long_as_can_be_points_are_saved_and_downloaded(desk, tmp_path):
    desk.files.open_scan(ct("ä" * 125 + ".nrrd"))  # of 255 bytes, which is what file systems take
    drag(labelled(desk), 0, (5, 5, 5))
    desk.act("save", "verse", snapshot(desk)["name"])
    assert told(desk)[0] == "info"
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]
    assert desk.files.export_to(tmp_path, "markups").is_file()


def test_a_name_that_is_too_long_is_told_as_such(desk, tmp_path):
    labelled(desk)
    desk.act("save", "csv", "ä" * 126)
    assert told(desk)[0] == "error"
    assert "give a short one" in told(desk)[1]


def test_a_path_is_no_name(desk, tmp_path):
    labelled(desk)
    desk.act("save", "csv", "../out")
    assert told(desk)[0] == "error"
    assert not (tmp_path.parent / "out.csv").exists()


def test_saved_points_are_opened_again(desk, tmp_path):
    labelled(desk)
    desk.act("lock", key(desk, 2), True)
    desk.act("save", "markups", "mine")
    desk.act("shiftUp")
    desk.act("answer", desk.questions.number, True)
    desk.files.open_points(tmp_path / "mine.mrk.json")
    assert "not saved" in snapshot(desk)["question"]
    desk.act("answer", desk.questions.number, True)
    assert names(desk) == list(LUMBAR)
    assert snapshot(desk)["points"][2]["locked"]


def test_an_uploaded_list_may_be_gone_when_the_question_is_answered(desk, tmp_path):
    labelled(desk)
    desk.act("save", "markups", "mine")
    desk.act("shiftUp")
    desk.files.open_points(tmp_path / "mine.mrk.json")
    (tmp_path / "mine.mrk.json").unlink()
    desk.act("answer", desk.questions.number, True)
    assert names(desk) == list(LUMBAR)


def test_a_download_may_be_broken_off_so_it_does_not_count_as_saved(desk, tmp_path):
    drag(labelled(desk), 0, (5, 5, 5))
    assert desk.files.export_to(tmp_path, "csv").read_text().startswith("label")
    assert snapshot(desk)["unsaved"]
    desk.files.open_scan(ct("other.nrrd"))
    assert "not saved in the folder" in snapshot(desk)["question"]


def test_another_ct_takes_the_place_of_the_first_with_its_points(desk, scene):
    labelled(desk)
    closing, opened = [], []
    desk.volume_closing.connect(lambda node: closing.append(node.GetName()))
    desk.volume_opened.connect(lambda node: opened.append(node.GetName()))
    desk.files.open_scan(ct("other.nrrd", notes=("1024 was subtracted.",)))
    assert (closing, opened) == (["ct"], ["other"])
    assert snapshot(desk)["ct"]["name"] == "other"
    assert snapshot(desk)["points"] == []
    assert told(desk) == ("info", "other.nrrd is open. 1024 was subtracted.")
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0


def test_another_ct_is_not_opened_over_unsaved_corrections_without_a_yes(desk):
    drag(labelled(desk), 0, (5, 5, 5))
    desk.files.open_scan(ct("other.nrrd"))
    desk.act("answer", desk.questions.number, False)
    assert snapshot(desk)["ct"]["name"] == "ct"
    assert names(desk) == list(LUMBAR)


def test_nothing_is_opened_while_a_run_goes_on(desk):
    desk.act("label")
    desk.files.open_scan(ct("other.nrrd"))
    assert told(desk)[0] == "error"
    assert snapshot(desk)["ct"]["name"] == "ct"


def test_several_rows_can_be_selected_and_stay_so(desk):
    labelled(desk)
    desk.act("select", [*keys(desk, 1, 2), "gone"])
    assert desk.rows == (1, 2)
    assert snapshot(desk)["selected"] == 2
    desk.act("confirm")
    assert [point["locked"] for point in snapshot(desk)["points"]] == [False, True, True, *4 * [False]]
    assert desk.rows == (1, 2)


def test_what_the_page_does_with_a_point_meets_no_other_one_when_rows_have_gone(desk):
    labelled(desk)
    desk.act("go", key(desk, 1))
    gone, below = keys(desk, 1, 2)
    desk.act("delete")
    for asked in (("go", gone), ("rename", gone, "C1"), ("lock", gone, True)):
        desk.act(*asked)
        assert told(desk) == ("error", "This point is not there any more; look at the table again.")
    desk.act("lock", below, True)
    assert [point["name"] for point in snapshot(desk)["points"] if point["locked"]] == [LUMBAR[2]]
    assert names(desk) == [LUMBAR[0], *LUMBAR[2:]]
    desk.act("go", below)
    assert desk.rows == (1,)


def test_the_page_has_a_control_for_every_tool(desk):
    page = (PAGE / "page.html").read_text(encoding="utf-8")
    missing = [name for name in desk.tools.names if f"'{name}'" not in page and f"vl.tools.{name}." not in page]
    assert missing == []


def test_a_mistake_of_this_program_is_told_as_such_and_logged_with_its_place(desk, monkeypatch, caplog):
    labelled(desk)

    def fails(*_arguments):
        raise KeyError("a mistake")

    monkeypatch.setattr(desk.session, "confirm", fails)
    desk.act("lock", key(desk, 0), True)
    assert told(desk)[0] == "error"
    assert "KeyError" in told(desk)[1]
    assert "reload" not in told(desk)[1]
    assert "in fails" in caplog.text


def test_a_point_is_renamed_in_the_table(desk):
    labelled(desk)
    desk.act("rename", key(desk, 6), " l6 ")
    assert names(desk) == [*LUMBAR[:-1], "L6"]
    desk.act("rename", key(desk, 6), "lumbar")
    assert told(desk)[0] == "error"
    assert "choose a level" in told(desk)[1]
    desk.act("undo")
    assert names(desk) == list(LUMBAR)


@pytest.mark.parametrize(
    ("side", "step"),
    [("R", (-1, 0, 0)), ("L", (1, 0, 0)), ("A", (0, -1, 0)), ("P", (0, 1, 0)), ("S", (0, 0, 1)), ("I", (0, 0, -1))],
)
def test_a_nudge_moves_the_marked_point_by_one_mm_as_one_step(desk, side, step):
    labelled(desk)
    desk.act("go", key(desk, 2))
    before = [point["position_lps_mm"] for point in snapshot(desk)["points"]]
    desk.act("nudge", side)
    after = [point["position_lps_mm"] for point in snapshot(desk)["points"]]
    assert np.subtract(after, before).tolist() == [[0, 0, 0], [0, 0, 0], list(step), *4 * [[0, 0, 0]]]
    assert snapshot(desk)["points"][2]["remark"] == "moved by hand"
    desk.act("undo")
    assert [point["position_lps_mm"] for point in snapshot(desk)["points"]] == before
    assert not snapshot(desk)["can_undo"]


def test_a_confirmed_point_is_nudged_only_after_a_yes(desk):
    labelled(desk)
    desk.act("go", key(desk, 2))
    desk.act("lock", key(desk, 2), True)
    before = snapshot(desk)["points"][2]["position_lps_mm"]
    desk.act("nudge", "S")
    assert "confirmed by you" in snapshot(desk)["question"]
    desk.act("answer", desk.questions.number, False)
    assert snapshot(desk)["points"][2]["position_lps_mm"] == before


def test_points_outside_of_the_ct_are_told_as_long_as_they_are_there(desk):
    def outside():
        return [problem for problem in snapshot(desk)["problems"] if "outside" in problem]

    labelled(desk)
    desk.act("select", keys(desk, *range(1, 7)))
    desk.act("delete")
    desk.session.move(0, (13.5, 14.0, 10.0))
    assert outside() == []
    desk.session.move(0, (500.0, 14.0, 10.0))
    assert outside() == ["T12 lies outside of the CT; drag it back, undo, or delete it."]
    desk.act("undo")
    assert outside() == []
    desk.act("undo")
    desk.act("undo")
    assert outside() == ["6 points lie outside of the CT; do they belong to another one?"]


def test_a_sentence_that_is_told_again_is_another_message(desk):
    desk.tell("Saved.")
    first = snapshot(desk)["message"]
    desk.tell("Saved.")
    assert snapshot(desk)["message"] != first


def test_nothing_is_nudged_where_no_point_is_marked(desk):
    desk.act("nudge", "S")
    assert told(desk)[0] == "error"


def test_the_slices_go_with_the_marked_point(desk, monkeypatch):
    node, went = labelled(desk), []
    desk.act("go", key(desk, 2))
    select = desk.session.select
    monkeypatch.setattr(desk.session, "select", lambda index: went.append(index) or select(index))
    desk.act("nudge", "S")
    assert went == [2]
    desk.act("undo")
    assert went == [2, 2]
    drag(node, 5, (5, 5, 5))  # another one, of which the mouse has not taken hold
    desk.act("shiftUp")
    assert went == [2, 2]


def test_keys_in_a_view_are_handed_to_it(desk):
    asked = []
    desk.scrolled.connect(lambda *what: asked.append(("scroll", *what)))
    desk.zoomed.connect(lambda *what: asked.append(("zoom", *what)))
    desk.act("scroll", "axial", -5)
    desk.act("zoom", "3d", 1)
    assert asked == [("scroll", "axial", -5), ("zoom", "3d", 1)]
