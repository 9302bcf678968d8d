"""The projection of CT windows: line integrals that are right, differentiable and bounded in memory."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.methods.multi_view import drr as module
from VertebraLabelingLib.methods.multi_view.drr import attenuation_of, drr, line_integrals, standardised
from VertebraLabelingLib.methods.multi_view.geometry import Views, equal_views
from VertebraLabelingLib.methods.multi_view.settings import MultiViewSettings

from training.drr_bench import CENTRAL, Seconds, ball, ball_integrals, measure, project, rtk_projector

SETTINGS = MultiViewSettings(spacing_mm=2.0, image_hw=(72, 48), pixel_mm=2.0)


def batch(volume: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(volume)[None, None]


def centroid_rc(image: torch.Tensor) -> np.ndarray:
    rows, columns = (torch.arange(n, dtype=image.dtype) for n in image.shape)
    mass = image.sum()
    return np.array([float((image.sum(1) * rows).sum() / mass), float((image.sum(0) * columns).sum() / mass)])


@pytest.mark.parametrize("at_mm", [(0.0, 0.0, 0.0), (41.0, -17.0, 23.0), (-50.0, 25.0, -9.0)])
def test_a_blob_is_seen_where_geometry_says(at_mm: tuple):
    views = equal_views(replace(SETTINGS, source_axis_mm=400.0), 7, 0.2)
    images = line_integrals(batch(ball((72, 40, 44), 2.0, at_mm, 5.0)), views)[0, :, 0]
    expected = views.project([at_mm])[:, 0]
    assert np.array([centroid_rc(image) for image in images]) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("source_mm", [400.0, 1000.0])
def test_the_integrals_of_a_ball_are_its_chords(source_mm: float):
    settings = replace(SETTINGS, image_hw=(128, 96), pixel_mm=1.5, source_axis_mm=source_mm, spacing_mm=1.5)
    views, centre_mm, radius_mm = equal_views(settings, 5, 0.1), (25.0, -6.0, 9.0), 45.0
    images = line_integrals(batch(ball((112, 80, 84), 1.5, centre_mm, radius_mm)), views)[0, :, 0].numpy()
    chords_mm = ball_integrals(views, centre_mm, radius_mm)
    errors_mm, diameter_mm = np.abs(images - chords_mm), 2 * radius_mm
    assert errors_mm[chords_mm > radius_mm].max() < 0.01 * diameter_mm
    assert errors_mm.mean() < 0.001 * diameter_mm
    central = chords_mm > CENTRAL * diameter_mm
    assert (errors_mm[central] / chords_mm[central]).max() < 0.01, "of each ray's own chord; the rim is blurred"


def test_an_even_block_is_measured_exactly_along_oblique_rays_too():
    views = Views(np.array([0.0]), replace(SETTINGS, source_axis_mm=150.0))
    image = line_integrals(torch.ones(1, 1, 200, 20, 200), views)[0, 0, 0].numpy()
    _, directions = views.rays(0, np.stack(np.indices(SETTINGS.image_hw), -1).reshape(-1, 2))
    assert image.ravel() == pytest.approx(20 * 2.0 / directions[:, 1], rel=1e-3)


def test_nothing_of_a_volume_is_lost_whatever_the_angle():
    far = replace(SETTINGS, source_axis_mm=1e5, image_hw=(60, 60))
    volume = torch.rand(1, 1, 40, 15, 22, generator=torch.Generator().manual_seed(0))
    images = line_integrals(volume, equal_views(far, 12))
    mass = images.sum((-2, -1)) * far.pixel_mm**2 / far.spacing_mm**3
    assert mass.numpy() == pytest.approx(float(volume.sum()), rel=2e-3)


def test_far_away_opposite_views_are_mirror_images():
    views = equal_views(replace(SETTINGS, source_axis_mm=1e6), 2, 0.6)
    volume = torch.rand(1, 1, 30, 20, 24, generator=torch.Generator().manual_seed(1))
    there, back = line_integrals(volume, views)[0, :, 0]
    assert torch.allclose(there, back.flip(-1), atol=2e-2)
    assert not torch.allclose(there, back, atol=5)


@pytest.mark.parametrize("shape_zyx", [(1, 1, 1), (7, 30, 3), (50, 9, 64)])
def test_a_volume_of_any_size_is_projected(shape_zyx: tuple):
    images = line_integrals(torch.ones(2, 3, *shape_zyx), equal_views(SETTINGS, 4))
    assert images.shape == (2, 4, 3, *SETTINGS.image_hw)
    assert images.isfinite().all()
    assert (images.amax((-2, -1)) > 0.5).all()


def test_every_volume_and_channel_is_projected_on_its_own():
    volumes = torch.rand(2, 3, 20, 9, 11, generator=torch.Generator().manual_seed(2))
    views = equal_views(SETTINGS, 3)
    together = line_integrals(volumes, views)
    for b in range(2):
        for c in range(3):
            alone = line_integrals(volumes[b : b + 1, c : c + 1], views)
            assert torch.allclose(together[b, :, c], alone[0, :, 0], atol=1e-4)


def test_the_size_of_the_chunks_changes_nothing():
    volume, views = batch(ball((40, 20, 24), 2.0, (9.0, 4.0, -6.0), 12.0)), equal_views(SETTINGS, 3, 0.5)
    assert torch.allclose(line_integrals(volume, views, chunk=1), line_integrals(volume, views, chunk=10**9), atol=1e-4)


def test_threads_change_nothing_and_are_given_back():
    volume, views = batch(ball((40, 20, 24), 2.0, (9.0, 4.0, -6.0), 12.0)), equal_views(SETTINGS, 5, 0.5)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = line_integrals(volume, views)
        torch.set_num_threads(3)
        assert torch.equal(line_integrals(volume, views), alone)
        with torch.inference_mode():
            assert line_integrals(volume, views).is_inference()
        assert line_integrals(volume.requires_grad_(), views).requires_grad
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_gathering_planes_in_slabs_costs_next_to_no_exactness(monkeypatch: pytest.MonkeyPatch):
    views, centre_mm = equal_views(replace(SETTINGS, image_hw=(176, 48)), 5, 0.3), (130.0, 8.0, -6.0)
    volume, chords_mm = batch(ball((176, 50, 54), 2.0, centre_mm, 40.0)), ball_integrals(views, centre_mm, 40.0)
    slabs = line_integrals(volume, views)[0, :, 0].numpy()
    monkeypatch.setattr(module, "MAX_SLAB_PLANES", 1)
    planes = line_integrals(volume, views)[0, :, 0].numpy()
    assert not np.array_equal(slabs, planes)
    assert np.abs(slabs - planes)[chords_mm > 40].max() < 0.01 * 80
    assert np.abs(slabs - chords_mm).mean() < 1.1 * np.abs(planes - chords_mm).mean()


def test_what_is_behind_the_source_is_not_seen():
    views = Views(np.array([0.0]), replace(SETTINGS, source_axis_mm=30.0))
    volume = torch.zeros(1, 1, 20, 60, 20)
    volume[:, :, :, :12] = 1
    assert line_integrals(volume, views).abs().max() == 0
    volume[:, :, :, 40:] = 1
    assert line_integrals(volume, views).max() > 30


def test_gradients_are_right():
    views, random = equal_views(SETTINGS, 3, 0.2), torch.Generator().manual_seed(4)
    volume, change = torch.rand(2, 1, 2, 12, 7, 9, dtype=torch.float64, generator=random)
    weights = torch.rand(1, 3, 2, *SETTINGS.image_hw, dtype=torch.float64, generator=random)
    (line_integrals(volume.requires_grad_(), views) * weights).sum().backward()
    changed = line_integrals(volume.detach() + change, views) - line_integrals(volume.detach(), views)
    assert float((volume.grad * change).sum()) == pytest.approx(float((changed * weights).sum()), rel=1e-9)


def test_gradients_reach_the_ct_through_the_network_input():
    hu = torch.empty(1, 16, 10, 12).uniform_(-500, 900).requires_grad_()
    images = drr(hu, equal_views(SETTINGS, 2), SETTINGS)
    images[..., 36, 24].sum().backward()
    assert hu.grad is not None and hu.grad.isfinite().all() and hu.grad.abs().max() > 0


def test_hounsfield_units_become_attenuation_in_each_range():
    attenuation = attenuation_of(torch.tensor([-2000, -1000, 0, 150, 725, 3000]).view(1, 1, 1, 6), SETTINGS)
    assert attenuation[0, 0].flatten().numpy() == pytest.approx([0, 0, 0.5, 0.575, 0.8625, 1])
    assert attenuation[0, 1].flatten().numpy() == pytest.approx([0, 0, 0, 0, 0.5, 1])


def test_the_network_input_is_standardised_over_what_is_seen():
    hu = torch.full((1, 30, 20, 24), -1000.0)
    hu[:, 5:25, 4:16, 6:18] = torch.empty(20, 12, 12).uniform_(0, 1200, generator=torch.Generator().manual_seed(5))
    images = drr(hu, equal_views(SETTINGS, 3), SETTINGS)
    assert images.shape == (1, 3, 2, 72, 48)
    integrals = line_integrals(attenuation_of(hu, SETTINGS), equal_views(SETTINGS, 3))
    seen = images[0, 0, 0][integrals[0, 0, 0] > module.SEEN_MM]
    assert float(seen.mean()) == pytest.approx(0, abs=0.02)
    assert float(seen.std()) == pytest.approx(1, abs=0.05)


def test_padding_with_air_does_not_change_the_network_input():
    hu = torch.empty(1, 20, 12, 14, dtype=torch.float32).uniform_(0, 1200)
    padded = torch.nn.functional.pad(hu, (3, 3, 4, 4, 5, 5), value=-1000)
    views = equal_views(SETTINGS, 3)
    assert torch.allclose(drr(hu, views, SETTINGS), drr(padded, views, SETTINGS), atol=1e-3)


def test_an_empty_image_stays_finite():
    assert torch.equal(standardised(torch.zeros(1, 1, 4, 4)), torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("volume", "spacing_mm", "said"),
    [
        (torch.zeros(4, 4, 4), 2.0, r"\(B, C, z, y, x\)"),
        (torch.zeros(1, 1, 4, 0, 4), 2.0, "hold voxels"),
        (torch.zeros(1, 1, 4, 4, 4, dtype=torch.int16), 2.0, "floating-point"),
        (torch.zeros(1, 1, 4, 4, 4), 0.0, "spacing_mm"),
        (torch.zeros(1, 1, 4, 4, 4), math.nan, "spacing_mm"),
    ],
)
def test_wrong_volumes_are_refused(volume: torch.Tensor, spacing_mm: float, said: str):
    with pytest.raises(ValueError, match=said):
        line_integrals(volume, equal_views(SETTINGS), spacing_mm)


def test_wrong_windows_are_refused():
    with pytest.raises(ValueError, match=r"\(B, z, y, x\)"):
        drr(torch.zeros(4, 4, 4), equal_views(SETTINGS), SETTINGS)


def test_the_bench_says_what_is_missing_without_its_reference(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "itk", None)
    with pytest.raises(UsageError, match=r"pip install .*\[bench\]"):
        rtk_projector(1)


def test_the_bench_measures_time_and_error():
    views = equal_views(replace(SETTINGS, image_hw=(160, 160), spacing_mm=1.5), 2)
    volume = ball((20, 20, 20), 1.5, (0.0, 0.0, 0.0), 9.0)
    ours = measure("ours", project, volume, views, passes=2)
    double = measure("double", lambda *given: (2 * project(*given)[0], Seconds(1.0, 1.0)), volume, views, passes=1)
    assert len(ours.seconds) == 2 and ours.torso.shape == (2, 160, 160)
    assert 0 < ours.mean < ours.worst < 0.01
    assert double.mean > 0.5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_projects_the_same():
    volume = torch.rand(2, 2, 40, 20, 24, generator=torch.Generator().manual_seed(3))
    views = equal_views(SETTINGS, 4)
    assert torch.allclose(line_integrals(volume.cuda(), views).cpu(), line_integrals(volume, views), atol=1e-2)
