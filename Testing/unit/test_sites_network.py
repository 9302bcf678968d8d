"""The network of the method `sites`: sizes, the integral regression per site, reading at sites, losses."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from VertebraLabelingLib.methods.centre_map import centre_loss, centre_targets  # noqa: E402
from VertebraLabelingLib.methods.intensity import normalise  # noqa: E402
from VertebraLabelingLib.methods.sites.heads.column import ColumnHead  # noqa: E402
from VertebraLabelingLib.methods.sites.heads.integral import integral_regression, neighbourhood  # noqa: E402
from VertebraLabelingLib.methods.sites.heads.level import read_at  # noqa: E402
from VertebraLabelingLib.methods.sites.network import SitesNet  # noqa: E402
from VertebraLabelingLib.methods.sites.settings import SitesSettings  # noqa: E402

SMALL = SitesSettings(window_zyx=(32, 16, 16), widths=(8, 8, 8, 8))


def test_output_grids_and_gradients() -> None:
    network = SitesNet(SMALL)
    output = network(torch.randn(2, 2, 32, 16, 16))
    assert output.centre.shape == output.integral.shape == (2, 16, 8, 8)
    assert output.levels.shape == (2, 26, 8, 4, 4)
    (output.centre.sum() + output.integral.square().sum() + output.levels.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_settings_survive_json() -> None:
    import json

    assert SitesSettings.from_metadata(json.loads(json.dumps(SMALL.to_metadata()))) == SMALL


def test_normalise_maps_each_range_to_one_channel() -> None:
    hu = torch.tensor([-2000.0, -1000.0, 200.0, 1000.0, 3000.0]).reshape(5, 1, 1)
    image = normalise(hu, ((-1000.0, 1000.0), (-100.0, 500.0)))
    assert image.shape == (2, 5, 1, 1)
    torch.testing.assert_close(image[0].flatten(), torch.tensor([-1.0, -1.0, 0.2, 1.0, 1.0]))
    torch.testing.assert_close(image[1].flatten(), torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]))
    assert normalise(hu[None], ((0.0, 1.0),)).shape == (1, 1, 5, 1, 1)


@pytest.mark.parametrize("offset", [(0.0, 0.0, 0.0), (1.3, -1.0, 0.4), (-1.9, 1.9, 1.2)])
def test_expectation_of_a_gaussian_is_its_centre(offset: tuple[float, float, float]) -> None:
    seed, spacing = torch.tensor([[7, 8, 6]]), 4.0
    centre = (seed[0] + 0.5) * spacing + torch.tensor(offset)
    logits = centre_targets(centre[None], torch.tensor([3.0]), (16, 16, 16), spacing).clamp(min=1e-30).log().float()
    found = integral_regression(logits, seed, radius_mm=14.0, spacing_mm=spacing)[0]
    assert (found - centre).abs().max() < 0.25


def test_seed_one_voxel_off_finds_the_same_centre() -> None:
    centre = torch.tensor([[31.0, 33.0, 30.0]])
    logits = centre_targets(centre, torch.tensor([3.0]), (16, 16, 16), 4.0).clamp(min=1e-30).log().float()
    seeds = torch.tensor([[7, 8, 7], [8, 8, 7], [7, 7, 8]])
    found = integral_regression(logits, seeds, 14.0, 4.0)
    assert (found - centre).norm(dim=1).max() < 1.0


def test_expectation_stays_inside_the_map_at_its_corner() -> None:
    found = integral_regression(torch.zeros(6, 6, 6), torch.tensor([[0, 0, 5]]), 8.0, 4.0)[0]
    assert (found[:2] > 0).all() and found[2] < 24.0
    # flat logits: the mean of the part of the ball that is inside
    inside = neighbourhood(8.0, 4.0) + torch.tensor([0, 0, 5])
    inside = inside[((inside >= 0) & (inside < 6)).all(1)]
    torch.testing.assert_close(found, ((inside + 0.5) * 4.0).mean(0))


def test_expectation_can_be_differentiated() -> None:
    logits = torch.randn(6, 6, 6, dtype=torch.float32, requires_grad=True)
    integral_regression(logits, torch.tensor([[3, 3, 3]]), 6.0, 4.0).sum().backward()
    assert logits.grad is not None and logits.grad.abs().sum() > 0


def test_reading_a_linear_map_is_exact() -> None:
    z = ((torch.arange(8) + 0.5) * 8.0)[:, None, None].expand(8, 6, 4)
    x = ((torch.arange(4) + 0.5) * 8.0).expand(8, 6, 4)
    positions = torch.tensor([[20.0, 16.0, 9.5], [33.3, 30.0, 20.0]])
    read = read_at(torch.stack([z, x]), positions, torch.tensor([64.0, 48.0, 32.0]))
    torch.testing.assert_close(read, positions[:, [0, 2]])


def test_centre_loss_prefers_the_truth_and_ignores_weight_zero() -> None:
    target = centre_targets(torch.tensor([[20.0, 20.0, 20.0]]), torch.tensor([5.0]), (10, 10, 10), 4.0).float()
    right = torch.logit(target.clamp(0.01, 0.99))
    wrong = right.roll(4, 0)
    ones = torch.ones_like(target)
    assert centre_loss(right, target, ones, 1) < 0.1 * centre_loss(wrong, target, ones, 1)
    assert centre_loss(wrong, target, torch.zeros_like(target), 1) == 0


def test_the_column_head_begins_as_the_identity_and_hears_the_other_sites() -> None:
    torch.manual_seed(0)
    head = ColumnHead(26, hidden=4)
    logits, positions = torch.randn(5, 26), torch.arange(5.0)[:, None] * torch.tensor([-30.0, 0.0, 0.0])
    torch.testing.assert_close(head(logits, positions), logits, rtol=0, atol=0)
    torch.nn.init.normal_(head.correction.weight)
    changed = logits.clone()
    changed[4] = 0
    assert (head(changed, positions)[0] != head(logits, positions)[0]).any(), "the first site does not hear the last"
    assert head(logits[:0], positions[:0]).shape == (0, 26)


def test_weights_with_a_column_head_fit_a_network_with_one_and_shipped_ones_have_none() -> None:
    settings = SitesSettings(window_zyx=(32, 16, 16), widths=(8, 8, 8, 8), column_head=True)
    first, second = SitesNet(settings), SitesNet(settings)
    second.load_state_dict(first.state_dict())
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, rtol=0, atol=0)
    assert not any(name.startswith("column_head.") for name in SitesNet(SMALL).state_dict())
