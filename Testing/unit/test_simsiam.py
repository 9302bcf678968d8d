"""Pre-training: the loss of SimSiam, its stopped gradient, the changed views, and what it is good for."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from training.simsiam import EMBEDDED, SimSiam, augmented, embedding_spread, pairs_loss  # noqa: E402


def test_the_loss_is_that_of_all_pairs_of_different_views_of_the_same_thing():
    torch.manual_seed(0)
    predictions, projections = torch.randn(3, 4, 8), torch.randn(3, 4, 8)
    pairs = [
        F.cosine_similarity(predictions[n, i], projections[n, j], dim=0)
        for n in range(3) for i in range(4) for j in range(4) if i != j
    ]  # fmt: skip
    torch.testing.assert_close(pairs_loss(predictions, projections), -torch.stack(pairs).mean())
    same = torch.randn(2, 1, 8).expand(2, 3, 8)
    assert float(pairs_loss(3 * same, same)) == pytest.approx(-1)


def test_the_gradient_stops_at_the_projections():
    predictions, projections = torch.randn(2, 2, 8, requires_grad=True), torch.randn(2, 2, 8, requires_grad=True)
    pairs_loss(predictions, projections).backward()
    assert bool(predictions.grad.abs().sum() > 0) and projections.grad is None


def test_the_spread_tells_a_collapse():
    torch.manual_seed(0)
    assert float(embedding_spread(torch.randn(64, 2, 256))) == pytest.approx(1, abs=0.05)
    assert float(embedding_spread(torch.ones(4, 2, 16) * torch.rand(4, 2, 1))) == pytest.approx(0, abs=1e-6)


def test_views_are_cropped_and_changed_each_in_its_own_way_and_repeatably():
    row = torch.linspace(-1, 1, 32)
    images = (row[:, None] + row).expand(4, 2, 32, 32).contiguous()
    first, again = (augmented(images, np.random.default_rng(3)) for _ in range(2))
    assert first.shape == images.shape and torch.equal(first, again)
    assert len({round(float(image.mean()), 5) for image in first.flatten(0, 1)}) == 8
    inside = torch.stack([image.amax() - image.amin() for image in augmented(images, np.random.default_rng(4))[:, 0]])
    assert bool((inside < 8).all()), "a crop shows nothing that was not there"


class Mean(nn.Module):
    """An encoder of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 8, 4, 4)

    def forward(self, images):
        return [images, self.layer(images)]


def test_views_of_one_thing_come_together_and_things_stay_apart():
    torch.manual_seed(0)
    network = SimSiam(Mean(), 8)
    things = torch.randn(8, 1, 1, 8, 8)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        seen = (things + 0.3 * torch.randn(8, 3, 1, 8, 8)).flatten(0, 1)
        projections, predictions = (values.unflatten(0, (8, 3)) for values in network(seen))
        assert projections.shape == (8, 3, EMBEDDED)
        losses.append(pairs_loss(predictions, projections))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert float(losses[-1].detach()) < float(losses[0].detach()) - 0.3
    assert float(embedding_spread(projections)) > 0.5
    assert all(p.grad is not None for p in network.encoder.parameters())
