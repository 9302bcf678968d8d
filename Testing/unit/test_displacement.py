"""Landmarks by displacement: votes, targets and the network, in 2-D and 3-D; what it learns: see the landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from VertebraLabelingLib.methods.displacement.settings import DisplacementSettings
from VertebraLabelingLib.methods.displacement.votes import cell_centres_mm, fuse_votes

torch = pytest.importorskip("torch")

from VertebraLabelingLib.methods.displacement.network import DisplacementNet  # noqa: E402

from training.displacement import displacement_loss, displacement_targets  # noqa: E402

LANDMARKS = {2: np.array([[13.0, 30.5], [3.2, 7.9], [28.0, 16.0]]), 3: np.array([[13.0, 30.5, 9.0], [3.2, 7.9, 27.0]])}
CELLS = {2: (8, 9), 3: (8, 9, 7)}


# --- votes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("reach", [0.5, 1.5])
def test_true_answers_vote_for_the_true_positions(dimensions, reach):
    points = LANDMARKS[dimensions]
    displacements, present = displacement_targets(points, CELLS[dimensions], 4.0, reach)
    voted = fuse_votes(displacements, present.astype(float), 4.0)
    np.testing.assert_allclose(voted.positions_mm, points, atol=1e-9)
    np.testing.assert_allclose(voted.spreads_mm, 0, atol=1e-9)
    np.testing.assert_array_equal(voted.presences, 1)


def test_the_vote_is_the_mean_weighted_with_presence():
    displacements = np.zeros((1, 2, 1, 2))
    displacements[0, :, 0, 1] = [3.0, 0.0]
    voted = fuse_votes(displacements, np.array([[[0.25, 0.75]]]), 2.0)
    # votes (1, 1) and (1 + 3, 3), a quarter and three quarters; distances 3 and 1 quarters of hypot(3, 2)
    np.testing.assert_allclose(voted.positions_mm, [[1 + 0.75 * 3, 1 + 0.75 * 2]])
    np.testing.assert_allclose(voted.spreads_mm, np.hypot(3, 2) * np.sqrt(0.25 * 0.75**2 + 0.75 * 0.25**2))
    np.testing.assert_allclose(voted.presences, [0.75])


def test_patches_that_hardly_see_the_landmark_can_be_left_out():
    displacements, present = displacement_targets(LANDMARKS[2], CELLS[2], 4.0, 0.5)
    displacements[:, :, ~present.any(0)] += 50.0
    presences = np.where(present, 0.9, 0.1)
    assert np.abs(fuse_votes(displacements, presences, 4.0).positions_mm - LANDMARKS[2]).min() > 5
    np.testing.assert_allclose(fuse_votes(displacements, presences, 4.0, 0.5).positions_mm, LANDMARKS[2])


def test_without_a_vote_there_is_no_position():
    voted = fuse_votes(np.zeros((2, 3, 2, 2, 2)), np.stack([np.zeros((2, 2, 2)), np.full((2, 2, 2), 0.4)]), 4.0, 0.3)
    assert np.isnan(voted.positions_mm[0]).all() and np.isnan(voted.spreads_mm[0])
    np.testing.assert_allclose(voted.positions_mm[1], [4.0, 4.0, 4.0])
    np.testing.assert_allclose(voted.presences, [0.0, 0.4])


# --- targets and loss -------------------------------------------------------------------------------------------------


def test_targets_point_from_the_cell_to_the_landmark():
    displacements, present = displacement_targets(np.array([[13.0, 30.5]]), (8, 9), 4.0, 0.5)
    np.testing.assert_allclose(displacements[0, :, 0, 0], [11.0, 28.5])
    assert np.argwhere(present[0]).tolist() == [[3, 7]]
    _, wider = displacement_targets(np.array([[13.0, 30.5]]), (8, 9), 4.0, 1.5)
    assert np.argwhere(wider[0]).tolist() == [[z, y] for z in (2, 3, 4) for y in (6, 7, 8)]


def test_a_landmark_that_is_not_there_is_present_nowhere_and_regresses_nothing():
    displacements, present = displacement_targets(np.full((1, 3), np.nan), (2, 2, 2), 4.0, 0.5)
    assert not present.any() and np.isnan(displacements).all()
    output = DisplacementNet(DisplacementSettings(widths=(4, 4), blocks=0))(torch.zeros(1, 1, 8, 8, 8))
    losses = displacement_loss(output, torch.tensor(displacements)[None], torch.tensor(present)[None].float())
    assert float(losses["displacement"].detach()) == 0
    assert 0 < float(losses["presence"].detach()) < 0.5


def test_the_loss_of_the_truth_is_nothing_and_near_cells_weigh_most():
    displacements, present = (torch.tensor(a)[None] for a in displacement_targets(LANDMARKS[2], CELLS[2], 4.0, 0.5))
    presence = present.float()
    logits = 40 * (presence - 0.5)

    def loss(shift: torch.Tensor) -> float:
        output = type("Output", (), {"displacements_mm": displacements + shift, "presence": logits})()
        losses = displacement_loss(output, displacements, presence)
        assert float(losses["presence"]) < 1e-6
        return float(losses["displacement"])

    assert loss(torch.zeros(())) == 0
    near, far = present[:, :, None] * 2.0, ~present[:, :, None] * 2.0
    assert loss(near) / int(present.sum()) > 20 * loss(far) / int((~present).sum())


def test_a_presence_that_must_not_count_does_not():
    displacements, present = (torch.tensor(a)[None] for a in displacement_targets(LANDMARKS[2], CELLS[2], 4.0, 0.5))
    output = type("Output", (), {"displacements_mm": displacements, "presence": torch.full(present.shape, 9.0)})()
    unknown = torch.full(present.shape, torch.nan)
    unknown[present] = 1.0
    assert float(displacement_loss(output, displacements, unknown)["presence"]) < 1e-3


# --- network ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_output_has_the_grid_of_the_cells(dimensions):
    settings = DisplacementSettings(dimensions, landmarks=5, channels=2, widths=(4, 8, 8), blocks=1)
    output = DisplacementNet(settings)(torch.zeros(2, 2, *(16, 24, 32)[:dimensions]))
    assert output.displacements_mm.shape == (2, 5, dimensions, *(2, 3, 4)[:dimensions])
    assert output.presence.shape == (2, 5, *(2, 3, 4)[:dimensions])
    assert cell_centres_mm((2, 3), settings.cell_mm)[:, 1, 2].tolist() == [24.0, 40.0]


def test_settings_survive_their_metadata():
    settings = DisplacementSettings(2, 3, 1, 0.5, (8, 16, 32), 1, 1.5)
    assert DisplacementSettings.from_metadata(settings.to_metadata()) == settings
    assert (settings.cell_pixels, settings.cell_mm) == (8, 4.0)
