"""The comparison of the methods: what a run scores and stores, which runs there are, and what the report says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning")
torch = pytest.importorskip("torch")

from cached_cases import CASE_LEVELS, CASE_POINTS_ZYX_MM, write_cache, write_case  # noqa: E402
from VertebraLabelingLib.core.anatomy import Level, regular_shift  # noqa: E402
from VertebraLabelingLib.core.errors import InputError, ModelError, NothingFoundError, UsageError  # noqa: E402
from VertebraLabelingLib.core.labelling import Evidence  # noqa: E402
from VertebraLabelingLib.engines.weights import find_model  # noqa: E402
from VertebraLabelingLib.methods.registry import MEMBERS, METHODS, PAPER_METHODS  # noqa: E402

from training.__main__ import main  # noqa: E402
from training.cases import Case  # noqa: E402
from training.compare import methods, report, scores, trainings  # noqa: E402
from training.compare.scores import Use, scores_by_group, timed_totals, weight_bytes  # noqa: E402
from training.records import is_finished, read_record, run_folder  # noqa: E402
from training.seeds import FRESH_SEED  # noqa: E402

SMALL = {
    "spacing_mm": 4.0,
    "window_zyx": [32, 24, 24],
    "image_hw": [32, 24],
    "pixel_mm": 4.0,
    "widths": [8, 8, 8],
    "drawn_views": 2,
}


class _Knowing:
    """Answers with the true points of the cases, `shift` levels off, `offset_mm` to the side."""

    name = "sites"

    def __init__(self, shift: int = 0, offset_mm: float = 0.0) -> None:
        self.weights_sha256: dict[str, str] = {}
        self._shift, self._offset = shift, offset_mm

    def variant(self, **changes: Any) -> _Knowing:
        return _Knowing(self._shift + changes.get("views", 0), self._offset)

    def find(self, scan: Any, progress: Any) -> Evidence:
        places = np.array(CASE_POINTS_ZYX_MM)[:, ::-1] + [self._offset, 0.0, 0.0]
        log_probs = np.full((3, len(Level)), -9.0)
        log_probs[np.arange(3), [regular_shift(level, self._shift) for level in CASE_LEVELS]] = 0
        return Evidence(places, log_probs - np.log(np.exp(log_probs).sum(1, keepdims=True)), np.full(3, 0.99))


class _Blind(_Knowing):
    def find(self, scan: Any, progress: Any) -> Evidence:
        raise NothingFoundError("No vertebra was found.")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return write_cache(tmp_path / "cache")


@pytest.fixture
def knowing(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every method with weights knows the truth, and "paper" is one level off; what was loaded."""
    loaded: list[tuple[str, str]] = []

    def load(name: str, config: str = "default") -> _Knowing:
        loaded.append((name, config))
        return _Knowing(int(config == "paper"))

    monkeypatch.setattr(methods, "load_method", load)
    return loaded


def _compare(tmp_path: Path, cache: Path, *more: str) -> tuple[int, Path]:
    output = tmp_path / "out"
    code = main(["compare", "--cache", str(cache), "--output", str(output), "--phantoms", "0", "--no-body", *more])
    return code, output


def test_the_right_answer_scores_full_marks_and_the_time_is_per_scan(cache: Path):
    case = write_case(cache, "c", "val")
    values = timed_totals(Use(_Knowing(offset_mm=3.0)), [case, case])
    assert values["total"]["id_rate"] == 1 and values["total"]["vertebrae"] == 6
    assert values["total"]["mean_error_mm"] == pytest.approx(3.0)
    assert values["total"]["scans_wholly_right"] == 2
    assert 0 < values["seconds_per_scan"] < 60


def test_one_level_off_is_right_after_the_shift_only_and_finding_nothing_is_all_missed(cache: Path):
    case = write_case(cache, "c", "val")
    off = timed_totals(Use(_Knowing(1), decode=False), [case])["total"]
    assert off["id_rate"] == 0 and off["id_rate_after_shift"] == 1 and off["recall"] == 1
    assert timed_totals(Use(_Blind()), [case])["total"]["recall"] == 0


def test_what_fails_is_told_by_scan_and_level(cache: Path):
    case = write_case(cache, "c", "val")
    assert timed_totals(Use(_Knowing()), [case])["failures"] == []
    (wrong,) = timed_totals(Use(_Knowing(1), decode=False), [case])["failures"]
    assert wrong == {"scan": "c", "vertebrae": 3, "missed": ["T12", "L1", "L2"], "false": ["L3"]}


def test_groups_without_a_case_are_left_out(cache: Path):
    case = write_case(cache, "c", "val")
    assert scores_by_group({"x": Use(_Knowing())}, {"scans": [case], "phantoms": []}).keys() == {"scans"}


def test_every_method_is_compared_and_every_paper_as_it_is():
    assert set(methods.WHOLE) == {*METHODS, "integral-regression-paper", "multi-view-paper", "global-to-local-paper"}
    assert {way.variant["views"] for way in methods.VIEWS.values()} == {5, 10, 20}
    assert methods.members_of(methods.WAYS["ensemble-of-papers"]) == PAPER_METHODS


def test_the_size_of_the_weights_is_that_of_all_files_needed():
    expected = sum(find_model(role).weights.path.stat().st_size for role in ("sites", "corridor"))
    sites, papers, everything = (
        methods.hashes_of(methods.WAYS[n]) for n in ("sites", "ensemble-of-papers", "ensemble")
    )
    assert weight_bytes(sites) == expected < weight_bytes(everything)
    assert papers.keys() == {*PAPER_METHODS, "corridor", "refinement"} == everything.keys() - {"sites"}


def test_phantoms_are_of_seeds_that_no_training_takes_and_are_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []

    def cached(folder: Path, count: int, first_seed: int = 0) -> list[Case]:
        seen.extend(range(first_seed, first_seed + count))
        return []

    monkeypatch.setattr(scores, "cache_phantoms", cached)
    scores.fresh_phantoms(tmp_path, 3)
    assert seen == [FRESH_SEED, FRESH_SEED + 1, FRESH_SEED + 2]
    assert FRESH_SEED > 100_000, "far from those of `prepare --phantoms`"


def test_a_finished_run_is_not_repeated_and_the_report_shows_it(
    tmp_path: Path, cache: Path, knowing: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
):
    names = ("--only", "sites", "integral-regression-paper")
    code, output = _compare(tmp_path, cache, *names)
    assert code == 0 and knowing == [("sites", "default"), ("integral-regression", "paper")]
    record = read_record(output / "sites-seed0.json")
    assert record["scans"]["scans"]["default"]["total"]["id_rate"] == 1
    assert record["configuration"]["cases"] == {"scans": ["b"], "phantoms": []}
    assert "body" not in record and record["weight_bytes"] > 1e6
    text = (output / "comparison.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| `sites`") and "100.0" in line]
    assert row.split(" | ")[1:6] == ["1", "3", "100.0", "100.0", "100.0"]
    assert "id 95 % interval: from | to | C id %" in text
    (off,) = [
        line for line in text.splitlines() if "without our sequence decoder" in line and "Qin" in line and "3 |" in line
    ]
    assert off.split(" | ")[3] == "0.0"
    assert "- `sites`, unseen real scans: nothing." in text
    assert (
        "- `integral-regression-paper`, unseen real scans: b: 3 of 3 not named right (T12, L1, L2), false L3." in text
    )
    assert "not comparable" in text and "98.12" in text and "VerSe19" in text
    stored = (output / "sites-seed0.json").stat().st_mtime_ns
    assert _compare(tmp_path, cache, *names)[0] == 0
    assert len(knowing) == 2 and (output / "sites-seed0.json").stat().st_mtime_ns == stored
    assert "2 of 2 runs are finished" in capsys.readouterr().out


def test_a_run_with_other_weights_or_scans_is_not_the_same(tmp_path: Path, cache: Path, knowing: Any):
    code, output = _compare(tmp_path, cache, "--only", "sites")
    assert code == 0
    plan = methods.make_method_plan("sites", {"scans": [], "phantoms": []}, False)
    with pytest.raises(UsageError, match="another configuration"):
        is_finished(output, plan)


def test_methods_without_weights_are_left_out_and_refused_by_name(
    tmp_path: Path, cache: Path, knowing: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    monkeypatch.setattr(methods, "refusal", lambda name: f"'{name}' has no weights here." if "multi" in name else "")
    monkeypatch.setattr(methods, "weights_sha256", lambda name: {name: "x"})
    monkeypatch.setattr(methods, "weight_bytes", lambda roles: 1)
    monkeypatch.setattr(methods, "used_methods", lambda name: (name,))
    code, _output = _compare(tmp_path, cache, "--only", "methods", "ensembles", "views")
    told = capsys.readouterr().out
    assert code == 0 and "left out: multi-view-5-views. 'multi-view' has no weights here." in told
    assert "left out: ensemble-of-papers. 'multi-view' has no weights here." in told
    assert {name for name, _config in knowing} == set(METHODS) - {"multi-view"}
    assert _compare(tmp_path, cache, "--only", "multi-view")[0] == ModelError.exit_code
    assert _compare(tmp_path, cache, "--only", "nobody")[0] == UsageError.exit_code


def test_a_variant_is_applied(tmp_path: Path, knowing: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(methods, "weights_sha256", lambda name: {name: "x"})
    monkeypatch.setattr(methods, "weight_bytes", lambda roles: 1)
    monkeypatch.setattr(methods, "used_methods", lambda name: (name,))
    groups = {"scans": [write_case(tmp_path, "c", "val")]}
    plan = methods.make_method_plan("multi-view-5-views", groups, True)
    assert plan.configuration["variant"] == {"views": 5} and not plan.configuration["body"]
    record = read_record(methods.execute_method(plan, groups, None, tmp_path))
    assert record["scans"]["scans"]["default"]["total"]["id_rate"] == 0, "the fake is as many levels off as views"


def test_the_parts_of_wu_et_al_differ_in_nothing_else():
    base, pretrained, full = (trainings.make_training_plan(name, 1, None, {}) for name in trainings.VARIANTS)
    for plan in (base, pretrained, full):
        same = {k: v for k, v in plan.configuration.items() if k not in ("pretrained", "sequence_loss")}
        assert same == {k: v for k, v in base.configuration.items() if k in same}
    assert [p.task.options.sequence_loss for p in (base, pretrained, full)] == [False, False, True]
    assert [p.configuration["pretrained"] for p in (base, pretrained, full)] == [False, True, True]
    before = trainings.make_training_plan(trainings.PRETRAINING, 1, 7, {})
    assert full.run.steps == trainings.make_training_plan(trainings.PRETRAINING, 1, None, {}).run.steps
    assert before.run.steps == 7 and before.task.metadata()["widths"] == full.task.metadata()["widths"]


@pytest.fixture
def small_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations of toy size in place of the real ones."""
    run = "[run]\nminutes = 600\nsteps = 2\nbatch = 2\nworkers = 0\n"
    network = "".join(f"{key} = {value}\n" for key, value in SMALL.items())
    for file, task in (("compare-multi-view", "multi-view"), ("compare-pretraining", "multi-view-pretraining")):
        (tmp_path / f"{file}.toml").write_text(f'task = "{task}"\n[network]\n{network}{run}')
    monkeypatch.setattr(trainings, "CONFIGS", tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("small_configs")
def test_a_part_is_trained_from_its_pretraining_and_scored_in_three_ways(tmp_path: Path, cache: Path):
    code, output = _compare(tmp_path, cache, "--only", "multi-view-sequence", "--seeds", "0")
    assert code == 0
    record = read_record(output / "multi-view-sequence-seed0.json")
    assert record["scans"]["scans"].keys() == {trainings.BAGGED, trainings.VOTED, "default"}
    before = trainings.make_training_plan(trainings.PRETRAINING, 0, None, {})
    assert is_finished(output, before) and (run_folder(output, before) / "last.ckpt").exists()
    text = (output / "comparison.md").read_text(encoding="utf-8")
    assert "| + Sequence Loss, bagging | 1 | 3 |" in text and "2 × 2" in text


def test_a_result_that_is_none_is_told(tmp_path: Path):
    (tmp_path / "sites-seed0.json").write_text("{}")
    with pytest.raises(InputError, match="values are missing"):
        read_record(tmp_path / "sites-seed0.json")


def test_the_report_of_no_run_says_so():
    text = report.report([])
    assert "No run is finished yet" in text and "###" not in text


def test_every_method_has_a_title():
    assert set(report.TITLES) == {*MEMBERS, "ensemble"}
