"""The comparisons of Qin et al.: baselines, scores, tables, and that a finished run is not run again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning")
torch = pytest.importorskip("torch")

from cached_cases import write_cache, write_case  # noqa: E402
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level  # noqa: E402
from VertebraLabelingLib.core.errors import InputError, UsageError  # noqa: E402
from VertebraLabelingLib.core.fuse import Votes, kmeans_fusion  # noqa: E402
from VertebraLabelingLib.methods.integral_regression.network import IntegralRegressionNet  # noqa: E402

from training.__main__ import main  # noqa: E402
from training.ablation.baselines import VARIANTS, Variant, argmax  # noqa: E402
from training.ablation.fusions import larger_cluster_fusion  # noqa: E402
from training.ablation.report import report  # noqa: E402
from training.ablation.study import NAMES, make_plan, split_data  # noqa: E402
from training.ablation.tables import Column, Comparison, Row, markdown_table, spread  # noqa: E402
from training.ablation.task import VariantTask  # noqa: E402
from training.ablation.window_scores import Answers, answers_of, fixed_windows, window_scores  # noqa: E402
from training.records import is_finished, record_file  # noqa: E402
from training.sampling import Window  # noqa: E402
from training.tasks import Sample  # noqa: E402

SMALL = {"spacing_mm": 8.0, "window_zyx": [16, 16, 16], "widths": [8, 8, 8, 8], "hidden": 4}
SMALL_SITES = {"window_zyx": [32, 16, 16], "widths": [8, 8, 8, 8]}
L1 = REGULAR_LEVELS.index(Level.L1)


def _task(name: str) -> VariantTask:
    torch.manual_seed(0)
    return VariantTask(name, SMALL, {})


def _window(task: VariantTask) -> Window:
    """T12 at 80, L1 at 52 mm of 128; the other axes in the middle."""
    extent = task.windows.extent_zyx_mm
    points = np.array([[80.0, 64.0, 64.0], [52.0, 60.0, 68.0]])
    hu = torch.randn(task.windows.window_zyx) * 100
    levels = np.array([Level.T12, Level.L1])
    return Window(hu, levels, points, np.empty((0, 3)), (0.0, float(extent[0])), extent)


def _batch(task: VariantTask) -> Sample:
    sample = task.sample(_window(task), np.random.default_rng(0))
    return {name: torch.stack([value, value]) for name, value in sample.items()}


def test_the_joint_variant_is_the_network_of_the_paper():
    task = _task("joint")
    network, paper = task.build_network(), IntegralRegressionNet(task.settings)
    paper.load_state_dict(network.state_dict())
    image = torch.randn(1, 1, 16, 16, 16)
    for ours, theirs in zip(network(image), paper(image), strict=True):
        assert torch.equal(ours, theirs)


def test_gaussian_targets_peak_at_the_centroids_of_the_present_levels_only():
    task = _task("heat-map")
    sample = task.sample(_window(task), np.random.default_rng(0))
    maps = sample["heat_maps"]
    assert maps.shape == (26, 16, 16, 16)
    assert (maps.amax((1, 2, 3)) > 0).nonzero()[:, 0].tolist() == [L1 - 1, L1]
    # L1 is at (52, 60, 68) mm, the centre of voxel (6, 7, 8): exp(0) there, one voxel further exp(-8^2 / (2 6^2))
    assert argmax(maps[None])[0, L1].tolist() == [6, 7, 8]
    assert maps[L1, 6, 7, 8] == 1
    assert float(maps[L1, 7, 7, 8]) == pytest.approx(np.exp(-64 / 72), abs=1e-6)


def test_argmax_is_the_exact_voxel():
    maps = torch.zeros(2, 26, 5, 6, 7)
    maps[1, 3, 4, 0, 6] = 1
    assert argmax(maps)[1, 3].tolist() == [4, 0, 6] and argmax(maps).shape == (2, 26, 3)


def test_the_fully_connected_head_answers_in_voxels_around_the_centre_of_the_window():
    network = _task("fully-connected").build_network()
    logits, coordinates = network(torch.randn(2, 1, 16, 16, 16))
    assert logits.shape == (2, 26) and coordinates.shape == (2, 26, 3)
    for parameter in network.localisation.layers[-1].parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(network(torch.randn(1, 1, 16, 16, 16))[1], torch.full((1, 26, 3), 7.5))


def test_without_lstm_there_is_none_and_the_rest_is_the_same():
    with_lstm, without = (dict(_task(name).build_network().named_parameters()) for name in ("joint", "without-lstm"))
    assert with_lstm.keys() - without.keys() == {name for name in with_lstm if ".lstm." in name} != set()
    assert without.keys() < with_lstm.keys()


@pytest.mark.parametrize("name", VARIANTS)
def test_the_loss_is_that_of_the_branches_that_are_there(name: str):
    task = _task(name)
    network = task.build_network()
    losses = task.loss(network, _batch(task))
    assert (losses["presence"] > 0) == (network.classification is not None)
    assert (losses["regression"] > 0) == (network.localisation is not None)
    assert torch.isclose(losses["loss"], losses["presence"] + 0.4 * losses["regression"])
    losses["loss"].backward()
    used = {n.partition(".")[0] for n, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert used == {n.partition(".")[0] for n, _ in network.named_parameters()}


def test_single_losses_are_the_terms_of_the_joint_one():
    joint = _task("joint")
    network, batch = joint.build_network(), _batch(joint)
    both = joint.loss(network, batch)
    network.classification = None
    assert torch.isclose(joint.loss(network, batch)["loss"], 0.4 * both["regression"])


def test_what_a_variant_does_not_judge_is_certain_or_not_a_number():
    image = torch.randn(1, 1, 16, 16, 16)
    assert _task("localisation-only").build_network()(image)[0].sigmoid().min() > 0.999
    assert _task("classification-only").build_network()(image)[1].isnan().all()


def _answers(probabilities: np.ndarray, present: np.ndarray, found: np.ndarray, true: np.ndarray) -> Answers:
    """Of two levels, T12 and L1; the others are absent everywhere."""
    w, two = len(present), slice(L1 - 1, L1 + 1)
    values = Answers(
        np.zeros((w, 26), bool), np.ones((w, 26), bool), np.zeros((w, 26)), np.zeros((w, 26, 3)), np.zeros((w, 26, 3))
    )
    values.present[:, two], values.probabilities[:, two] = present, probabilities
    values.answers_mm[:, two], values.coordinates_mm[:, two] = found, true
    return values


def test_map_is_that_of_a_sum_by_hand():
    present = np.array([[1, 1], [0, 0], [1, 0], [0, 1]], bool)
    probabilities = np.array([[0.9, 0.2], [0.8, 0.9], [0.7, 0.1], [0.1, 0.8]])
    zeros = np.zeros((4, 2, 3))
    scores = window_scores(_answers(probabilities, present, zeros, zeros))
    # T12: hits at rank 1 and 3 of 4: (1 + 2/3) / 2.  L1: hits at rank 2 and 3: (1/2 + 2/3) / 2
    assert scores["T"]["mAP"] == pytest.approx(5 / 6) and scores["L"]["mAP"] == pytest.approx(7 / 12)
    assert scores["all"]["mAP"] == pytest.approx((5 / 6 + 7 / 12) / 2)
    assert scores["C"]["mAP"] is None and scores["all"]["vertebrae"] == 4


def test_a_probability_that_never_changes_has_no_map():
    present = np.array([[1, 1], [0, 0]], bool)
    scores = window_scores(_answers(np.ones((2, 2)), present, np.zeros((2, 2, 3)), np.zeros((2, 2, 3))))
    assert scores["all"]["mAP"] is None


def test_identified_is_nearest_to_the_right_vertebra_and_below_20_mm():
    true = np.tile([[[0.0, 0, 0], [30.0, 0, 0]]], (3, 1, 1))
    # 3 and 5 mm off; 16 mm off towards the neighbour, 19 mm off to the side; 21 mm off, and absent
    found = true + [[[3.0, 0, 0], [0, 5, 0]], [[16.0, 0, 0], [0, 19, 0]], [[0, 21.0, 0], [0, 99, 0]]]
    scores = window_scores(_answers(np.ones((3, 2)), np.array([[1, 1], [1, 1], [1, 0]], bool), found, true))
    assert scores["T"]["id_rate"] == pytest.approx(1 / 3) and scores["L"]["id_rate"] == 1
    assert scores["T"]["error_mm"] == pytest.approx(40 / 3) and scores["L"]["error_mm"] == 12


def test_fixed_windows_show_the_scan_as_it_is_and_are_always_the_same(tmp_path: Path):
    task, case = _task("joint"), write_case(tmp_path, "a", "val")
    first, second = (list(fixed_windows([case], task.windows, 3)) for _ in range(2))
    assert len(first) == 3 and len({float(window.points_mm[0, 0]) for window in first}) == 3
    for window, same in zip(first, second, strict=True):
        assert torch.equal(window.hu, same.hu) and np.array_equal(window.points_mm, same.points_mm)
        # a window shows whole voxels of the scan: bone within 12 mm of the column's axis in plane, where inside
        inside = window.points_mm[window.present(window.points_mm)]
        assert all(window.hu[tuple((point // 8).astype(int))] == 300 for point in inside)


def test_the_right_answer_scores_full_marks(tmp_path: Path):
    task, case = _task("joint"), write_case(tmp_path, "a", "val")
    samples = [task.sample(window, np.random.default_rng(0)) for window in fixed_windows([case], task.windows)]
    truth = iter([(sample["present"] * 9.0 - 4.5, sample["coordinates"]) for sample in samples])

    class _Right(torch.nn.Linear):
        def forward(self, image: Any) -> tuple[Any, Any]:
            rows = [next(truth) for _ in image]
            return torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])

    scores = window_scores(answers_of(_Right(1, 1), task, [case]))
    assert scores["all"]["id_rate"] == 1 and scores["all"]["error_mm"] < 1e-4


def test_of_two_clusters_of_votes_the_larger_counts():
    positions, presences = np.zeros((5, 26, 3)), np.zeros((5, 26))
    positions[:, L1, 0], presences[:, L1] = [0, 2, 4, 60, 62], 0.9
    votes = Votes(positions, presences, np.ones((5, 26)))
    assert larger_cluster_fusion(votes).positions_lps_mm[L1, 0] == pytest.approx(2)
    assert kmeans_fusion(votes).positions_lps_mm[L1, 0] == pytest.approx(128 / 5), "one cluster: the plain mean"
    lone = Votes(positions[:1], presences[:1], np.ones((1, 26)))
    assert np.isnan(larger_cluster_fusion(lone).positions_lps_mm).sum() == 25 * 3


def test_spread_is_mean_and_standard_deviation():
    assert spread([1.0, 2.0, 3.0]) == "2.0 ± 1.0" and spread([1.25], 2) == "1.25" and spread([]) == "–"


def test_tables_read_what_the_runs_stored():
    records = [{"name": "joint", "windows": {"val": {"all": {"id_rate": value}}}} for value in (0.5, 0.7)]
    columns = (Column("id %", ("windows", "val", "all", "id_rate"), 100.0), Column("mm", ("windows", "no", "x")))
    rows = (Row("a", "joint", "62.7"), Row("b", "heat-map"))
    text = markdown_table(Comparison("T", rows, columns, "paper", "N"), records)
    assert text.splitlines()[2:6] == [
        "|  | seeds | id % | mm | paper |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| a | 2 | 60.0 ± 14.1 | – | 62.7 |",
        "| b | 0 | – | – | – |",
    ]


def test_phantoms_kept_apart_and_val_are_not_trained_on(tmp_path: Path):
    phantoms = [write_case(tmp_path, f"phantom-{n}", "phantom") for n in range(4)]
    data = split_data([*phantoms, write_case(tmp_path, "a", "train"), write_case(tmp_path, "b", "val")], held_out=2)
    assert [case.id for case in data.train] == ["a", "phantom-0", "phantom-1"]
    assert [case.id for case in (*data.val, *data.phantoms)] == ["b", "phantom-2", "phantom-3"]
    with pytest.raises(UsageError, match="prepare"):
        split_data(phantoms)


def test_the_two_methods_have_the_same_budget():
    qin, sites = make_plan("qin", 0), make_plan("sites", 0)
    assert qin.run == sites.run
    assert np.array_equal(qin.task.windows.extent_zyx_mm, sites.task.windows.extent_zyx_mm)
    assert qin.task.metadata()["widths"] == sites.task.metadata()["widths"]
    assert qin.task.windows.spacing_mm == 2 * sites.task.windows.spacing_mm, "its stem halves the grid"


@pytest.fixture
def small_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configurations of toy size in place of the real ones."""
    folder = tmp_path / "configs"
    folder.mkdir()
    run = "[run]\nminutes = 600\nsteps = 2\nbatch = 1\nworkers = 0\n"
    for file, task, network in (
        ("ablation-windows.toml", "integral-regression", SMALL),
        ("ablation-qin.toml", "integral-regression", SMALL),
        ("ablation-sites.toml", "sites", SMALL_SITES),
    ):
        values = "".join(f"{key} = {value}\n" for key, value in network.items())
        (folder / file).write_text(f'task = "{task}"\n[network]\n{values}{run}')
    monkeypatch.setattr("training.ablation.study.CONFIGS", folder)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return write_cache(tmp_path / "cache")


def _ablate(tmp_path: Path, cache: Path, *names: str) -> dict[str, dict[str, Any]]:
    """The records after a run of the command with these networks."""
    output = tmp_path / "out"
    assert main(["ablate", "--cache", str(cache), "--output", str(output), "--seeds", "0", "--only", *names]) == 0
    return {file.name.removesuffix("-seed0.json"): json.loads(file.read_text()) for file in output.glob("*.json")}


@pytest.mark.usefixtures("small_configs")
def test_a_finished_run_is_not_run_again(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]):
    first = _ablate(tmp_path, cache, "classification-only")
    (file,) = (tmp_path / "out").glob("*.json")
    stored = file.stat().st_mtime_ns
    assert _ablate(tmp_path, cache, "classification-only") == first
    assert "1 of 1 runs are finished" in capsys.readouterr().out
    assert file.stat().st_mtime_ns == stored, "a finished run was repeated"
    scores = first["classification-only"]["windows"]["val"]["all"]
    assert scores["vertebrae"] > 0 and scores["error_mm"] is None
    text = (tmp_path / "out" / "ablation.md").read_text(encoding="utf-8")
    assert "not on CSI-2014" in text and "2 × 1" in text


@pytest.mark.slow
@pytest.mark.usefixtures("small_configs")
def test_every_run_leaves_a_result(tmp_path: Path, cache: Path):
    records = _ablate(tmp_path, cache, *NAMES)
    assert records.keys() == set(NAMES)
    assert records["joint"]["windows"]["val"]["all"]["vertebrae"] > 0
    assert records["localisation-only"]["windows"]["val"]["all"]["mAP"] is None
    assert records["sites"]["scans"].keys() == {"default"}
    assert records["qin"]["scans"].keys() == {
        "default", "dense k-means", "dense k-means-2", "dense weighted",
        "corridor k-means", "corridor k-means-2", "corridor weighted",
    }  # fmt: skip


@pytest.mark.usefixtures("small_configs")
def test_a_result_of_another_budget_or_a_broken_one_is_no_finished_run(tmp_path: Path):
    plan = make_plan("joint", 0)
    assert not is_finished(tmp_path, plan)
    record = {"name": "joint", "seed": 0, "configuration": plan.configuration, "windows": {}, "scans": {}}
    record_file(tmp_path, plan).write_text(json.dumps(record))
    assert is_finished(tmp_path, plan)
    with pytest.raises(UsageError, match="another configuration or budget"):
        is_finished(tmp_path, make_plan("joint", 0, steps=7))
    record_file(tmp_path, plan).write_text("{}")
    with pytest.raises(InputError, match="values are missing"):
        is_finished(tmp_path, plan)
    with pytest.raises(UsageError, match="heat-map"):
        make_plan("argmax", 0)


def test_the_report_of_no_run_says_so():
    assert "No run is finished yet" in report([])


def test_a_variant_is_plain_data():
    assert replace(VARIANTS["joint"], classifier=None) == VARIANTS["localisation-only"] != Variant(None, None)
