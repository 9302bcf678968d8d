"""Training of the local refinement: what is meant in a window, what is not known, what the sample says of it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from VertebraLabelingLib.methods.displacement.votes import fuse_votes  # noqa: E402

from training.sampling import Window  # noqa: E402
from training.tasks.refinement import RefinementTask, is_unknown, meant_point  # noqa: E402

MIDDLE = np.full(3, 32.0)


def window(*points: list[float], beyond: list[list[float]] | None = None, visible=(0.0, 64.0)) -> Window:
    """A window of 64 mm with centroids at `points` mm from its middle."""
    offsets, more = np.reshape(points, (-1, 3)), np.reshape(beyond or [], (-1, 3))
    levels = np.arange(len(offsets))
    return Window(torch.zeros(32, 32, 32), levels, MIDDLE + offsets, MIDDLE + more, visible, np.full(3, 64.0))


def sample(seen: Window):
    return RefinementTask({}, {}).sample(seen, np.random.default_rng(0))


def test_the_nearest_centroid_is_meant_and_the_targets_vote_for_it():
    seen = window([20.0, 0, 0], [-5.0, 3.0, 1.0], [-26.0, 0, 0])
    np.testing.assert_allclose(meant_point(seen), [27.0, 35.0, 33.0])
    values = sample(seen)
    voted = fuse_votes(values["displacements"].numpy().astype(float), values["presence"].numpy(), 8.0)
    np.testing.assert_allclose(voted.positions_mm, [[27.0, 35.0, 33.0]], atol=1e-5)
    assert values["image"].shape == (3, 32, 32, 32) and values["presence"].shape == (1, 8, 8, 8)


@pytest.mark.parametrize("seen", [window(), window([20.0, 0, 0])], ids=["no vertebra", "none in the middle"])
def test_where_none_is_meant_it_is_present_nowhere(seen):
    values = sample(seen)
    assert not is_unknown(seen) and (values["presence"] == 0).all() and values["displacements"].isnan().all()


@pytest.mark.parametrize(
    "seen",
    [window([30.0, 0, 0], beyond=[[3.0, 0, 0]]), window([-10.0, 0, 0], visible=(24.0, 64.0))],
    ids=["an unlabelled vertebra", "cut off"],
)
def test_what_is_not_known_does_not_count(seen):
    assert np.isnan(meant_point(seen)).all() and sample(seen)["presence"].isnan().all()


def test_the_image_says_where_the_middle_is():
    hint = sample(window())["image"][-1]
    assert hint.max() == hint[15:17, 15:17, 15:17].min() and hint[0, 15, 15] < 0.05
    torch.testing.assert_close(hint, hint.flip(-1))


def test_losses_reach_all_weights():
    task = RefinementTask({"window_zyx": [16, 16, 16], "widths": [8, 8], "blocks": 1}, {})
    seen = Window(
        torch.randn(16, 16, 16), np.array([3]), np.full((1, 3), 17.0), np.empty((0, 3)), (0.0, 32.0), np.full(3, 32.0)
    )
    values = {name: value[None] for name, value in task.sample(seen, np.random.default_rng(0)).items()}
    network = task.build_network()
    task.loss(network, values)["loss"].backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in network.parameters())
    assert all(bool(p.grad.abs().sum() > 0) for name, p in network.named_parameters() if "weight" in name)
