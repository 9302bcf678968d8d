"""The method `sites` end to end on a made-up scan, with networks whose answer is known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.core.errors import CancelledError, NothingFoundError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.core.prepare import prepare
from VertebraLabelingLib.core.progress import silent
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.methods.corridor import Corridor, curve_in_map
from VertebraLabelingLib.methods.corridor.settings import CorridorSettings
from VertebraLabelingLib.methods.level_evidence import all_levels
from VertebraLabelingLib.methods.sites.method import Sites
from VertebraLabelingLib.methods.sites.neck import Neck, box_around, find_neck, with_second_look
from VertebraLabelingLib.methods.sites.reading import expectations, find_sites, read_at
from VertebraLabelingLib.methods.sites.settings import SitesSettings

CENTRES_LPS = np.array([[-42.0, 31.0, 300.0 - 30.0 * n] for n in range(8)]) + [[0.7 * n, n, 0] for n in range(8)]


SETTINGS = SitesSettings(hu_ranges=((-1000.0, 1000.0),))


class _BrightNet:
    """Answers with the image itself: bright is a centre; every level is the same."""

    device = "cpu"

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        z, y, x = (n // 2 for n in image.shape[2:])
        value = 12 * image[:, 0].reshape(-1, z, 2, y, 2, x, 2).mean((2, 4, 6))
        levels = np.zeros((len(image), 26, z // 2, y // 2, x // 2), np.float32)
        levels[:, 20] = 5.0
        return {"centre": value, "integral": value, "levels": levels}


class _BrightCorridor:
    device = "cpu"

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"output": 30 * (image[:, 0] + 0.9)}


CORRIDOR = Corridor(_BrightCorridor(), CorridorSettings(hu_ranges=((-1000.0, 1000.0),)))


def _scan(centres: np.ndarray) -> Scan:
    geometry = Geometry((150, 60, 60), (1.9, 1.8, 2.0), (-97.3, -20.1, 41.7))
    grid = geometry.lps_from_index_zyx(np.moveaxis(np.indices(geometry.shape_zyx), 0, -1).astype(float))
    hu = np.full(geometry.shape_zyx, -1000.0, np.float32)
    for centre in centres:
        distance = np.linalg.norm(grid - centre, axis=-1)
        hu = np.maximum(hu, 2000 * np.exp(-((distance / 8) ** 2)) - 1000).astype(np.float32)
    return Scan(hu, geometry)


def _method(mirror: bool = True) -> Sites:
    return Sites(_BrightNet(), SETTINGS, CORRIDOR.spine_curve, mirror=mirror)


def test_finds_every_centre_where_it_is_in_the_patient() -> None:
    evidence = _method().find(prepare(_scan(CENTRES_LPS)), silent)
    assert len(evidence) == len(CENTRES_LPS)
    found = evidence.positions_lps_mm[np.argsort(-evidence.positions_lps_mm[:, 2])]
    assert np.abs(found - CENTRES_LPS).max() < 1.0
    assert set(evidence.level_log_probs.argmax(1)) == {REGULAR_LEVELS[20]}


def test_a_network_of_another_grid_gets_the_scan_on_that_grid() -> None:
    """Spacing travels in the weights; the scan is prepared at 2 mm, this network wants 1.5 mm."""
    method = Sites(_BrightNet(), replace(SETTINGS, spacing_mm=1.5), CORRIDOR.spine_curve)
    evidence = method.find(prepare(_scan(CENTRES_LPS)), silent)
    found = evidence.positions_lps_mm[np.argsort(-evidence.positions_lps_mm[:, 2])]
    assert found.shape == CENTRES_LPS.shape and np.abs(found - CENTRES_LPS).max() < 1.0


def test_mirroring_changes_nothing_for_a_symmetric_network() -> None:
    scan = prepare(_scan(CENTRES_LPS))
    once, twice = _method(mirror=False).find(scan, silent), _method(mirror=True).find(scan, silent)
    np.testing.assert_allclose(once.positions_lps_mm, twice.positions_lps_mm, atol=1e-3)


def test_no_spine_is_said_and_cancel_stops() -> None:
    with pytest.raises(NothingFoundError, match="No spine"):
        _method().find(prepare(_scan(np.empty((0, 3)))), silent)

    def stop(stage: str, fraction: float) -> None:
        if stage == "labelling":
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        _method().find(prepare(_scan(CENTRES_LPS)), stop)


def test_every_peak_is_a_site_with_its_calibrated_height() -> None:
    centre = np.full((20, 10, 10), 1e-3, np.float32)
    centre[5, 5, 5], centre[14, 5, 5], centre[10, 2, 2] = 0.9, 0.5, 0.05
    logits = np.full_like(centre, -20.0)
    logits[5, 5, 5], logits[14, 5, 5] = 5.0, 5.0
    positions, scores = find_sites(centre, logits, SitesSettings(score_calibration=(2.0, 1.0)))
    np.testing.assert_allclose(positions, [[22.0, 22.0, 22.0], [58.0, 22.0, 22.0]], atol=1e-3)
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-(2 * np.log(9) + 1))), 1 / (1 + np.exp(-1))], rtol=1e-5)


def test_an_empty_map_has_no_sites() -> None:
    positions, scores = find_sites(np.zeros((8, 8, 8), np.float32), np.zeros((8, 8, 8), np.float32), SETTINGS)
    assert positions.shape == (0, 3) and scores.shape == (0,)
    assert read_at(np.zeros((26, 4, 4, 4)), positions, np.full(3, 16.0)).shape == (0, 26)


def test_sites_are_read_as_the_losses_read_them() -> None:
    """The networks learn from torch's versions of these two; inference computes them without torch."""
    torch = pytest.importorskip("torch")
    from VertebraLabelingLib.methods.sites.heads import integral, level

    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, (9, 8, 7)).astype(np.float32)
    seeds = np.array([[0, 0, 0], [4, 3, 3], [8, 7, 6], [1, 7, 2]])
    learnt = integral.integral_regression(torch.tensor(logits), torch.tensor(seeds), 10.0, 4.0)
    np.testing.assert_allclose(expectations(logits, seeds, 10.0, 4.0), learnt, atol=1e-4)
    maps, extent = rng.normal(0, 4, (26, 9, 8, 7)).astype(np.float32), np.array([72.0, 64.0, 56.0])
    positions = rng.uniform(-0.2, 1.2, (40, 3)) * extent
    learnt = level.read_at(*(torch.tensor(a, dtype=torch.float32) for a in (maps, positions, extent)))
    np.testing.assert_allclose(read_at(maps, positions, extent), learnt, atol=1e-4)


def test_levels_without_a_channel_get_almost_nothing() -> None:
    log_probs = all_levels(np.log(np.full((3, 26), 1 / 26)))
    np.testing.assert_allclose(np.exp(log_probs).sum(1), 1)
    assert np.exp(log_probs[:, [Level.T13, Level.L6]]).max() < 1e-4


def test_the_curve_is_cut_to_where_the_map_is_high() -> None:
    probability = np.zeros((30, 12, 12), np.float32)
    for z in range(6, 25):
        probability[z, 5:7, 4 + z // 6] = 0.9
    curve = curve_in_map(probability)
    assert curve[0, 0] == 6 and curve[-1, 0] == 24
    assert np.abs(curve[:, 1] - 5.5).max() < 0.2
    assert len(curve_in_map(np.zeros((5, 4, 4), np.float32))) == 0


class _NeckNet(_BrightNet):
    """Names everything C5, and remembers the voxel sizes it was shown by the width of what is bright."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.widths: list[int] = []

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        maps = super().__call__(image)
        maps["levels"][:, 20], maps["levels"][:, self.level] = 0.0, 5.0
        self.widths.append(int((image > 0).sum()))
        return maps


def _two_looks(level: int) -> tuple[_NeckNet, np.ndarray]:
    network = _NeckNet(level)
    method = Sites(network, replace(SETTINGS, neck_magnification=1.4), CORRIDOR.spine_curve, mirror=False)
    evidence = method.find(prepare(_scan(CENTRES_LPS)), silent)
    return network, evidence.positions_lps_mm[np.argsort(-evidence.positions_lps_mm[:, 2])]


def test_a_neck_is_looked_at_again_with_finer_voxels() -> None:
    network, found = _two_looks(4)
    assert found.shape == CENTRES_LPS.shape and np.abs(found - CENTRES_LPS).max() < 1.0
    # 1.4 times finer: 2.7 times as many bright voxels per vertebra
    assert max(network.widths) > 1.4 * network.widths[0]


def test_a_trunk_is_not() -> None:
    trunk, found = _two_looks(20)
    neck, _ = _two_looks(4)
    assert found.shape == CENTRES_LPS.shape
    assert len(trunk.widths) < len(neck.widths)


def _evidence(heights: list[float], levels: list[Level], scores: list[float]) -> Evidence:
    log_probs = np.full((len(heights), len(Level)), -9.0)
    log_probs[np.arange(len(levels)), levels] = np.log(0.98)
    return Evidence(np.column_stack([np.zeros((len(heights), 2)), heights]), log_probs, np.array(scores))


def test_the_neck_is_where_neighbours_agree_that_it_is() -> None:
    levels = [Level.C6, Level.C7, Level.T1, Level.T2, Level.T3, Level.T4, Level.C4, Level.T6]
    neck = find_neck(_evidence([200.0 - 20 * n for n in range(8)], levels, [0.9] * 8))
    # the stray C4 lies between two thoracic ones
    assert neck is not None and (neck.low_mm, neck.high_mm) == (140.0, 200.0)
    assert find_neck(_evidence([100.0, 80.0], [Level.L1, Level.L2], [0.9, 0.9])) is None
    assert find_neck(_evidence([100.0], [Level.C3], [0.1])) is None


def test_hips_that_look_like_a_neck_are_none() -> None:
    trunk, hips = [Level.L1, Level.L2, Level.L3, Level.L4], [Level.C2, Level.C3, Level.C4, Level.C5]
    heights = [200.0 - 20 * n for n in range(8)]
    assert find_neck(_evidence(heights, trunk + hips, [0.9] * 8)) is None
    skull = [Level.T6, Level.T6, Level.C1, Level.C2, Level.C3, Level.C4, Level.C5, Level.C6]
    neck = find_neck(_evidence(heights, skull, [0.9] * 8))
    assert neck is not None and (neck.low_mm, neck.high_mm) == (60.0, 160.0), (
        "false sites of the skull lie above a neck"
    )


def test_the_second_look_takes_nothing_away_that_lies_outside_of_it() -> None:
    first = _evidence(
        [300.0, 280.0, 200.0, 180.0, 100.0], [Level.L1, Level.L2, Level.C3, Level.C4, Level.T6], [0.9] * 5
    )
    second = _evidence([310.0, 201.0, 90.0], [Level.C1, Level.C3, Level.T7], [0.8] * 3)

    class Looked:
        def evidence(self) -> Evidence:
            return second

        def levels_at(self, places: np.ndarray) -> np.ndarray:
            return np.full((len(places), len(Level)), np.log(1 / len(Level)))

    both = with_second_look(first, Looked(), Looked(), Neck(180.0, 200.0))
    assert sorted(both.positions_lps_mm[:, 2]) == [100.0, 201.0, 280.0, 300.0]
    assert both.level_log_probs[both.positions_lps_mm[:, 2] == 201.0].argmax() == Level.C3


def test_the_box_around_a_curve_keeps_every_voxel_in_its_place() -> None:
    scan = prepare(_scan(CENTRES_LPS))
    box = box_around(scan, CENTRES_LPS[2:4], np.array([20.0, 30.0, 24.0]))
    assert box.hu.size < scan.hu.size / 2
    index = np.array([[3, 4, 5], [box.hu.shape[0] - 1, 0, 2]])
    there = np.rint(scan.geometry.index_zyx_from_lps(box.geometry.lps_from_index_zyx(index.astype(float)))).astype(int)
    assert np.array_equal(box.hu[tuple(index.T)], scan.hu[tuple(there.T)])
    reach = scan.geometry.index_zyx_from_lps(CENTRES_LPS[2:4])[:, 0]
    assert box.hu.shape[0] * 2.0 >= (reach.max() - reach.min()) * 2.0 + 40
