"""The tasks and the loop: samples, losses, steps of training, resuming, validation, processes, the averaged weights."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning")
torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import Level  # noqa: E402
from VertebraLabelingLib.core.errors import UsageError  # noqa: E402

from training.cases import Case  # noqa: E402
from training.commands.train import chosen_splits  # noqa: E402
from training.data import FixedWindows, RandomWindows, case_chances  # noqa: E402
from training.loop import averaged_weights, load_averaged, processes_and_nodes, train  # noqa: E402
from training.sampling import Window  # noqa: E402
from training.schedule import cosine_factor  # noqa: E402
from training.settings import RunSettings, read_configuration  # noqa: E402
from training.tasks import Sample, Task, make_task  # noqa: E402
from training.tasks.sites import centre_sigmas_mm  # noqa: E402

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "training/configs"
TINY = {
    "sites": {"window_zyx": [32, 16, 16], "widths": [8, 8, 8, 8]},
    "corridor": {"window_zyx": [16, 8, 8], "widths": [8, 8, 8, 8]},
    "integral-regression": {"window_zyx": [16, 16, 16], "widths": [8, 8, 8, 8], "hidden": 4},
}
SHORT = RunSettings(minutes=60, steps=2, batch=2, workers=0)


def _task(name: str) -> Task:
    return make_task(name, TINY[name], {})


def _window(task: Task) -> Window:
    extent = task.windows.extent_zyx_mm
    points = np.array([0.5 * extent + [8.0, 0.0, 0.0], 0.5 * extent - [8.0, 0.0, 0.0], extent + 40.0])
    levels = np.array([Level.T12, Level.L1, Level.L2])
    hu = torch.randn(task.windows.window_zyx) * 100
    return Window(hu, levels, points, np.empty((0, 3)), (0.0, float(extent[0])), extent)


def _batch(sample: Sample) -> Sample:
    return {name: torch.stack([value, value]) for name, value in sample.items()}


@pytest.mark.parametrize("name", sorted(TINY))
def test_losses_are_finite_and_reach_the_weights(name: str) -> None:
    task = _task(name)
    network = task.build_network()
    losses = task.loss(network, _batch(task.sample(_window(task), np.random.default_rng(0))))
    assert all(torch.isfinite(value) for value in losses.values())
    losses["loss"].backward()
    assert sum(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters()) > 20


def test_sites_outside_the_window_are_no_target_and_unlabelled_ones_no_penalty() -> None:
    task = _task("sites")
    window = _window(task)
    sample = task.sample(window, np.random.default_rng(0))
    assert (sample["channels"] >= 0).sum() == 2
    assert sample["target"].max() > 0.8 and sample["weight"].min() == 1
    beyond = replace(window, beyond_mm=window.points_mm[:1] + 20.0)
    assert task.sample(beyond, np.random.default_rng(0))["weight"].min() == 0


def test_the_column_head_is_trained_beside_the_plain_logits(tmp_path: Path) -> None:
    task = make_task("sites", {**TINY["sites"], "column_head": True}, {})
    network = task.build_network()
    losses = task.loss(network, _batch(task.sample(_window(task), np.random.default_rng(0))))
    torch.testing.assert_close(losses["ordered"], losses["level"])  # it begins as the identity
    losses["loss"].backward()
    assert network.column_head.correction.weight.grad.abs().sum() > 0
    last = train(task, [_case(tmp_path, [Level.T12, Level.L1, Level.L2])], SHORT, tmp_path / "run")
    again = make_task("sites", task.metadata(), {}).build_network()
    again.load_state_dict(averaged_weights(last))
    assert again.column_head.correction.weight.abs().sum() > 0


def test_a_window_without_sites_teaches_the_column_head_nothing_but_does_not_fail() -> None:
    task = make_task("sites", {**TINY["sites"], "column_head": True}, {})
    window = replace(_window(task), levels=np.empty(0, np.int64), points_mm=np.empty((0, 3)))
    losses = task.loss(network := task.build_network(), _batch(task.sample(window, np.random.default_rng(0))))
    losses["loss"].backward()
    assert losses["ordered"] == 0 and network.column_head.recurrent.weight_hh_l0.grad.abs().sum() == 0


def test_the_width_of_the_centre_map_follows_the_spacing_in_the_window() -> None:
    levels = np.array([Level.C5, Level.C6, Level.C7])
    points = np.array([[60.0, 0.0, 0.0], [40.0, 0.0, 0.0], [16.0, 0.0, 0.0]])
    assert centre_sigmas_mm(levels, points, 0.0).tolist() == [4.0, 4.0, 4.0]
    np.testing.assert_allclose(centre_sigmas_mm(levels, points, 0.2), [4.0, 4.4, 4.8])
    np.testing.assert_allclose(centre_sigmas_mm(levels, 1.4 * points, 0.2), [5.6, 6.16, 6.72])
    assert centre_sigmas_mm(levels, 0.1 * points, 0.2).tolist() == [3.0, 3.0, 3.0], "never narrower than a voxel"
    assert centre_sigmas_mm(levels[:1], points[:1], 0.2).tolist() == [4.0], "no neighbour to measure by"


def test_a_run_in_bf16_has_finite_losses_and_keeps_single_precision(tmp_path: Path) -> None:
    task = Watched(_task("sites"))
    run = replace(SHORT, steps=3, precision="bf16-mixed")
    last = train(task, [_case(tmp_path, [Level.T12, Level.L1, Level.L2])], run, tmp_path / "run")
    assert len(task.losses) == 3 and np.isfinite(task.losses).all()
    assert {value.dtype for value in averaged_weights(last).values()} == {torch.float32}


def _case(folder: Path, levels: list[Level], weight: float = 1.0, name: str = "case") -> Case:
    rng = np.random.default_rng(0)
    for spacing in ("2mm", "4mm", "8mm"):
        np.save(folder / f"{name}.{spacing}.npy", rng.integers(-1000, 1000, (40, 24, 24)).astype(np.int16))
    points = np.array([[70.0 - 20 * n, 24.0, 24.0] for n in range(len(levels))])
    return Case(name, "train", folder, np.zeros(3), np.array(levels, np.int64), points.reshape(-1, 3), weight)


def test_scans_with_rare_levels_are_drawn_more_often(tmp_path: Path) -> None:
    necks = [_case(tmp_path, [Level.C1, Level.C2])] * 4
    chances = case_chances([*necks, _case(tmp_path, [Level.L3, Level.L4])])
    assert np.isclose(chances.sum(), 1) and chances[-1] == pytest.approx(2 * chances[0])


class Watched:
    """A task that notes its losses, and dies in the step after `lives` of them."""

    def __init__(self, task: Task, lives: int = 1000) -> None:
        self._task, self._lives = task, lives
        self.losses: list[float] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # while it is copied
            raise AttributeError(name)
        return getattr(self._task, name)

    def loss(self, network: Any, batch: Sample) -> dict[str, Any]:
        if len(self.losses) == self._lives:
            raise KeyError("killed")
        losses = self._task.loss(network, batch)
        self.losses.append(losses["loss"].item())
        return losses


@pytest.mark.parametrize("name", ["corridor", "sites"])
def test_two_steps_of_training_give_weights_that_load(name: str, tmp_path: Path) -> None:
    task = _task(name)
    checkpoint = train(task, [_case(tmp_path, [Level.T12, Level.L1, Level.L2])], SHORT, tmp_path / "run")
    state = averaged_weights(checkpoint, checkpoint)
    task.build_network().load_state_dict(state)
    started = Watched(task)
    run = replace(SHORT, steps=1, precision="bf16-mixed")
    train(started, [_case(tmp_path, [Level.T12, Level.L1])], run, tmp_path / "again", start=checkpoint)
    assert np.isfinite(started.losses).all() and len(started.losses) == 1


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    task, cases = _task("corridor"), [_case(tmp_path, [Level.T12, Level.L1, Level.L2])]
    run = replace(SHORT, steps=5, checkpoint_minutes=1e-6)
    whole, killed, resumed = Watched(task), Watched(task, lives=3), Watched(task)
    expected = torch.load(train(whole, cases, run, tmp_path / "whole"), weights_only=True)
    with pytest.raises(KeyError):
        train(killed, cases, run, tmp_path / "broken")
    found = torch.load(train(resumed, cases, run, tmp_path / "broken", resume=True), weights_only=True)
    assert killed.losses + resumed.losses == whole.losses, "the same windows and weights"
    assert found["global_step"] == expected["global_step"] == 5
    for key in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
        torch.testing.assert_close(found[key], expected[key], rtol=0, atol=0)
    assert not all(torch.equal(found["state_dict"][k], v) for k, v in found["current_model_state"].items())


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    task, cases = _task("corridor"), [_case(tmp_path, [Level.T12, Level.L1])]
    last = train(task, cases, replace(SHORT, steps=1), tmp_path / "run")
    torch.save(torch.load(last, weights_only=True) | {"more": Hostile(tmp_path / "mark")}, last)
    with pytest.raises(UsageError, match="more than numbers"):
        train(task, cases, replace(SHORT, steps=2), tmp_path / "run", resume=True)
    assert not (tmp_path / "mark").exists()


def test_the_minutes_already_used_count_after_a_restart(tmp_path: Path) -> None:
    task, cases = _task("corridor"), [_case(tmp_path, [Level.T12, Level.L1])]
    last = train(task, cases, replace(SHORT, steps=1), tmp_path)
    checkpoint = torch.load(last, weights_only=True)
    checkpoint["callbacks"]["Timer"]["time_elapsed"]["train"] = 59 * 60.0
    torch.save(checkpoint, last)
    resumed = Watched(task)
    train(resumed, cases, replace(SHORT, steps=2), tmp_path, resume=True)
    rate = torch.load(last, weights_only=True)["lr_schedulers"][0]["_last_lr"][0]
    assert len(resumed.losses) == 1 and rate < 0.01 * SHORT.rate, "59 of 60 minutes: the end of the cosine"
    ended = Watched(task)
    train(ended, cases, replace(SHORT, minutes=58, steps=9), tmp_path, resume=True)
    assert not ended.losses, "no time is left"


def test_the_same_seed_gives_the_same_losses_with_and_without_a_worker(tmp_path: Path) -> None:
    task, cases = _task("sites"), [_case(tmp_path, [Level.T12, Level.L1, Level.L2])]
    runs = {name: Watched(task) for name in ("plain", "worker", "other seed")}
    train(runs["plain"], cases, SHORT, tmp_path / "0")
    train(runs["worker"], cases, replace(SHORT, workers=1), tmp_path / "1")
    train(runs["other seed"], cases, replace(SHORT, seed=1), tmp_path / "2")
    assert runs["plain"].losses == runs["worker"].losses != runs["other seed"].losses


def test_the_stream_can_be_taken_up_anywhere_and_differs_between_processes(tmp_path: Path) -> None:
    task, cases = _task("corridor"), [_case(tmp_path, [Level.T12, Level.L1])]
    first, other, later = (
        [sample["image"] for sample in islice(RandomWindows(cases, task, 2, 0, rank, batch), 4 - 2 * batch)]
        for rank, batch in ((0, 0), (1, 0), (0, 1))
    )
    assert all(torch.equal(a, b) for a, b in zip(first[2:], later, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[1])


def test_fixed_windows_are_untouched_pieces_of_the_scan(tmp_path: Path) -> None:
    case = _case(tmp_path, [Level.T12, Level.L1])
    hu = np.zeros((80, 60, 60), np.int16)
    voxels = (case.points_zyx_mm / 2).astype(int)
    hu[tuple(voxels.T)] = 900
    np.save(tmp_path / "case.2mm.npy", hu)
    fixed = FixedWindows([case], _task("sites"), 6)
    for n in range(len(fixed)):
        window = fixed.window(n)
        shown = window.points_mm[window.present(window.points_mm)]
        bright = np.argwhere(window.hu.numpy() == 900)
        assert {tuple(v) for v in bright} == {tuple(v) for v in (shown / 2).astype(int)}
        assert torch.equal(fixed[n]["image"], fixed[n]["image"])
    assert len({window.points_mm.tobytes() for window in map(fixed.window, range(6))}) == 6


def test_validation_is_logged_with_pictures_and_lowers_the_rate_on_a_plateau(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    task, cases = _task("integral-regression"), [_case(tmp_path, [Level.T12, Level.L1, Level.L2])]
    paper = read_configuration(CONFIGS / "paper.toml").run
    # with so small a rate the loss stays where it is
    run = replace(paper, rate=1e-6, plateau_patience=0, steps=5, workers=0, batch=2, validate_every=2)
    last = train(task, cases, run, tmp_path / "run", validation=[_case(tmp_path, [Level.T3], name="seen")])
    (group,) = torch.load(last, weights_only=True)["optimizer_states"][0]["param_groups"]
    assert group["lr"] == pytest.approx(1e-7) and group["weight_decay"] == 0, "the second validation was no better"
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [event.step for event in events.Scalars("val/loss")] == [1, 3]
    assert {"val/presence", "val/regression"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["val/window 0", "val/window 1"]


def test_a_run_without_what_it_needs_says_so(tmp_path: Path) -> None:
    task, cases = _task("corridor"), [_case(tmp_path, [Level.T12])]
    with pytest.raises(UsageError, match="prepare"):
        train(task, [], SHORT, tmp_path)
    with pytest.raises(UsageError, match="val"):
        train(task, cases, replace(SHORT, schedule="plateau"), tmp_path)
    with pytest.raises(UsageError, match="--resume"):
        train(task, cases, SHORT, tmp_path, resume=True)


def test_val_is_learnt_from_only_when_said_and_then_not_watched() -> None:
    assert chosen_splits(["train", "phantom"], final=False) == (("train", "phantom"), ("val",))
    assert chosen_splits(["train"], final=True) == (("train", "val"), ())
    with pytest.raises(UsageError, match="--final"):
        chosen_splits(["train", "val"], final=False)
    with pytest.raises(UsageError, match="test judges"):
        chosen_splits(["train", "test"], final=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task = ", "not valid TOML"),
        ('task = "sites"\n[run]\nbatch = "many"\n', "run.batch: .*integer"),
        ('task = "sites"\nwindow = 3\n', "window: Extra"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_explained(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "a.toml"
    with pytest.raises(UsageError, match="check the path"):
        read_configuration(file)
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_configuration(file)


@pytest.mark.parametrize("name", ["sites", "corridor", "integral-regression", "refinement"])
def test_a_setting_that_a_task_does_not_have_is_explained(name: str) -> None:
    with pytest.raises(UsageError, match="depth"):
        make_task(name, {"depth": 3}, {})
    with pytest.raises(UsageError, match="twist"):
        make_task(name, {}, {"twist": 3})


def test_a_checkpoint_that_is_none_or_of_another_network_is_explained(tmp_path: Path) -> None:
    network, file = torch.nn.Linear(2, 1), tmp_path / "last.ckpt"
    with pytest.raises(UsageError, match="check the path"):
        load_averaged(network, file)
    file.write_text("no checkpoint")
    with pytest.raises(UsageError, match="not a checkpoint"):
        load_averaged(network, file)
    torch.save({"state_dict": {"network.weight": torch.zeros(3, 2)}}, file)
    with pytest.raises(UsageError, match="another one"):
        load_averaged(network, file)
    torch.save({"state_dict": {f"network.{name}": value + 1 for name, value in network.state_dict().items()}}, file)
    before = network.weight.clone()
    load_averaged(network, file)
    assert torch.equal(network.weight, before + 1)


def test_the_rate_rises_and_follows_the_cosine() -> None:
    factors = [cosine_factor(done, 0.1) for done in (0.0, 0.05, 0.5, 1.0)]
    assert factors == pytest.approx([1e-3, 0.5, 0.5, 1e-3])


def test_torchrun_and_slurm_say_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_"))]:
        monkeypatch.delenv(name)
    assert processes_and_nodes(replace(SHORT, processes=3)) == (3, 1)
    for name, value in {"SLURM_JOB_NAME": "train", "SLURM_NTASKS": "8", "SLURM_NNODES": "2"}.items():
        monkeypatch.setenv(name, value)
    assert processes_and_nodes(SHORT) == (4, 2)
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6"}.items():
        monkeypatch.setenv(name, value)
    assert processes_and_nodes(SHORT) == (2, 3)


@pytest.mark.slow
def test_torchrun_trains_with_two_processes_of_which_one_writes(tmp_path: Path) -> None:
    from training.cases import cache_phantoms

    next(cache_phantoms(tmp_path / "cache", 1))
    config = tmp_path / "tiny.toml"
    network = "[network]\nwindow_zyx = [16, 8, 8]\nwidths = [8, 8, 8, 8]\n"
    config.write_text(f'task = "corridor"\n{network}[run]\nsteps = 3\nbatch = 1\nworkers = 0\n')
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "training", "train"]
    files = [str(config), "--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *command, *files], cwd=ROOT, env=environment, check=True, capture_output=True, encoding="utf-8"
    )
    assert "2 processes" in done.stderr, "Lightning's report of its distributed start"
    assert done.stdout.count(str(tmp_path / "run" / "last.ckpt")) == 1
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 3
    assert len(list((tmp_path / "run").glob("events*"))) == 1


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda f: f.stem)
def test_every_configuration_builds_its_network(file: Path) -> None:
    configuration = read_configuration(file)
    task = make_task(configuration.task, configuration.network, configuration.windows)
    assert sum(p.numel() for p in task.build_network().parameters()) < 4.2e6, "8 MB in fp16 at the most"


def test_the_paper_configuration_is_that_of_the_paper() -> None:
    from VertebraLabelingLib.methods.integral_regression.settings import paper

    configuration = read_configuration(CONFIGS / "paper.toml")
    task = make_task(configuration.task, configuration.network, configuration.windows)
    assert task.settings == paper()
    assert configuration.run.optimiser == "adam" and configuration.run.schedule == "plateau"


@pytest.mark.slow
def test_the_paper_configuration_takes_a_step_on_a_cpu(tmp_path: Path) -> None:
    configuration = read_configuration(CONFIGS / "paper.toml")
    task = Watched(make_task(configuration.task, configuration.network, configuration.windows))
    cases = [_case(tmp_path, [Level.T12, Level.L1])]
    run = replace(configuration.run, steps=1, batch=1, workers=0, validate_windows=1, validate_every=1)
    train(task, cases, run, tmp_path / "run", validation=cases)
    assert len(task.losses) == 2 and np.isfinite(task.losses).all(), "a step and a validation"
