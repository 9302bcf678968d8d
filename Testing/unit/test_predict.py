"""The command line, end to end but for the network: reader, checks, decoder, writers and preview are the real ones."""

from __future__ import annotations

import io
import json
import locale
import os
import re
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
import SimpleITK as sitk
from VertebraLabelingLib import __version__, options, outputs, predict
from VertebraLabelingLib.console import table
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import NothingFoundError, UsageError
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import Alternative, Evidence, LabelledPoint, Labelling
from VertebraLabelingLib.core.scan import geometry_of
from VertebraLabelingLib.engines import weights as store
from VertebraLabelingLib.engines.weights import save_weights
from VertebraLabelingLib.pipeline import inside, is_lone_guess, most_likely, with_border_remarks
from VertebraLabelingLib.record import RESULTS_VERSION, record_path

LEVELS = (Level.L2, Level.L3, Level.L4, Level.L5, Level.S1)
POSITIONS = np.array([[2.0, -10.0 + 0.002 * z * z, z] for z in (70.0, 35.0, 0.0, -35.0, -68.0)])


def sure_evidence(levels=LEVELS, positions=POSITIONS, own=0.97) -> Evidence:
    probabilities = np.full((len(levels), len(Level)), (1 - own) / (len(Level) - 1))
    probabilities[np.arange(len(levels)), list(levels)] = own
    return Evidence(np.asarray(positions, float).reshape(-1, 3), np.log(probabilities), np.full(len(levels), 0.9))


class FakeMethod:
    """Gives fixed evidence in the place of a network, in two reported steps."""

    name = "sites"
    weights_sha256 = {"sites": "ab" * 32, "corridor": "cd" * 32}  # noqa: RUF012

    def __init__(self, evidence, between=lambda: None):
        self.evidence, self.between = evidence, between

    def find(self, scan, progress):
        progress("network", 0.0)
        self.between()
        progress("network", 1.0)
        return self.evidence


@pytest.fixture
def method(monkeypatch):
    """Install a fake method in the place of the shipped ones; the call it was loaded with is kept in `calls`."""

    def install(evidence=None, between=lambda: None):
        fake = FakeMethod(sure_evidence() if evidence is None else evidence, between)
        fake.calls = []
        monkeypatch.setattr(options, "load_method", lambda *args: fake.calls.append(args) or fake)
        return fake

    return install


def body_image() -> sitk.Image:
    """A cylinder of soft tissue with a rim of fat and a bone column, in air; 4 mm voxels, smooth noise."""
    z, y, x = np.meshgrid(*[np.arange(-n / 2 + 0.5, n / 2) * 4.0 for n in (50, 40, 40)], indexing="ij")
    radius = np.hypot(x, y)
    hu = np.where(radius < 75, -90.0, -1000.0)
    hu = np.where(radius < 62, 45.0, hu)
    hu = np.where(np.hypot(x - 2, y + 5) < 17, 320.0, hu) + 10 * np.sin(x / 9 + y / 7 + z / 5)
    image = sitk.GetImageFromArray(hu.astype(np.float32))
    image.SetSpacing((4.0, 4.0, 4.0))
    image.SetOrigin((-78.0, -78.0, -98.0))
    return image


@pytest.fixture(scope="session")
def body(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "body ct.nii.gz"
    sitk.WriteImage(body_image(), str(path))
    return path


@pytest.fixture
def out(tmp_path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def label(ct, out, *more) -> int:
    return predict.main(["label", str(ct), "--output", str(out / "a.mrk.json"), "--device", "cpu", *map(str, more)])


def files(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*")}


# --- a good run -------------------------------------------------------------------------------------------------------


def test_all_outputs_hold_the_same_points(method, body, out):
    method()
    more = ("--csv", out / "a.csv", "--verse", out / "a_ctd.json", "--preview", out / "a.png")
    assert label(body, out, *more) == 0
    assert files(out) == {"a.mrk.json", "a.run.json", "a.csv", "a_ctd.json", "a.png"}
    geometry = geometry_of(sitk.ReadImage(str(body)))
    for name in ("a.mrk.json", "a.csv", "a_ctd.json"):
        points = read_points(out / name, geometry)
        assert tuple(p.level for p in points) == LEVELS
        np.testing.assert_allclose([p.position_lps_mm for p in points], POSITIONS, atol=0.02)
    assert (out / "a.png").read_bytes().startswith(b"\x89PNG")


def test_run_record(method, body, out):
    method()
    assert label(body, out, "--phantom") == 0
    record = json.loads(record_path(out / "a.mrk.json").read_text())
    assert record["versions"]["vertebra-labeling"] == __version__
    assert re.match(r"\d+\.\d+", record["versions"]["torch"])
    assert record["settings"] == {
        "method": "sites",
        "config": "default",
        "engine": "torch",
        "device": "cpu",
        "weights_sha256": FakeMethod.weights_sha256,
        "model_file": None,
        "uses_sequence": True,
        "prepared_spacing_mm": 2.0,
        "numbers_sha256": ANY,
        "results_version": RESULTS_VERSION,
        "phantom": True,
    }
    assert record["input"] == {"name": "body ct.nii.gz", "size_ijk": [40, 40, 50], "spacing_ijk_mm": [4.0] * 3}
    assert record["exit_code"] == 0
    assert [p["level"] for p in record["labelling"]["points"]] == [v.name for v in LEVELS]
    assert list(record["seconds"]) == ["read", "load", "check", "prepare", "find", "name"]
    assert all(s >= 0 for s in record["seconds"].values())
    assert str(body.parent) not in (out / "a.run.json").read_text()


def test_table(method, body, out, capsys):
    method()
    assert label(body, out) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["level", "x", "y", "z", "probability", "remark"]
    assert re.match(r"L2 +2\.0 +-0\.2 +70\.0 +\d+%", lines[1])
    assert any(line.startswith("L2-S1, 5 vertebrae") for line in lines)
    assert printed.err == ""


def test_table_tells_alternatives_remarks_and_doubt():
    point = LabelledPoint(Level.T9, (1.0, 2.0, -3.0), 0.4, "uncertain")
    other = Alternative((Level.T10,), 1, 0.18)
    text = table(Labelling((point,), (other,), (), False, ("L3 between L2 and L4 not found",)))
    assert re.search(r"T9 .* 40%  uncertain", text)
    assert "1 level lower (18%)" in text
    assert "L3 between L2 and L4 not found" in text


def test_quiet_says_nothing(method, body, out, capsys):
    method()
    assert label(body, out, "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_json_lines(method, body, out, capsys):
    method()
    assert label(body, out, "--json-lines") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    progress = [e for e in events if e["event"] == "progress"]
    assert [e["event"] for e in events] == ["progress"] * len(progress) + ["result"]
    assert all(e.keys() == {"event", "stage", "fraction"} for e in progress)
    fractions = [e["fraction"] for e in progress]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert fractions[-1] <= 1.0
    assert {"reading", "network", "writing"} <= {e["stage"] for e in progress}
    result = events[-1]
    assert result["points"][0]["level"] == "L2"
    assert result["points"][0]["position_lps_mm"] == pytest.approx(POSITIONS[0])
    assert result["files"] == {"markups": str(out / "a.mrk.json"), "record": str(out / "a.run.json")}
    assert {"summary", "level_certain", "anchors", "alternatives", "remarks", "notes", "seconds"} <= result.keys()


def test_the_method_is_loaded_as_asked(method, body, out):
    fake = method()
    own = out / "mine.npz"
    assert label(body, out, "--method", "integral-regression", "--config", "paper", "--model", own) == 0
    assert fake.calls == [("integral-regression", own, "cpu", "paper", "torch")]
    settings = json.loads((out / "a.run.json").read_text())["settings"]
    assert settings["model_file"] == "mine.npz"
    assert settings["uses_sequence"] is False


def test_the_record_lies_beside_markups_named_in_capitals():
    assert record_path(Path("x/A.MRK.JSON")) == Path("x/A.run.json")


def test_missing_folders_of_the_output_are_made(method, body, out):
    method()
    assert label(body, out / "new" / "deep") == 0
    assert files(out) == {"new", "deep", "a.mrk.json", "a.run.json"}


def test_an_earlier_result_is_replaced(method, body, out):
    (out / "a.mrk.json").write_text("old")
    method()
    assert label(body, out) == 0
    assert len(read_points(out / "a.mrk.json")) == len(LEVELS)


# --- all or nothing ---------------------------------------------------------------------------------------------------


def fails(method, body, out, capsys, *more) -> tuple[int, str]:
    """Exit code and the one line on stderr of a run that must leave `out` as it was."""
    before = files(out)
    code = label(body, out, *more)
    printed = capsys.readouterr()
    assert files(out) == before
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    return code, printed.err


def test_a_writer_that_fails_leaves_no_file(method, body, out, capsys, monkeypatch):
    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("VertebraLabelingLib.preview.draw_preview", broken)
    method()
    code, message = fails(method, body, out, capsys, "--preview", out / "a.png", "--csv", out / "a.csv")
    assert code == 2
    assert "No space left" in message


def test_written_together_or_not_at_all(tmp_path):
    def broken(path):
        path.write_text("half")
        raise RuntimeError("stop")

    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError, match="stop"):
        outputs.write_together({tmp_path / "a": lambda p: p.write_text("new"), tmp_path / "b": broken})
    assert files(tmp_path) == {"a"}
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("error", [PermissionError(13, "in use by another program"), KeyboardInterrupt()])
def test_a_move_that_fails_is_undone_for_all_files(tmp_path, monkeypatch, error):
    """As when a CSV is open in Excel: the files that were already in place go, earlier ones come back."""
    replace = Path.replace

    def moved(source, target):
        if target.name == "a":
            raise error
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", moved)
    (tmp_path / "b").write_text("old")
    with pytest.raises(UsageError if isinstance(error, OSError) else KeyboardInterrupt):
        outputs.write_together({tmp_path / name: lambda p: p.write_text("new") for name in "abc"})
    assert files(tmp_path) == {"b"}
    assert (tmp_path / "b").read_text() == "old"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels(method, body, out, capsys, number):
    before = signal.getsignal(number)
    method(between=lambda: os.kill(os.getpid(), number))
    code, message = fails(method, body, out, capsys)
    assert code == 130
    assert "Cancelled" in message
    assert signal.getsignal(number) == before


def test_a_second_signal_does_not_wait_for_the_next_report(method, body, out, capsys):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second signal did not interrupt")

    method(between=twice)
    assert fails(method, body, out, capsys)[0] == 130


def test_a_cancel_file_cancels(method, body, out, tmp_path, capsys):
    flag = tmp_path / "cancel"
    method(between=flag.touch)
    assert fails(method, body, out, capsys, "--cancel-file", flag)[0] == 130


def test_a_parent_that_no_longer_listens_cancels(method, body, out):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            return os.open(os.devnull, os.O_WRONLY)

    method()
    with redirect_stdout(Closed()):
        assert label(body, out, "--json-lines") == 130
    assert files(out) == set()


# --- failures and their exit codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "required"),
        (["label"], "required"),
        (["label", "ct.nii"], "--output"),
        (["other"], "invalid choice"),
        (["label", "ct.nii", "--output", "a.mrk.json", "--method", "other"], "invalid choice"),
        (["label", "ct.nii", "--output", "a.mrk.json", "--quie"], "Unrecognized"),
        (["label", "ct.nii", "--output", "a.mrk.json", "--device", "gpu"], "'gpu' is unknown"),
        (["label", "ct.nii", "--output", "a.mrk.json", "--method", "sites", "--config", "paper"], "not from a paper"),
        (["label", "ct.nii", "--output", f"{'a' * 300}.mrk.json"], "cannot be written"),
        (["label", "ct.nii", "--output", "a.json"], r"must end with \.mrk\.json"),
        (["label", "ct.nii", "--output", "a.mrk.json", "--verse", "b.mrk.json"], r"not \.mrk\.json"),
        (["label", "ct.nii", "--output", "a.mrk.json", "--preview", "b.jpg"], r"must end with \.png"),
        (["label", "a.mrk.json", "--output", "a.mrk.json"], "input itself"),
        (["label", "ct.nii", "--output", "a.mrk.json", "--verse", "a.run.json"], "same file name"),
    ],
)
def test_usage(arguments, word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert predict.main(arguments) == 2
    error = capsys.readouterr().err
    assert re.search(word, error)
    assert error.count("\n") == 1
    assert files(tmp_path) == set()


def test_the_output_place_is_checked_before_the_work(method, body, out, capsys, monkeypatch):
    monkeypatch.setattr("VertebraLabelingLib.core.readers.read_scan", lambda *_: pytest.fail("work began"))
    (out / "a.mrk.json").mkdir()
    code, message = fails(method, body, out, capsys)
    assert code == 2
    assert "is a folder" in message


def test_a_folder_that_is_a_file_cannot_be_written(method, body, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, message = fails(method, body, tmp_path / "file", capsys)
    assert code == 2
    assert "not a folder" in message


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a folder that even root cannot write: /proc")
def test_an_unwritable_folder(method, body, capsys):
    assert label(body, Path("/proc")) == 2
    assert "cannot be written" in capsys.readouterr().err


def save_array(path: Path, array: np.ndarray) -> Path:
    image = sitk.GetImageFromArray(array.astype(np.float32))
    image.SetSpacing((4.0,) * image.GetDimension())
    sitk.WriteImage(image, str(path))
    return path


def save_bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda p: p / "missing.nii.gz",
        lambda p: save_bytes(p / "empty.nii.gz", b""),
        lambda p: save_bytes(p / "text.nii.gz", b"not an image"),
        lambda p: save_array(p / "flat.nii.gz", np.random.default_rng(0).normal(0, 400, (40, 40))),
        lambda p: save_array(p / "nan.nii.gz", np.full((40, 40, 40), np.nan)),
        lambda p: save_array(p / "scaled.nii.gz", np.random.default_rng(0).random((40, 40, 40))),
        lambda p: p,
    ],
    ids=["missing", "empty", "text", "2-D", "NaN", "0-1", "empty folder"],
)
def test_bad_input(method, out, tmp_path, capsys, make):
    fake = method()
    assert fails(method, make(tmp_path), out, capsys)[0] == 3
    assert fake.calls == [], "the networks were loaded for it"


def test_nothing_found_by_the_decoder(method, body, out, capsys):
    method(sure_evidence((), np.zeros((0, 3))))
    code, message = fails(method, body, out, capsys)
    assert code == 4
    assert "No vertebra" in message


def test_nothing_found_by_the_method(method, body, out, capsys):
    def none():
        raise NothingFoundError("No spine is in view.")

    method(between=none)
    assert fails(method, body, out, capsys)[0] == 4


def test_points_outside_the_scan_are_not_in_the_result(method, body, out):
    outside = np.vstack([POSITIONS[:-1], [[2.0, 0.0, -101.0]]])
    method(sure_evidence(positions=outside))
    assert label(body, out) == 0
    assert tuple(p.level for p in read_points(out / "a.mrk.json")) == LEVELS[:-1]


@pytest.fixture
def empty_store(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "load_model", partial(store.load_model, folder=tmp_path))


@pytest.mark.usefixtures("empty_store")
def test_no_weights_installed(method, body, out, capsys):
    code, message = fails(method, body, out, capsys)
    assert code == 5
    assert "models.json" in message


def test_own_weights_that_are_missing_or_no_weights(method, body, out, tmp_path, capsys):
    assert fails(method, body, out, capsys, "--model", tmp_path / "none.npz")[0] == 5
    (tmp_path / "bad.npz").write_bytes(b"zip?")
    assert fails(method, body, out, capsys, "--model", tmp_path / "bad.npz")[0] == 5
    save_weights(tmp_path / "other.npz", {}, {"model": "corridor"})
    code, message = fails(method, body, out, capsys, "--model", tmp_path / "other.npz")
    assert code == 5
    assert "'corridor', not for 'sites'" in message


@pytest.mark.parametrize("stage", ["find", "preview"])
def test_out_of_memory(method, body, out, capsys, monkeypatch, stage):
    def exhaust(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    method(between=exhaust if stage == "find" else lambda: None)
    monkeypatch.setattr("VertebraLabelingLib.preview.draw_preview", exhaust)
    code, message = fails(method, body, out, capsys, "--preview", out / "a.png")
    assert code == 6
    assert "memory" in message
    assert label(body, out, "--preview", out / "a.png", "--json-lines") == 6
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert event["device"] == ("cpu" if stage == "find" else ""), "where the networks ran, if they did"


def test_an_unexpected_error_is_one_sentence_and_with_debug_a_traceback(method, body, out, capsys):
    def bug():
        raise ZeroDivisionError("boom")

    method(between=bug)
    code, message = fails(method, body, out, capsys)
    assert code == 1
    assert "ZeroDivisionError: boom" in message
    assert "--debug" in message
    assert label(body, out, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_errors_as_json_lines(method, out, tmp_path, capsys):
    assert label(tmp_path / "missing.nii", out, "--json-lines") == 3
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert event.keys() == {"event", "code", "message", "device"}
    assert (event["event"], event["code"], event["device"]) == ("error", 3, "")
    assert predict.main(["label", "--json-lines"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == 2


def test_as_a_process_it_ends_with_the_exit_code(out):
    command = [sys.executable, "-m", "VertebraLabelingLib.predict", "label", str(out / "none.nii"), "--output"]
    environment = os.environ | {"PYTHONPATH": str(Path(predict.__file__).parents[1])}
    done = subprocess.run([*command, str(out / "a.mrk.json")], capture_output=True, text=True, env=environment)
    assert done.returncode == 3
    assert done.stderr.startswith("vertebra-labeling: ")


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        predict.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"vertebra-labeling {__version__}\n"


# --- the pipeline's own steps -----------------------------------------------------------------------------------------


def test_inside_keeps_what_lies_in_the_grid():
    geometry = Geometry((10, 10, 10), (2.0, 2.0, 2.0))
    evidence = sure_evidence(LEVELS[:3], [[5, 5, 5], [5, 5, 19.5], [-0.9, 18.9, 0]])
    kept = inside(evidence, geometry)
    np.testing.assert_array_equal(kept.positions_lps_mm, evidence.positions_lps_mm[[0, 2]])
    np.testing.assert_array_equal(kept.level_log_probs, evidence.level_log_probs[[0, 2]])


def test_most_likely_takes_the_better_of_two_and_sorts():
    evidence = sure_evidence((Level.L2, Level.T9, Level.L2), [[0, 0, 0], [0, 0, 90], [0, 0, 9]])
    evidence.scores[:] = [0.4, 0.7, 0.6]
    labelling = most_likely(evidence)
    assert labelling.levels == (Level.T9, Level.L2)
    assert labelling.points[1].position_lps_mm == (0, 0, 9)
    assert labelling.points[1].probability == pytest.approx(0.6 * 0.97)
    assert most_likely(sure_evidence((), [])).points == ()


def test_points_whose_body_the_border_may_cut_say_so():
    geometry = Geometry((50, 30, 30), (2.0, 2.0, 2.0))
    doubtful = LabelledPoint(Level.L1, (30, 30, 5), 0.3, "uncertain")
    labelling = Labelling((LabelledPoint(Level.T12, (30, 30, 40)), doubtful))
    middle, border = with_border_remarks(labelling, geometry).points
    assert middle.remark == ""
    assert border.remark == "uncertain; next to the border of the scan"


@pytest.mark.parametrize(
    ("probabilities", "lone"),
    [
        ([0.2], True), ([0.4], True), ([0.9], False), ([0.2, 0.2], True), ([0.2, 0.4], False), ([0.3] * 3, True),
        ([0.3] * 4, False), ([], False),
    ],
)  # fmt: skip
def test_a_few_points_of_uncertain_names_are_no_labelling(probabilities, lone):
    points = (LabelledPoint(LEVELS[n], (0, 0, -30.0 * n), p) for n, p in enumerate(probabilities))
    assert is_lone_guess(Labelling(tuple(points))) is lone


@pytest.mark.parametrize(("system", "calls"), [("nt", [(locale.LC_CTYPE, ".UTF-8")]), ("posix", [])])
def test_on_windows_the_c_library_takes_paths_as_utf8(system, calls, monkeypatch):
    made = []

    def setlocale(category, name):
        made.append((category, name))
        raise locale.Error("an old Windows")

    monkeypatch.setattr(locale, "setlocale", setlocale)
    predict.take_paths_as_utf8(system)
    assert made == calls
