"""Screws, rods and streaks: where they are and where not."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.implants import METAL_HU, with_implants  # noqa: E402

POINTS = np.array([[30.0 + 30 * n, 60.0, 56.0] for n in range(4)])[::-1]


def test_metal_lies_behind_the_bodies_and_streaks_only_in_its_slices() -> None:
    hu = torch.zeros(80, 64, 56)
    drawn = with_implants(hu, POINTS, 2.0, np.random.default_rng(3))
    metal = (drawn == METAL_HU).nonzero().numpy()
    assert len(metal) > 100
    assert (metal[:, 1] + 0.5).min() * 2 > 60 - 4 - 2 * 3.4
    touched = (drawn != 0).any(2).any(1)
    assert set(np.flatnonzero(touched.numpy())) == set(metal[:, 0])
    assert not touched.all()


def test_a_lone_body_gets_no_implant() -> None:
    hu = torch.zeros(40, 64, 56)
    assert with_implants(hu, POINTS[:1], 2.0, np.random.default_rng(0)) is hu
    assert with_implants(hu, np.empty((0, 3)), 2.0, np.random.default_rng(0)) is hu
