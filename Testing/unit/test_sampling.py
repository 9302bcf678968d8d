"""Random training windows: the points go exactly where the voxels go."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import Level  # noqa: E402

from training.cases import Case, read_cache  # noqa: E402
from training.degrade import _CHAIN, GAMMA_RANGE_HU, degraded, gamma  # noqa: E402
from training.plane_view import PlaneView, draw_plane_view  # noqa: E402
from training.sampling import WindowSettings, draw_window  # noqa: E402

SETTINGS = WindowSettings((64, 48, 48), 2.0, jitter_zyx_mm=(20, 8, 8))
POINTS = np.array([[180.0 - 30 * n, 60 + 2.0 * n, 64.0] for n in range(5)]) + [500.0, -40.0, 7.0]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Bright balls of 5 mm at the centroids of a cached case with the corner (500, -40, 7) mm, z y x."""
    corner = np.array([500.0, -40.0, 7.0])
    grid = np.moveaxis(np.indices((110, 60, 64)), 0, -1) * 2.0 + 1.0 + corner
    hu = np.full(grid.shape[:3], -1000.0)
    for point in POINTS:
        hu = np.maximum(hu, 2000 * np.exp(-((grid - point) ** 2).sum(-1) / (2 * 5.0**2)) - 1000)
    np.save(tmp_path / "balls.2mm.npy", hu.astype(np.int16))
    names = ["T10", "T11", "T12", "L1", "L2"]
    description = {
        "id": "balls", "split": "train", "corner_zyx_mm": corner.tolist(), "levels": names,
        "points_zyx_mm": POINTS.tolist(), "weight": 1.0,
    }  # fmt: skip
    (tmp_path / "balls.json").write_text(json.dumps(description))
    return read_cache(tmp_path, ("train",))[0]


def _brightest(hu: torch.Tensor, near_mm: np.ndarray) -> np.ndarray:
    """Centre of the brightest voxel within 12 mm; a deformed ball is no longer symmetric, its top stays where it is."""
    grid = (np.moveaxis(np.indices(hu.shape), 0, -1) + 0.5) * SETTINGS.spacing_mm
    near = np.where(np.linalg.norm(grid - near_mm, axis=-1) < 12, hu.numpy(), -2000)
    return grid[np.unravel_index(near.argmax(), near.shape)]


@pytest.mark.parametrize("seed", range(8))
def test_points_lie_in_their_balls_whatever_is_drawn(case: Case, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.sampling.degraded", lambda hu, rng: hu)
    window = draw_window(case, replace(SETTINGS, cut_probability=0.0), np.random.default_rng(seed))
    extent = SETTINGS.extent_zyx_mm
    inner = ((window.points_mm > 14) & (window.points_mm < extent - 14)).all(1)
    assert window.hu.shape == SETTINGS.window_zyx
    for point in window.points_mm[inner]:
        assert np.abs(_brightest(window.hu, point) - point).max() <= SETTINGS.spacing_mm
    assert window.present(window.points_mm)[inner].all()


def test_the_same_seed_draws_the_same_window(case: Case) -> None:
    first, second = (draw_window(case, SETTINGS, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first.hu, second.hu)
    np.testing.assert_array_equal(first.points_mm, second.points_mm)


def test_what_is_cut_is_air_and_not_present(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.sampling.degraded", lambda hu, rng: hu)
    settings = replace(SETTINGS, cut_probability=1.0)
    for seed in range(6):
        window = draw_window(case, settings, np.random.default_rng(seed))
        low, high = window.visible_z_mm
        assert (window.hu[: round(low / 2)] == -1000).all() and (window.hu[round(high / 2) :] == -1000).all()
        outside = (window.points_mm[:, 0] < low) | (window.points_mm[:, 0] > high)
        assert not window.present(window.points_mm)[outside].any()


def test_the_column_may_go_on_beyond_its_ends_but_not_above_c1(case: Case) -> None:
    beyond = case.beyond_zyx_mm
    assert (beyond[:, 0] > POINTS[0, 0]).any() and (beyond[:, 0] < POINTS[-1, 0]).any()
    neck = replace(case, levels=np.array([Level.C1, Level.C2, Level.C3, Level.C4, Level.C5]))
    assert (neck.beyond_zyx_mm[:, 0] < POINTS[-1, 0]).all()
    negative = replace(case, levels=np.empty(0, np.int64), points_zyx_mm=np.empty((0, 3)))
    assert negative.beyond_zyx_mm.shape == (0, 3)
    assert draw_window(negative, SETTINGS, np.random.default_rng(0)).hu.shape == SETTINGS.window_zyx


@pytest.mark.parametrize("degradation", [d for _, d in _CHAIN], ids=lambda d: d.__name__)
def test_each_degradation_keeps_shape_and_is_reproducible(degradation) -> None:
    hu = torch.linspace(-900, 1500, 24 * 64 * 96).reshape(24, 64, 96)
    first, second = (degradation(hu.clone(), np.random.default_rng(4)) for _ in range(2))
    assert first.shape == hu.shape and torch.isfinite(first).all() and torch.equal(first, second)
    assert not torch.equal(first, hu)


def test_gamma_bends_the_curve_and_leaves_its_ends_and_the_order() -> None:
    low, high = GAMMA_RANGE_HU
    hu = torch.tensor([-1000.0, low, 40.0, 200.0, 700.0, high, 3000.0])
    for seed in range(5):
        out = gamma(hu, np.random.default_rng(seed))
        torch.testing.assert_close(out[[0, 1, 5, 6]], hu[[0, 1, 5, 6]])
        assert (out.diff() > 0).all() and (out[2:5] != hu[2:5]).all()
        assert (out[2:5] - hu[2:5]).abs().max() < 200


def test_a_plane_view_shows_what_is_inside_its_circle_and_before_its_line() -> None:
    view = PlaneView(np.array([20.0, 30.0]), 15.0, np.array([0.0, 1.0]), side_mm=6.0)
    points = np.array([[20.0, 30.0], [20.0, 34.0], [20.0, 36.0], [33.0, 30.0], [36.0, 30.0]])
    np.testing.assert_allclose(view.depth_mm(points), [6.0, 2.0, 0.0, 2.0, -1.0])
    shown = view.shown(torch.zeros(2, 20, 30), 2.0)
    y, x = np.nonzero(shown[1].numpy() == 0)
    centres = np.stack([y + 0.5, x + 0.5], axis=1) * 2.0
    assert (view.depth_mm(centres) > 0).all()
    assert len(centres) == pytest.approx((np.pi / 2 * 15**2 + 6 * 29.5) / 4, rel=0.05), "half a disc and a strip"


def test_points_outside_the_plane_view_are_not_present_and_at_its_border_doubtful(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.sampling.degraded", lambda hu, rng: hu)
    settings = replace(SETTINGS, cut_probability=0.0, plane_view_probability=1.0, jitter_zyx_mm=(20, 40, 40))
    hidden = 0
    for seed in range(30):
        window = draw_window(case, settings, np.random.default_rng(seed))
        depth = window.visible_plane.depth_mm(window.points_mm[:, 1:])
        assert not window.present(window.points_mm)[depth <= 0].any()
        assert window.doubtful(window.points_mm)[np.abs(depth) < 9.0].all()
        for point in window.points_mm[window.present(window.points_mm) & (depth > 5.0)]:
            assert window.hu[tuple((point / 2).astype(int))] > -1000
        hidden += int((depth <= 0).sum())
    assert hidden > 0


def test_the_middle_of_the_window_is_in_every_circle() -> None:
    extent = np.array([128.0, 224.0])
    views = [draw_plane_view(extent, np.random.default_rng(seed)) for seed in range(200)]
    assert all(view.depth_mm(extent[None] / 2)[0] > 14.9 for view in views)
    shifts = [np.linalg.norm(view.centre_yx_mm - extent / 2) for view in views]
    assert max(shifts) > 40.0 and 20 < sum(np.isfinite(view.side_mm) for view in views) < 100


def test_degraded_windows_stay_within_ct_range() -> None:
    hu = torch.randn(16, 16, 16) * 3000
    for seed in range(10):
        out = degraded(hu, np.random.default_rng(seed))
        assert out.min() >= -1024 and out.max() <= 3071


def test_re_posed_points_lie_in_their_balls(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.sampling.degraded", lambda hu, rng: hu)
    settings = replace(SETTINGS, cut_probability=0.0, repose_probability=1.0)
    for seed in range(6):
        window = draw_window(case, settings, np.random.default_rng(seed))
        inner = ((window.points_mm > 14) & (window.points_mm < SETTINGS.extent_zyx_mm - 14)).all(1)
        for point in window.points_mm[inner]:
            assert np.abs(_brightest(window.hu, point) - point).max() <= 1.5 * SETTINGS.spacing_mm


def test_necks_are_also_seen_with_finer_voxels(case: Case) -> None:
    neck = replace(case, levels=np.array([Level.C3, Level.C4, Level.C5, Level.C6, Level.C7]))
    settings = replace(
        SETTINGS, fine_probability=1.0, scale=(1.0, 1.0), stretch=0.0, rotation_deg=0.0, deformation_mm=0.0
    )
    rng = np.random.default_rng(0)
    fine, coarse = (np.diff(draw_window(c, settings, rng).points_mm[:, 0]).mean() for c in (neck, case))
    assert fine == pytest.approx(settings.fine_scale * coarse)


def test_two_patients_are_joined_at_a_disc(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.sampling.degraded", lambda hu, rng: hu)
    settings = replace(SETTINGS, cut_probability=0.0)
    upper = replace(case, levels=np.array([Level.T6, Level.T7, Level.T8, Level.T9, Level.T10]))
    lower = replace(case, levels=np.array([Level.T8, Level.T9, Level.T10, Level.T11, Level.T12]))
    for seed in range(6):
        window = draw_window(upper, settings, np.random.default_rng(seed), lower)
        # counted on without a gap or a double, wherever the seam is
        assert window.levels.tolist() == list(range(Level.T6, Level.T12 + 1))
        assert (np.diff(window.points_mm[:, 0]) < -15).all()
        inner = ((window.points_mm > 14) & (window.points_mm < SETTINGS.extent_zyx_mm - 14)).all(1)
        for point in window.points_mm[inner]:
            assert np.abs(_brightest(window.hu, point) - point).max() <= 1.5 * SETTINGS.spacing_mm


def test_patients_without_a_common_disc_are_not_joined(case: Case) -> None:
    neck = replace(case, levels=np.array([Level.C1, Level.C2, Level.C3, Level.C4, Level.C5]))
    assert draw_window(case, SETTINGS, np.random.default_rng(0), neck).levels.tolist() == case.levels.tolist()
