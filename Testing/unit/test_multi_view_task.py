"""Training of the multi-view method: targets, what is not known, switches, learning, the encoder that is handed on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")
torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level  # noqa: E402
from VertebraLabelingLib.core.errors import UsageError  # noqa: E402
from VertebraLabelingLib.methods.multi_view.network import square_probabilities  # noqa: E402

from training.cases import Case  # noqa: E402
from training.commands.train import add_parser  # noqa: E402
from training.loop import averaged_weights, load_encoder, train  # noqa: E402
from training.sampling import Window  # noqa: E402
from training.settings import RunSettings  # noqa: E402
from training.tasks import Task, make_task  # noqa: E402
from training.tasks.multi_view import MOST_CENTRES, random_views  # noqa: E402

TINY = {"window_zyx": [48, 24, 24], "image_hw": [48, 32], "widths": [16, 24], "drawn_views": 3}
SHORT = RunSettings(minutes=60, steps=2, batch=2, workers=0)
EXTENT_MM = np.array([96.0, 48.0, 48.0])
MIDDLE_MM = EXTENT_MM / 2


def task_of(name: str = "multi-view", **network) -> Task:
    return make_task(name, {**TINY, **network}, {})


def window(levels=(Level.L1, Level.L2), heights_mm=(12.0, -12.0), beyond=(), visible=(0.0, 96.0)) -> Window:
    """Bright bodies at heights above the middle of a window of soft tissue."""
    points = MIDDLE_MM + np.array([[h, 3.0, -2.0] for h in heights_mm]).reshape(-1, 3)
    grid = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) * 2 for n in (48, 24, 24)], indexing="ij"), axis=-1)
    hu = np.zeros(grid.shape[:3], np.float32)
    for n, point in enumerate(points):
        hu[np.linalg.norm(grid - point, axis=-1) < 8] = 500 + 300 * n
    more = MIDDLE_MM + np.reshape(beyond, (-1, 3))
    return Window(torch.from_numpy(hu), np.array(levels, np.int64), points, more, visible, EXTENT_MM)


def sample_of(seen: Window, **network):
    return task_of(**network).sample(seen, np.random.default_rng(0))


def test_centroids_are_targets_where_the_projection_shows_them():
    values = sample_of(window())
    assert values["image"].shape == (3, 2, 48, 32) and values["heat"].shape == values["weight"].shape == (3, 48, 32)
    assert values["centres"].shape == (3, MOST_CENTRES, 2)
    for view in range(3):
        for row, column in values["centres"][view, :2].round().long().tolist():
            assert values["heat"][view, row, column] > 0.9
            assert values["image"][view, 1, row, column] > values["image"][view, 1].mean(), "bone is seen there"
    assert [row[:3].tolist() for row in values["channels"]] == [[20 - 1, 21 - 1, -1]] * 3
    assert bool(values["consecutive"].all()) and bool((values["weight"] == 1).all())


def test_channels_go_from_cranial_to_caudal_and_gaps_and_supernumerary_levels_are_no_sequence():
    upside_down = sample_of(window((Level.L2, Level.L1), (-12.0, 12.0)))
    assert (upside_down["channels"][:, :2] == torch.tensor([19, 20])).all()
    assert bool((upside_down["centres"][:, 0, 0] < upside_down["centres"][:, 1, 0]).all()), "rows run to the feet"
    thirteen = sample_of(window((Level.T12, Level.T13)))
    assert (thirteen["channels"][:, :2] == REGULAR_LEVELS.index(Level.T12)).all()
    assert not thirteen["consecutive"].any() and not sample_of(window((Level.T10, Level.L1)))["consecutive"].any()


def test_what_may_be_a_vertebra_without_a_label_is_no_background():
    values = sample_of(window((Level.L1,), (12.0,), beyond=[[-30.0, 0.0, 0.0]]))
    rows = (values["weight"] == 0).any(2)
    assert rows.any(1).all() and not rows[:, :24].any(), "only at the unlabelled one, which lies below"
    assert float(values["weight"][values["heat"] > 0.1].min()) == 1
    cut = sample_of(window((Level.L1, Level.L2), (12.0, -12.0), visible=(40.0, 96.0)))
    assert (cut["channels"] >= 0).sum() == 3 and (cut["weight"] == 0).any(), "the one that is cut off is not demanded"


def test_centroids_beside_the_image_are_not_named():
    values = sample_of(window(), image_hw=[16, 32])
    assert (values["channels"] >= 0).sum() == 6
    outside = sample_of(window(heights_mm=(40.0, -12.0)), image_hw=[16, 32])
    assert (outside["channels"] >= 0).sum(1).tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["heat", "level", "sequence"])
def test_each_term_can_be_switched_off(name: str):
    whole, without = (task_of(**{f"{name}_loss": on}) for on in (True, False))
    torch.manual_seed(0)
    network = whole.build_network()
    batch = {key: value[None] for key, value in whole.sample(window(), np.random.default_rng(0)).items()}
    assert whole.loss(network, batch).keys() == {"heat", "level", "sequence", "loss"}
    assert whole.loss(network, batch).keys() - without.loss(network, batch).keys() == {name}
    assert without.metadata() == whole.metadata(), "what was learnt does not change how the network is used"


def test_a_window_without_vertebrae_has_finite_losses_and_gradients():
    task = task_of()
    network = task.build_network()
    losses = task.loss(network, {k: v[None] for k, v in task.sample(window((), ()), np.random.default_rng(0)).items()})
    losses["loss"].backward()
    assert float(losses["level"].detach()) == float(losses["sequence"].detach()) == 0
    assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters() if p.grad is not None)


def test_one_window_is_learnt_in_a_few_steps():
    torch.manual_seed(0)
    task = task_of(widths=[8, 16], drawn_views=2)
    network = task.build_network()
    values = task.sample(window((Level.T12, Level.L1, Level.L2), (24.0, 0.0, -24.0)), np.random.default_rng(0))
    batch = {key: value[None] for key, value in values.items()}
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    history = []
    for _ in range(40):
        losses = task.loss(network, batch)
        optimiser.zero_grad()
        losses["loss"].backward()
        optimiser.step()
        history.append({key: float(value.detach()) for key, value in losses.items()})
    assert all(history[-1][key] < 0.3 * history[0][key] for key in ("heat", "level", "sequence"))
    output = network(values["image"])
    found = square_probabilities(output.levels, values["centres"][:, :3], task.settings).argmax(-1)
    assert (found == values["channels"][:, :3]).all()
    for heat, centres in zip(output.heat, values["centres"][:, :3].round().long(), strict=True):
        assert bool((heat[centres[:, 0], centres[:, 1]] > heat.mean() + 2 * heat.std()).all())


def test_views_are_spread_over_the_circle_at_random():
    rng = np.random.default_rng(0)
    first, second = (random_views(task_of().settings, 5, rng).angles_rad for _ in range(2))
    for angles in (first, second):
        assert (np.floor(angles / (2 * np.pi / 5)) == np.arange(5)).all()
    assert not np.allclose(first, second)


def a_case(folder: Path) -> Case:
    seen = window((Level.T12, Level.L1, Level.L2), (24.0, 0.0, -24.0))
    np.save(folder / "case.2mm.npy", seen.hu.numpy().astype(np.int16))
    return Case("case", "train", folder, np.zeros(3), seen.levels, seen.points_mm, 1.0)


def test_the_encoder_of_a_pre_training_starts_the_network(tmp_path: Path):
    pretrained = train(task_of("multi-view-pretraining"), [a_case(tmp_path)], SHORT, tmp_path / "pre")
    encoder = {k: v for k, v in averaged_weights(pretrained).items() if k.startswith("encoder.")}
    network = task_of().build_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_encoder(network, pretrained)
    after = network.state_dict()
    assert encoder.keys() == {name for name in after if name.startswith("encoder.")}
    assert all(torch.equal(after[name], encoder.get(name, before[name])) for name in after)

    still = replace(SHORT, steps=1, rate=1e-12)
    last = train(task_of(), [a_case(tmp_path)], still, tmp_path / "run", start_encoder=pretrained)
    for name, value in encoder.items():
        torch.testing.assert_close(averaged_weights(last)[name], value)


def test_an_encoder_that_does_not_fit_is_explained(tmp_path: Path):
    pretrained = train(task_of("multi-view-pretraining"), [a_case(tmp_path)], SHORT, tmp_path / "pre")
    with pytest.raises(UsageError, match="encoder of this configuration is another one"):
        load_encoder(task_of(widths=[8, 24]).build_network(), pretrained)
    with pytest.raises(UsageError, match="encoder of this configuration is another one"):
        load_encoder(torch.nn.Linear(2, 2), pretrained)


def test_the_command_takes_one_origin_of_the_weights_only():
    import argparse

    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["train", "a.toml", "--output", "b", "--start-encoder", "c.ckpt"])
    assert args.start_encoder == Path("c.ckpt") and args.start is None
    with pytest.raises(SystemExit):
        parser.parse_args(["train", "a.toml", "--output", "b", "--start-encoder", "c.ckpt", "--resume"])


def test_pre_training_needs_two_views_and_knows_no_other_settings():
    with pytest.raises(UsageError, match="at least 2"):
        task_of("multi-view-pretraining", drawn_views=1)
    with pytest.raises(UsageError, match="do not fit"):
        task_of(no_such_thing=3)
