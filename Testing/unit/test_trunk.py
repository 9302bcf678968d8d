"""The residual hourglass: sizes, gradients, and that mirroring commutes with the halving of the grid."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from VertebraLabelingLib.methods.trunk import Decoder, Encoder, Residual, halving  # noqa: E402

WIDTHS = (8, 16, 24, 32)


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_features_have_the_documented_sizes(stem_stride: int) -> None:
    features = Encoder(2, WIDTHS, stem_stride)(torch.zeros(1, 2, 32, 16, 48))
    full = [n // stem_stride for n in (32, 16, 48)]
    assert [tuple(f.shape) for f in features] == [(1, w, *(n // 2**i for n in full)) for i, w in enumerate(WIDTHS)]
    quarter, half, finest = Decoder(WIDTHS)(features)
    assert (quarter.shape[1], half.shape[1], finest.shape[1]) == (24, 16, 8)
    assert finest.shape[2:] == features[0].shape[2:]


def test_encoder_has_six_and_decoder_three_residual_modules() -> None:
    def count(network: torch.nn.Module) -> int:
        return sum(isinstance(module, Residual) for module in network.modules())

    assert (count(Encoder(1, WIDTHS)), count(Decoder(WIDTHS))) == (6, 3)


def test_every_parameter_gets_a_gradient() -> None:
    encoder, decoder = Encoder(1, WIDTHS), Decoder(WIDTHS)
    decoder(encoder(torch.randn(1, 1, 16, 16, 16)))[-1].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for m in (encoder, decoder) for p in m.parameters())


def test_halving_keeps_cells_aligned_under_mirroring() -> None:
    layer = halving(1, 1)
    with torch.no_grad():
        layer.weight.copy_(layer.weight + layer.weight.flip(-1))
    x = torch.randn(1, 1, 8, 8, 8)
    torch.testing.assert_close(layer(x.flip(-1)), layer(x).flip(-1))
