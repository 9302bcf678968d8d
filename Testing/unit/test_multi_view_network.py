"""The network of the multi-view method: grids, sizes, what is read in the squares, its ONNX graph."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from VertebraLabelingLib.engines.network import load_network  # noqa: E402
from VertebraLabelingLib.engines.weights import find_model, load_weights, register_model, save_weights  # noqa: E402
from VertebraLabelingLib.methods.multi_view.network import (  # noqa: E402
    LEVELS,
    MultiViewNet,
    read_squares,
    square_probabilities,
)
from VertebraLabelingLib.methods.multi_view.settings import MultiViewSettings  # noqa: E402

SMALL = MultiViewSettings(window_zyx=(32, 16, 16), image_hw=(32, 24), widths=(8, 16, 16))


def test_heat_is_on_the_grid_of_the_image_and_levels_on_one_half_as_fine():
    output = MultiViewNet(SMALL)(torch.randn(3, 2, 32, 24))
    assert output.heat.shape == (3, 32, 24) and output.levels.shape == (3, LEVELS, 16, 12)


def test_the_network_as_trained_fits_into_eight_megabytes():
    settings = MultiViewSettings()
    assert sum(p.numel() for p in MultiViewNet(settings).parameters()) * 2 < 8e6
    assert all(n % 2 ** len(settings.widths) == 0 for n in settings.image_hw)


def test_every_weight_gets_a_gradient_and_the_map_starts_near_the_background():
    torch.manual_seed(0)
    network = MultiViewNet(SMALL)
    output = network(torch.randn(2, 2, 32, 24))
    assert bool(output.heat.sigmoid().mean() < 0.2)
    (output.heat.square().mean() + output.levels.square().mean()).backward()
    assert all(bool(p.grad.abs().sum() > 0) for p in network.parameters())


def test_other_image_sizes_run_too_and_a_view_knows_nothing_of_the_others_in_its_batch():
    torch.manual_seed(0)
    network, images = MultiViewNet(SMALL).eval(), torch.randn(2, 2, 48, 40)
    both, first = network(images), network(images[:1])
    assert both.heat.shape == (2, 48, 40)
    torch.testing.assert_close(both.levels[:1], first.levels, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("change", [{"image_hw": (36, 24)}, {"widths": (8, 12, 16)}])
def test_sizes_that_do_not_fit_are_explained(change: dict):
    with pytest.raises(ValueError, match="multiples"):
        MultiViewNet(replace(SMALL, **change))


def test_squares_are_read_where_the_map_has_them():
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(12.0), indexing="ij")
    levels = torch.stack([2 * rows + 0.5, 2 * columns + 0.5])[None]  # pixels of the image in the middle of the cells
    centres = torch.tensor([[[10.0, 8.25], [20.5, 14.0]]])
    read = read_squares(levels, centres, SMALL)
    assert read.shape == (1, 2, 2, 9)
    torch.testing.assert_close(read.mean(-1), centres)
    third = SMALL.square_mm / SMALL.pixel_mm / 3
    torch.testing.assert_close(read[0, 0, 0].unique().diff(), torch.full((2,), third), rtol=1e-3, atol=1e-3)


def test_probabilities_of_a_square_add_up_and_follow_the_map():
    levels = torch.zeros(1, LEVELS, 16, 12)
    levels[:, 5, :8], levels[:, 6, 8:] = 9.0, 9.0
    found = square_probabilities(levels, torch.tensor([[[6.0, 12.0], [26.0, 12.0]]]), SMALL)
    torch.testing.assert_close(found.sum(-1), torch.ones(1, 2))
    assert found.argmax(-1).tolist() == [[5, 6]] and float(found.amax()) > 0.95


@pytest.mark.slow
def test_the_onnx_graph_of_a_network_of_projections_gives_the_same_numbers(tmp_path, monkeypatch):
    onnx_network = pytest.importorskip("VertebraLabelingLib.engines.onnx_network")
    pytest.importorskip("onnxscript")
    from training.onnx_export import graph_of

    torch.manual_seed(1)
    network, metadata = MultiViewNet(SMALL), {"model": "multi-view", "network": SMALL.to_metadata()}
    save_weights(tmp_path / "own.npz", network.state_dict(), metadata)
    register_model(tmp_path / "own.npz", tmp_path, graph_of(MultiViewNet(SMALL), SMALL.to_metadata()))
    monkeypatch.setattr(onnx_network, "find_model", partial(find_model, folder=tmp_path))
    weights, image = load_weights(tmp_path / "own.npz"), np.random.default_rng(0).normal(size=(1, 2, 32, 24))
    by_torch, by_onnx = (
        load_network(weights, lambda settings: MultiViewNet(MultiViewSettings.from_metadata(settings)), engine)(
            image.astype(np.float32)
        )
        for engine in ("torch", "onnx")
    )
    assert by_torch.keys() == by_onnx.keys() == {"heat", "levels"}
    for name, expected in by_torch.items():
        np.testing.assert_allclose(by_onnx[name], expected, atol=1e-4)
