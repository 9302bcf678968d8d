"""The tasks and the loop: samples, losses, two steps of training, the averaged weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")
torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import Level  # noqa: E402

from training.cases import Case  # noqa: E402
from training.loop import RunSettings, averaged_weights, case_chances, train  # noqa: E402
from training.sampling import Window  # noqa: E402
from training.settings import read_configuration  # noqa: E402
from training.tasks import Sample, Task, make_task  # noqa: E402

TINY = {
    "sites": {"window_zyx": [32, 16, 16], "widths": [8, 8, 8, 8]},
    "corridor": {"window_zyx": [16, 8, 8], "widths": [8, 8, 8, 8]},
    "integral-regression": {"window_zyx": [16, 16, 16], "widths": [8, 8, 8, 8], "hidden": 4},
}


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
    beyond = Window(window.hu, window.levels, window.points_mm, window.points_mm[:1] + 20.0, *_rest(window))
    assert task.sample(beyond, np.random.default_rng(0))["weight"].min() == 0


def _rest(window: Window) -> tuple[tuple[float, float], np.ndarray]:
    return window.visible_z_mm, window.extent_zyx_mm


def _case(folder: Path, levels: list[Level], weight: float = 1.0) -> Case:
    rng = np.random.default_rng(0)
    for spacing in ("2mm", "4mm", "8mm"):
        np.save(folder / f"case.{spacing}.npy", rng.integers(-1000, 1000, (40, 24, 24)).astype(np.int16))
    points = np.array([[70.0 - 20 * n, 24.0, 24.0] for n in range(len(levels))])
    return Case("case", "train", folder, np.zeros(3), np.array(levels, np.int64), points.reshape(-1, 3), weight)


def test_scans_with_rare_levels_are_drawn_more_often(tmp_path: Path) -> None:
    necks = [_case(tmp_path, [Level.C1, Level.C2])] * 4
    chances = case_chances([*necks, _case(tmp_path, [Level.L3, Level.L4])])
    assert np.isclose(chances.sum(), 1) and chances[-1] == pytest.approx(2 * chances[0])


@pytest.mark.parametrize("name", ["corridor", "sites"])
def test_two_steps_of_training_give_weights_that_load(name: str, tmp_path: Path) -> None:
    task = _task(name)
    run = RunSettings(minutes=2, steps=2, batch=2, workers=0)
    checkpoint = train(task, [_case(tmp_path, [Level.T12, Level.L1, Level.L2])], run, tmp_path / "run")
    state = averaged_weights(checkpoint, checkpoint)
    task.build_network().load_state_dict(state)
    again = train(task, [_case(tmp_path, [Level.T12, Level.L1])], run, tmp_path / "again", start=checkpoint)
    assert again.exists()


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parents[2] / "training/configs").glob("*.toml")), ids=lambda f: f.stem
)
def test_every_configuration_builds_its_network(file: Path) -> None:
    configuration = read_configuration(file)
    task = make_task(configuration.task, configuration.network, configuration.windows)
    assert sum(p.numel() for p in task.build_network().parameters()) < 4.2e6, "8 MB in fp16 at the most"
