"""Family 10: whatever ends a run at whatever stage, earlier files stay or new ones are whole, and a batch goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import SimpleITK as sitk
from batch_fakes import is_whole, states
from small_ct import trunk_hu
from trust_support import image_of, written
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.scan import geometry_of

pytest.importorskip("resource", reason="POSIX")

from interruption import BEFORE_WRITING, Case, Worker, held_mark

FILES = ("a.run.json", "a.png", "a_ctd.json", "a.csv", "a.mrk.json")
"""In the order in which they are moved into place."""
EARLIER = b"earlier"
WRITING = [f"{verb} {name}" for verb in ("writing", "moving") for name in FILES]
NAMES = ("C3", "C4", "C5", "C6")
"""What the decoder makes of four points 10 mm apart, whatever the method says."""
KILLED = -9
FIRST_TIME = ("writing", "moving", "summary", "page")
"""What happens for the second of two scans only, or for both together."""
IN_VAIN = {"cancel": 130, "cancel twice": 130, "full": 2, "quota": 2, "read-only": 2}


@pytest.fixture(scope="module")
def program():
    made = Worker()
    yield made
    made.close()


@pytest.fixture(scope="module")
def other():
    """Another one, which runs while that one is held."""
    made = Worker()
    yield made
    made.close()


@pytest.fixture(scope="module")
def ct(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("ct") / "a.nii.gz", image_of(trunk_hu()))


def cases(stages, quick):
    """Every harm at every stage; a disk is found full only by who writes."""
    pairs = [(stage, harm) for stage in stages for harm in ("kill", *IN_VAIN)]
    return [
        pytest.param(stage, harm, id=f"{harm} while {stage}", marks=() if (stage, harm) in quick else pytest.mark.slow)
        for stage, harm in pairs
        if harm != "full" or stage.split()[0] in FIRST_TIME
    ]


# --- one scan ---------------------------------------------------------------------------------------------------------


def words(ct: Path, out: Path) -> list[object]:
    _, preview, verse, table, markups = (out / name for name in FILES)
    outputs = ["--output", markups, "--csv", table, "--verse", verse, "--preview", preview]
    return ["label", ct, *outputs, "--device", "cpu"]


def become(ct: Path, out: Path) -> dict[str, str]:
    """What each file is now: "earlier", "new" (whole), "half" or "absent"."""
    return {name: kind_of(ct, out / name) for name in FILES}


def kind_of(ct: Path, path: Path) -> str:
    if not path.exists():
        return "absent"
    if path.read_bytes() == EARLIER:
        return "earlier"
    try:
        return "new" if is_readable(ct, path) else "half"
    except Exception:
        return "half"


def is_readable(ct: Path, path: Path) -> bool:
    if path.suffix == ".png":
        return path.read_bytes().endswith(b"IEND\xaeB`\x82")
    if path.name.endswith(".run.json"):
        return json.loads(path.read_text(encoding="utf-8"))["exit_code"] == 0
    return tuple(p.level.name for p in read_points(path, geometry_of(sitk.ReadImage(str(ct))))) == NAMES


def with_earlier(folder: Path) -> Path:
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(EARLIER)
    return folder


QUICK = {
    ("reading", "cancel"), ("preparing", "kill"), ("network", "cancel twice"), ("network", "read-only"),
    ("writing a.png", "read-only"), *((f"writing {name}", "full") for name in FILES), ("writing a.png", "kill"),
    ("writing a.csv", "quota"), ("moving a.run.json", "kill"), ("moving a.csv", "full"), ("moving a.mrk.json", "kill"),
    ("moving a.png", "cancel"),
}  # fmt: skip


@pytest.mark.parametrize(("stage", "harm"), cases((*BEFORE_WRITING, *WRITING), QUICK))
def test_a_run_that_is_harmed_leaves_the_earlier_files_or_whole_ones(program, ct, tmp_path, counts, stage, harm):
    out = with_earlier(tmp_path / "out")
    code, message = program.run(words(ct, out), Case(stage, harm, str(out)))
    out.chmod(0o755)
    found = become(ct, out)
    torn = [name for name, kind in found.items() if kind in ("half", "absent")]
    counts.update(cases=1, kills=harm == "kill", half_written=len(torn))
    assert set(found.values()) <= {"earlier", "new"}, (code, message)
    if harm == "kill":
        assert code == KILLED, message
    elif code:
        assert code == IN_VAIN[harm], message
        assert message.startswith("vertebra-labeling: ") and message.count("\n") == 1
        if harm != "read-only":  # in which nothing can be removed either
            assert set(found.values()) == {"earlier"}
    else:
        assert stage not in BEFORE_WRITING or harm == "quota"
        assert set(found.values()) == {"new"}
    if found["a.mrk.json"] == "new":
        assert set(found.values()) == {"new"}, "where the points lie, all else does"
    if harm not in ("kill", "read-only"):
        require_nothing_else(out)
    assert program.run(words(ct, out)) == (0, "")
    require_nothing_else(out)


def require_nothing_else(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES), "something is left behind"


def test_a_run_that_is_not_harmed(program, ct, tmp_path):
    out = with_earlier(tmp_path / "out")
    assert program.run(words(ct, out)) == (0, "")
    assert set(become(ct, out).values()) == {"new"}


@pytest.mark.parametrize("stage", ["network", *(pytest.param(s, marks=pytest.mark.slow) for s in WRITING)])
def test_two_runs_on_one_output_leave_whole_files(program, other, ct, tmp_path, counts, stage):
    """The second runs from its beginning to its end while the first one is at the stage."""
    out = with_earlier(tmp_path / "out")
    program.begin(words(ct, out), Case(stage, "hold", str(out)))
    wait_for(held_mark(out))
    second, _ = other.run(words(ct, out))
    held_mark(out).unlink()
    first, message = program.end()
    counts.update(cases=1)
    assert (first, second) == (0, 0), message
    assert set(become(ct, out).values()) == {"new"}
    require_nothing_else(out)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 KiB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount")
def test_a_disk_that_is_full_in_earnest(program, ct, small_disk, tmp_path):
    """The picture has no room; the batch says so and is done when there is room."""
    out = small_disk
    (out / "a.csv").write_bytes(EARLIER)
    code, message = program.run(words(ct, out))
    assert (code, [path.name for path in out.iterdir()]) == (2, ["a.csv"])
    assert "No space left" in message
    (tmp_path / "in").mkdir()
    shutil.copy(ct, tmp_path / "in")
    code, message = program.run(batch_words(tmp_path / "in", out / "batch"))
    assert code == 2, message
    assert not list(out.rglob("a.mrk.json")) and not list(out.rglob(".vertebra-labeling-*"))


# --- a batch ----------------------------------------------------------------------------------------------------------


def batch_words(source: Path, out: Path) -> list[object]:
    return ["batch", "--input", source, "--output", out, "--csv", "--device", "cpu", "--scan-timeout", 0, "--quiet"]


STEMS = ("a", "b")
BATCH_FILES = tuple(f"b{end}" for end in (".run.json", ".png", ".csv", ".mrk.json"))
BATCH_STAGES = (
    *BEFORE_WRITING, *(f"{verb} {name}" for verb in ("writing", "moving") for name in BATCH_FILES), "begun", "done",
    "summary", "page",
)  # fmt: skip
QUICK_BATCH = {
    ("reading", "kill"), ("preparing", "cancel"), ("network", "kill"), ("writing b.run.json", "full"),
    ("writing b.png", "kill"), ("moving b.mrk.json", "kill"), ("moving b.csv", "full"), ("done", "kill"),
    ("begun", "quota"), ("summary", "full"), ("network", "read-only"),
}  # fmt: skip


@pytest.mark.parametrize(("stage", "harm"), cases(BATCH_STAGES, QUICK_BATCH))
def test_a_batch_that_is_harmed_goes_on_where_it_was(program, ct, tmp_path, counts, stage, harm):
    """The harm comes with the second of two scans."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for stem in STEMS:
        shutil.copy(ct, source / f"{stem}.nii.gz")
    out.mkdir()
    nth = 1 if stage.split()[0] in FIRST_TIME else 2
    code, message = program.run(batch_words(source, out), Case(stage, harm, str(out), nth))
    out.chmod(0o755)
    assert code in ((KILLED,) if harm == "kill" else (IN_VAIN[harm], 0, 7)), message
    found = dict(states(out))
    done = [stem for stem, state in found.items() if state == "done"]
    torn = [stem for stem in done if not is_whole(out, stem, NAMES)]
    torn += [path.name for path in out.glob("*.mrk.json") if not is_whole(out, path.name[0], NAMES, is_done=False)]
    again, message = program.run([*batch_words(source, out), "--retry-failed"])
    lost = [stem for stem in STEMS if dict(states(out)).get(stem) != "done" or not is_whole(out, stem, NAMES)]
    counts.update(cases=1, kills=harm == "kill", half_written=len(torn), lost=len(lost))
    assert (torn, again, lost) == ([], 0, []), message
    assert "a" in done or stage in ("reading", "preparing", "network", "summary", "page")
    assert not [path.name for path in out.iterdir() if path.name.startswith(".vertebra-labeling-")]


def test_a_second_batch_on_the_same_output_is_refused_and_the_first_is_not_disturbed(program, other, ct, tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    shutil.copy(ct, source / "a.nii.gz")
    program.begin(batch_words(source, out), Case("network", "hold", str(out)))
    wait_for(held_mark(out))
    code, message = other.run(batch_words(source, out))
    held_mark(out).unlink()
    assert (code, program.end()) == (2, (0, ""))
    assert "Another batch run" in message
    assert is_whole(out, "a", NAMES)


@pytest.mark.parametrize("stage", ["writing a.png", pytest.param("moving a.csv", marks=pytest.mark.slow)])
def test_a_batch_does_not_disturb_a_label_that_writes_to_its_folder(program, other, ct, tmp_path, counts, stage):
    """The batch begins and ends, and removes what killed runs have left, while the other run is at the stage."""
    source, out = tmp_path / "in", with_earlier(tmp_path / "out")
    source.mkdir()
    shutil.copy(ct, source / "b.nii.gz")
    program.begin(words(ct, out), Case(stage, "hold", str(out)))
    wait_for(held_mark(out))
    assert other.run(batch_words(source, out)) == (0, "")
    held_mark(out).unlink()
    assert program.end() == (0, "")
    counts.update(cases=2)
    assert set(become(ct, out).values()) == {"new"}
    assert is_whole(out, "b", NAMES)
    assert not list(out.glob(".vertebra-labeling-*"))


@pytest.mark.parametrize(
    ("stage", "harm", "said"), [("network", "read-only", "Permission denied"), ("writing a.csv", "quota", "too large")]
)
def test_the_harm_is_real(program, ct, tmp_path, stage, harm, said):
    """Else nothing above would show anything."""
    out = with_earlier(tmp_path / "out")
    code, message = program.run(words(ct, out), Case(stage, harm, str(out)))
    assert code == 2 and said in message
