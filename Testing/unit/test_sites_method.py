"""The method `sites` end to end on a made-up scan, with networks whose answer is known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level  # noqa: E402
from VertebraLabelingLib.core.errors import CancelledError, NothingFoundError  # noqa: E402
from VertebraLabelingLib.core.geometry import Geometry  # noqa: E402
from VertebraLabelingLib.core.prepare import prepare  # noqa: E402
from VertebraLabelingLib.core.progress import silent  # noqa: E402
from VertebraLabelingLib.core.scan import Scan  # noqa: E402
from VertebraLabelingLib.methods.corridor import CorridorSettings, curve_in_map  # noqa: E402
from VertebraLabelingLib.methods.sites.method import Sites, _all_levels, find_sites  # noqa: E402
from VertebraLabelingLib.methods.sites.network import SitesOutput, SitesSettings  # noqa: E402

CENTRES_LPS = np.array([[-42.0, 31.0, 300.0 - 30.0 * n] for n in range(8)]) + [[0.7 * n, n, 0] for n in range(8)]


class _BrightNet(torch.nn.Module):
    """Answers with the image itself: bright is a centre; the level is the height in the scan (air stays C1)."""

    def __init__(self) -> None:
        super().__init__()
        self.settings = SitesSettings(hu_ranges=((-1000.0, 1000.0),))
        self.dummy = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> SitesOutput:
        value = torch.nn.functional.avg_pool3d(image, 2)[:, 0]
        levels = torch.zeros(len(image), 26, *(n // 4 for n in image.shape[2:]))
        levels[:, 20] = 5.0
        return SitesOutput(12 * value, 12 * value, levels)


class _BrightCorridor(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.settings = CorridorSettings(hu_ranges=((-1000.0, 1000.0),))
        self.dummy = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 30 * (image[:, 0] + 0.9)


def _scan(centres: np.ndarray) -> Scan:
    geometry = Geometry((150, 60, 60), (1.9, 1.8, 2.0), (-97.3, -20.1, 41.7))
    grid = geometry.lps_from_index_zyx(np.moveaxis(np.indices(geometry.shape_zyx), 0, -1).astype(float))
    hu = np.full(geometry.shape_zyx, -1000.0, np.float32)
    for centre in centres:
        distance = np.linalg.norm(grid - centre, axis=-1)
        hu = np.maximum(hu, 2000 * np.exp(-((distance / 8) ** 2)) - 1000).astype(np.float32)
    return Scan(hu, geometry)


def _method(mirror: bool = True) -> Sites:
    return Sites(_BrightNet(), _BrightCorridor(), {}, mirror)


def test_finds_every_centre_where_it_is_in_the_patient() -> None:
    evidence = _method().find(prepare(_scan(CENTRES_LPS)), silent)
    assert len(evidence) == len(CENTRES_LPS)
    found = evidence.positions_lps_mm[np.argsort(-evidence.positions_lps_mm[:, 2])]
    assert np.abs(found - CENTRES_LPS).max() < 1.0
    assert set(evidence.level_log_probs.argmax(1)) == {REGULAR_LEVELS[20]}


def test_a_network_of_another_grid_gets_the_scan_on_that_grid() -> None:
    """Spacing travels in the weights; the scan is prepared at 2 mm, this network wants 1.5 mm."""
    network = _BrightNet()
    network.settings = replace(network.settings, spacing_mm=1.5)
    evidence = Sites(network, _BrightCorridor(), {}).find(prepare(_scan(CENTRES_LPS)), silent)
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
    centre = torch.full((20, 10, 10), 1e-3)
    centre[5, 5, 5], centre[14, 5, 5], centre[10, 2, 2] = 0.9, 0.5, 0.05
    logits = torch.full_like(centre, -20.0)
    logits[5, 5, 5], logits[14, 5, 5] = 5.0, 5.0
    positions, scores = find_sites(centre, logits, SitesSettings(score_calibration=(2.0, 1.0)))
    np.testing.assert_allclose(positions, [[22.0, 22.0, 22.0], [58.0, 22.0, 22.0]], atol=1e-3)
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-(2 * np.log(9) + 1))), 1 / (1 + np.exp(-1))], rtol=1e-5)


def test_an_empty_map_has_no_sites() -> None:
    positions, scores = find_sites(torch.zeros(8, 8, 8), torch.zeros(8, 8, 8), SitesSettings())
    assert positions.shape == (0, 3) and scores.shape == (0,)


def test_levels_without_a_channel_get_almost_nothing() -> None:
    log_probs = _all_levels(np.log(np.full((3, 26), 1 / 26)))
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
