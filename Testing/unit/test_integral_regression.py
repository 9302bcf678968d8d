from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level  # noqa: E402
from VertebraLabelingLib.core.errors import CancelledError, ModelError, NothingFoundError  # noqa: E402
from VertebraLabelingLib.core.geometry import Geometry  # noqa: E402
from VertebraLabelingLib.core.progress import silent  # noqa: E402
from VertebraLabelingLib.core.scan import Scan  # noqa: E402
from VertebraLabelingLib.engines.network import TorchNetwork, load_network  # noqa: E402
from VertebraLabelingLib.methods.integral_regression.method import (  # noqa: E402
    CONFIGURATIONS,
    IntegralRegression,
    build_network,
)
from VertebraLabelingLib.methods.integral_regression.network import (  # noqa: E402
    IntegralOutput,
    IntegralRegressionNet,
    integral,
    presence_loss,
    regression_loss,
    total_loss,
)
from VertebraLabelingLib.methods.integral_regression.settings import IntegralSettings, normaliser, paper  # noqa: E402

from training.sampling import Window  # noqa: E402
from training.tasks.integral_regression import IntegralRegressionTask  # noqa: E402

torch.set_num_threads(1)
# 8 channels per residual bottleneck: with one per group, GroupNorm would swallow the biases and their gradients
TINY = IntegralSettings(4.0, (24, 16, 16), (16, 16, 16, 16), 4)
TASK = IntegralRegressionTask(TINY.to_metadata(), {})


@pytest.fixture
def tiny_network() -> IntegralRegressionNet:
    torch.manual_seed(0)
    return IntegralRegressionNet(TINY)


def grid_of(shape):
    return torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in shape], indexing="ij")


def gaussian(shape, centre, sd):
    squared = sum((axis - c) ** 2 for axis, c in zip(grid_of(shape), centre, strict=True))
    blob = torch.exp(-squared / (2 * sd**2))
    return blob / blob.sum()


# --- the integral alone


@pytest.mark.parametrize("centre", [(20.0, 15.5, 15.5), (10.25, 21.5, 11.0), (31.4, 9.0, 22.7)])
def test_integral_finds_a_gaussian_wherever_it_is(centre):
    found = integral(gaussian((41, 32, 32), centre, 2.0).log()[None, None])
    torch.testing.assert_close(found[0, 0], torch.tensor(centre), atol=1e-3, rtol=0)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_background_mass_pulls_to_the_window_centre_by_exactly_its_share(share):
    shape, target = (40, 32, 32), torch.tensor([8.0, 22.0, 16.5])
    mass = (1 - share) * gaussian(shape, target, 1.5) + share / math.prod(shape)
    expected = (1 - share) * target + share * (torch.tensor(shape) - 1) / 2
    torch.testing.assert_close(integral(mass.log()[None, None])[0, 0], expected, atol=2e-3, rtol=0)


def test_near_the_border_half_a_gaussian_is_read_0_8_sd_inside():
    sd = 4.0
    z = integral(gaussian((64, 8, 8), (-0.5, 3.5, 3.5), sd).log()[None, None])[0, 0, 0]
    assert z.item() + 0.5 == pytest.approx(sd * math.sqrt(2 / math.pi), rel=0.01)


def test_a_linear_logit_gives_the_mean_of_the_geometric_distribution():
    n, r = 12, math.exp(-0.7)
    logits = torch.linspace(0, -0.7 * (n - 1), n)[None, None, :, None, None].expand(1, 1, n, 3, 3)
    assert integral(logits)[0, 0, 0].item() == pytest.approx(r / (1 - r) - n * r**n / (1 - r**n), abs=1e-5)


@pytest.mark.parametrize(("height", "bias"), [(8, 30.9), (12, 4.8), (16, 0.17), (20, 0.0047)])
def test_bias_falls_with_the_height_of_the_peak_as_documented(height, bias):
    z, y, x = grid_of((104, 80, 80))
    blob = torch.exp(-((z - 12) ** 2 + (y - 39.5) ** 2 + (x - 39.5) ** 2) / (2 * 4.0**2))
    found = integral((height * blob)[None, None])[0, 0]
    assert found[0].item() - 12 == pytest.approx(bias, rel=0.05)
    assert found[1].item() == pytest.approx(39.5, abs=0.05)


def test_integral_stays_in_fp32_under_autocast():
    logits = gaussian((40, 32, 32), (8.3, 20.1, 5.7), 2.0).log()[None, None].float()
    with torch.autocast("cpu", torch.bfloat16):
        found = integral(logits)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, integral(logits))


# --- the network


def test_the_paper_preset_has_the_size_of_the_fact_sheet():
    network = IntegralRegressionNet(paper())
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(2.82e6, rel=2e-3)
    assert sum(p.numel() for p in network.classification.lstm.parameters()) == pytest.approx(1.74e6, rel=2e-3)
    assert (network.classification.lstm.input_size, network.classification.fully_connected.in_features) == (800, 3328)


def test_the_paper_preset_has_the_shapes_of_the_fact_sheet():
    with torch.device("meta"):
        network = IntegralRegressionNet(paper())
        features = network.encoder(torch.empty(1, 1, 104, 80, 80))
        maps = network.localisation(features)
    shapes = [tuple(f.shape[1:]) for f in features]
    assert shapes == [(32, 104, 80, 80), (64, 52, 40, 40), (128, 26, 20, 20), (128, 13, 10, 10)]
    assert maps.shape == (1, 26, 104, 80, 80)


def test_outputs_are_a_presence_and_a_point_inside_the_window_per_level(tiny_network):
    presence, coordinates = tiny_network(torch.randn(2, 1, *TINY.window_zyx))
    assert presence.shape == (2, 26) and coordinates.shape == (2, 26, 3)
    assert (coordinates >= 0).all() and (coordinates <= torch.tensor(TINY.window_zyx) - 1).all()


def test_the_logits_of_the_maps_are_neither_normalised_nor_rectified(tiny_network):
    tiny_network.localisation.maps.weight.data *= 100
    maps = tiny_network.localisation(tiny_network.encoder(torch.randn(1, 1, *TINY.window_zyx)))
    assert maps.min() < -10 and maps.max() > 10


def test_gradients_flow_to_every_parameter(tiny_network):
    batch = batch_of(2)
    TASK.loss(tiny_network, batch)["loss"].backward()
    without = [n for n, p in tiny_network.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-9]
    assert without == []


def test_a_few_steps_learn_one_window(tiny_network):
    batch = batch_of(1)
    optimiser = torch.optim.AdamW(tiny_network.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss = TASK.loss(tiny_network, batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_settings_survive_json_and_rebuild_the_network(tiny_network):
    import json

    settings = IntegralSettings.from_metadata(json.loads(json.dumps(TINY.to_metadata())))
    assert settings == TINY
    IntegralRegressionNet(settings).load_state_dict(tiny_network.state_dict())


def test_a_window_that_does_not_divide_by_8_is_refused():
    with pytest.raises(ValueError, match="multiple of 8"):
        IntegralRegressionNet(replace(TINY, window_zyx=(20, 16, 16)))


def test_both_normalisations():
    image = torch.tensor([-1000.0, 0.0, 1000.0, 3000.0])[:, None, None]
    z_score = normaliser(image, paper())(image[:2])
    torch.testing.assert_close(z_score, ((image - image.mean()) / image.std())[None, :2])
    fixed = normaliser(image, IntegralSettings())(image)
    torch.testing.assert_close(fixed.flatten(), torch.tensor([-1.0, 0.0, 1.0, 1.0]))


@pytest.mark.parametrize("settings", [paper(), IntegralSettings()])
def test_arrays_are_normalised_as_the_tensors_of_the_training(settings):
    image = np.random.default_rng(0).normal(0, 400, (40, 40, 40)).astype(np.float32)
    windows = np.stack([image[:16, :16, :16], image[8:24, :16, :16]])
    learnt = torch.stack([normaliser(torch.tensor(image), settings)(torch.tensor(w)) for w in windows])
    network_input = normaliser(image, settings)(windows)
    assert network_input.dtype == np.float32
    np.testing.assert_allclose(network_input, learnt, atol=1e-4)


# --- the losses


def batch_of(size: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    present = torch.zeros(size, 26, dtype=torch.bool)
    present[:, 5:12] = True
    return {
        "image": torch.randn(size, 1, *TINY.window_zyx, generator=generator),
        "coordinates": torch.rand(size, 26, 3, generator=generator) * 15,
        "present": present,
        "known": torch.ones(size, 26, dtype=torch.bool),
    }


def test_presence_loss_is_equation_1():
    p = torch.tensor([[0.9, 0.2, 0.5], [0.1, 0.6, 0.3]], dtype=torch.float64)
    present = torch.tensor([[True, False, True], [False, True, False]])
    known = torch.ones_like(present)
    by_hand = -(
        2 * math.log(0.9) + math.log(0.8) + 2 * math.log(0.5) + math.log(0.9) + 2 * math.log(0.6) + math.log(0.7)
    )
    assert presence_loss(p.logit(), present, known, 2.0).item() == pytest.approx(by_hand / 2)


def test_unknown_levels_do_not_count():
    logits = torch.tensor([[0.0, 50.0]])
    present, known = torch.tensor([[True, False]]), torch.tensor([[True, False]])
    assert presence_loss(logits, present, known, 3.0).item() == pytest.approx(3 * math.log(2), rel=1e-6)


def test_regression_loss_is_smooth_l1_in_voxels_of_the_present_levels():
    coordinates = torch.tensor([[[10.0, 10, 10], [5, 5, 5]]], requires_grad=True)
    target = torch.tensor([[[10.5, 13.0, 10.0], [math.nan] * 3]])
    loss = regression_loss(coordinates, target, torch.tensor([[True, False]]))
    assert loss.item() == pytest.approx(0.5 * 0.5**2 + (3 - 0.5))
    loss.backward()
    torch.testing.assert_close(coordinates.grad, torch.tensor([[[-0.5, -1.0, 0.0], [0, 0, 0]]]))


def test_total_loss_is_equation_4():
    assert total_loss(torch.tensor(2.0), torch.tensor(5.0)).item() == pytest.approx(2 + 0.4 * 5)


def test_the_task_names_its_parts(tiny_network):
    parts = TASK.loss(tiny_network, batch_of(2))
    assert parts["loss"].item() == pytest.approx((parts["presence"] + 0.4 * parts["regression"]).item())


def test_a_sample_has_voxel_indices_and_ignores_what_nobody_knows():
    levels = np.array([Level.T11, Level.T12, Level.T13, Level.L1, Level.L2])
    z = np.array([90.0, 70.0, 60.0, 50.0, 21.0])
    points = np.stack([z, np.full(5, 30.0), np.full(5, 34.0)], axis=1)
    extent = np.array([96.0, 64.0, 64.0])
    window = Window(torch.zeros(TINY.window_zyx), levels, points, np.empty((0, 3)), (20.0, 80.0), extent)
    sample = TASK.sample(window, np.random.default_rng(0))
    names = np.array([level.name for level in REGULAR_LEVELS])
    assert sample["image"].shape == (1, *TINY.window_zyx)
    assert names[sample["present"]].tolist() == ["T12", "L1", "L2"]
    assert names[~sample["known"]].tolist() == ["T8", "T9", "T10", "L2", "L3", "L4", "L5"]
    t12 = sample["coordinates"][REGULAR_LEVELS.index(Level.T12)]
    torch.testing.assert_close(t12, torch.tensor([70 / 4 - 0.5, 30 / 4 - 0.5, 34 / 4 - 0.5]))


# --- the method


class SeesBrightVoxel(torch.nn.Module):
    """Fake network: T9 is at the brightest voxel of the window, if that is bright enough."""

    settings = replace(TINY, hu_range=(-1.0, 1.0))

    def forward(self, image):
        logits = torch.full((len(image), 26), -6.0)
        brightest = image.flatten(1).argmax(1)
        logits[:, REGULAR_LEVELS.index(Level.T9)] = torch.where(image.flatten(1).amax(1) > 0, 3.0, -6.0)
        z, y, x = torch.unravel_index(brightest, image.shape[2:])
        return IntegralOutput(logits, torch.stack([z, y, x], -1).float()[:, None].expand(-1, 26, 3))


def method_with(curve, config="default"):
    return IntegralRegression(TorchNetwork(SeesBrightVoxel()), SeesBrightVoxel.settings, curve, CONFIGURATIONS[config])


def scan_with_bright_voxel() -> tuple[Scan, np.ndarray]:
    hu = np.full((60, 20, 30), -500, np.float32)
    hu[31, 11, 17] = 900
    geometry = Geometry(hu.shape, (4.0, 4.0, 4.0), (-10.0, 5.0, 100.0))
    return Scan(hu, geometry), geometry.lps_from_index_zyx(np.array([31, 11, 17]))


def spine_of(scan: Scan) -> np.ndarray:
    z = np.linspace(0, 59, 40)
    return scan.geometry.lps_from_index_zyx(np.stack([z, np.full(40, 10), np.full(40, 16)], axis=1))


@pytest.mark.parametrize("config", ["default", "paper"])
def test_the_method_brings_window_votes_back_to_the_patient(config):
    scan, position = scan_with_bright_voxel()
    evidence = method_with(spine_of, config).find(scan, silent)
    np.testing.assert_allclose(evidence.positions_lps_mm, position[None], atol=1e-6)
    assert evidence.level_log_probs.argmax(axis=1).tolist() == [Level.T9]
    assert evidence.scores[0] == pytest.approx(1 / (1 + math.exp(-3)))


def test_a_finer_scan_is_brought_to_the_grid_of_the_network():
    scan, position = scan_with_bright_voxel()
    fine = np.repeat(np.repeat(np.repeat(scan.hu, 2, 0), 2, 1), 2, 2)
    geometry = Geometry(fine.shape, (2.0, 2.0, 2.0), (-11.0, 4.0, 99.0))
    evidence = method_with(lambda _: spine_of(scan)).find(Scan(fine, geometry), silent)
    np.testing.assert_allclose(evidence.positions_lps_mm, position[None], atol=1e-6)


def test_no_level_above_the_threshold_is_nothing_found():
    scan, _ = scan_with_bright_voxel()
    empty = Scan(np.full_like(scan.hu, -500), scan.geometry)
    with pytest.raises(NothingFoundError):
        method_with(spine_of).find(empty, silent)


def test_progress_rises_and_can_cancel_between_windows():
    scan, _ = scan_with_bright_voxel()
    fractions = []

    def stop_half_way(stage, fraction):
        fractions.append(fraction)
        if fraction > 0.4:
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        method_with(spine_of).find(scan, stop_half_way)
    assert fractions[0] == 0 and fractions == sorted(fractions) and len(fractions) > 1 and fractions[-1] < 1


def weights_with(network_metadata, state_dict):
    arrays = {name: tensor.numpy() for name, tensor in state_dict.items()}
    return SimpleNamespace(path="w.npz", metadata={"network": network_metadata}, arrays=arrays)


def test_weights_rebuild_their_network_and_foreign_ones_are_a_model_error(tiny_network):
    state = tiny_network.state_dict()
    image = torch.randn(1, 1, *TINY.window_zyx)
    rebuilt = load_network(weights_with(TINY.to_metadata(), state), build_network)(image.numpy())
    expected = tiny_network.eval()(image)
    np.testing.assert_allclose(rebuilt["coordinates"], expected.coordinates.detach(), atol=1e-5)
    np.testing.assert_allclose(rebuilt["presence"], expected.presence.detach(), atol=1e-5)
    for metadata in (IntegralSettings().to_metadata(), {"widths": [1, 2, 3, 4]}):
        with pytest.raises(ModelError, match="do not fit"):
            load_network(weights_with(metadata, state), build_network)
