"""The method `multi-view` end to end, with a network that knows the answer.

The oracle: marked voxels stand for body centres, and a stub in place of the projection turns those in its window into
two images, of heat and of levels, which the oracle network only has to unpack.  So nothing is remembered between calls,
and windows, views, matching, votes and frames are all put to the test.
"""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from heat_maps import SETTINGS, heat_map, level_logits, logits_of
from phantoms import neck_phantom, torso_phantom
from scipy.special import logit
from VertebraLabelingLib.core.anatomy import REGULAR_LEVELS, Level
from VertebraLabelingLib.core.errors import CancelledError, ModelError, NothingFoundError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import Evidence
from VertebraLabelingLib.core.prepare import prepare
from VertebraLabelingLib.core.progress import silent
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.core.sequence import decode
from VertebraLabelingLib.engines.network import TorchNetwork
from VertebraLabelingLib.engines.weights import Weights
from VertebraLabelingLib.methods.corridor import Corridor
from VertebraLabelingLib.methods.corridor.settings import CorridorSettings
from VertebraLabelingLib.methods.multi_view import MultiView
from VertebraLabelingLib.methods.multi_view.geometry import Views, equal_views
from VertebraLabelingLib.methods.multi_view.look import (
    Look,
    drr_projection,
    found_in,
    look_from_all_sides,
    voted_names,
    whole_scan,
)
from VertebraLabelingLib.methods.multi_view.matching import seen_in
from VertebraLabelingLib.methods.multi_view.method import CONFIGURATIONS, build_network, load
from VertebraLabelingLib.methods.multi_view.peaks import Peaks
from VertebraLabelingLib.methods.multi_view.settings import MultiViewSettings
from VertebraLabelingLib.pipeline import most_likely

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

MARK = 5000.0
"""HU of a body centre's voxel, plus its channel."""
SMALL = replace(SETTINGS, window_zyx=(64, 32, 32), image_hw=(64, 32), views=3)
SIGMA_PX = SETTINGS.heat_sigma_mm / SETTINGS.pixel_mm


class Oracle:
    """Projection and network at once; what it misses, adds and mixes up can be set.

    missed: share of peaks that a view does not have.  renamed: share of names that are one level off, in each view.
    """

    device = "cpu"

    def __init__(self, missed: float = 0.0, false: int = 0, renamed: float = 0.0) -> None:
        self.missed, self.false, self.renamed = missed, false, renamed
        self.rng = np.random.default_rng(4)
        self.volumes: list[tuple[int, ...]] = []
        self.views: set[float] = set()

    def project(self, hu: np.ndarray, views: Views, device: str) -> np.ndarray:
        """(K, 2, h, w): heat, and channel of the nearest vertebra."""
        self.volumes.append(hu.shape)
        self.views |= set(views.angles_rad.tolist())
        marks = np.argwhere(hu >= MARK)
        channels = np.round(hu[tuple(marks.T)] - MARK).astype(int)
        points = (marks - (np.array(hu.shape) - 1) / 2) * SETTINGS.spacing_mm
        return np.stack([self._image(seen, channels, views.settings.image_hw) for seen in views.project(points)])

    def _image(self, pixels: np.ndarray, channels: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
        inside = ((pixels > 1) & (pixels < np.array(image_hw) - 2)).all(1)
        kept = inside & (self.rng.random(len(pixels)) >= self.missed)
        false = self.rng.uniform(0, image_hw, (self.false, 2))
        heat = heat_map(np.concatenate([pixels[kept], false]), SIGMA_PX, image_hw, 0.9)
        wrong = self.rng.random(len(channels)) < self.renamed
        names = np.clip(channels + wrong * self.rng.choice([-1, 1], len(channels)), 0, 25)
        level = level_logits(pixels, names, image_hw).argmax(0) if len(names) else np.zeros((2, 2))
        wide = np.repeat(np.repeat(level, 2, 0), 2, 1)[: image_hw[0], : image_hw[1]]
        return np.stack([heat, np.resize(wide, image_hw)]).astype(np.float32)

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        channel = image[:, 1, ::2, ::2]
        levels = np.where(channel[:, None] == np.arange(26)[:, None, None], 8.0, 0.0).astype(np.float32)
        return {"heat": logits_of(image[:, 0]), "levels": levels}


def marked(scan: Scan, centres_lps_mm: np.ndarray, levels: list[Level]) -> tuple[Scan, np.ndarray]:
    """A prepared scan with a mark in the voxel of each centre, and the centres of these voxels (n, 3)."""
    grid = prepare(scan)
    voxels = np.rint(grid.geometry.index_zyx_from_lps(centres_lps_mm)).astype(int)
    hu = np.minimum(grid.hu, 3000.0)
    for voxel, level in zip(voxels, levels, strict=True):
        hu[tuple(voxel)] = MARK + REGULAR_LEVELS.index(level)
    return Scan(hu, grid.geometry), grid.geometry.lps_from_index_zyx(voxels.astype(float))


def of_phantom(phantom) -> tuple[Scan, np.ndarray, list[Level]]:
    levels = sorted(phantom.centroids)
    scan, centres = marked(phantom.scan, np.array([phantom.centroids[v] for v in levels]), levels)
    return scan, centres, levels


def method_for(oracle: Oracle, centres: np.ndarray, config: str = "default", views: int | None = None) -> MultiView:
    return MultiView(oracle, SETTINGS, lambda scan: centres, CONFIGURATIONS[config], {}, views, oracle.project)


@pytest.mark.parametrize("phantom", [torso_phantom, neck_phantom])
def test_every_vertebra_is_found_and_named_where_it_is_in_the_patient(phantom) -> None:
    """The torso takes three windows, the neck fits one; shifted names between windows would show as well."""
    scan, centres, levels = of_phantom(phantom())
    oracle = Oracle()
    evidence = method_for(oracle, centres).find(scan, silent)
    assert set(oracle.volumes) == {SETTINGS.window_zyx}
    assert len(evidence) == len(centres)
    order = np.argsort(-evidence.positions_lps_mm[:, 2])
    assert np.abs(evidence.positions_lps_mm[order] - centres).max() < 1.0
    assert evidence.level_log_probs[order].argmax(1).tolist() == levels
    np.testing.assert_allclose(np.exp(evidence.level_log_probs).sum(1), 1)
    assert evidence.scores.min() > 0.6 and evidence.scores.max() <= 0.9


def test_misses_false_peaks_and_wrong_names_in_single_views_are_outvoted() -> None:
    scan, centres, levels = of_phantom(torso_phantom())
    evidence = method_for(Oracle(missed=0.15, false=3, renamed=0.25), centres).find(scan, silent)
    labelling = decode(evidence)
    assert list(labelling.levels) == levels
    found = np.array([point.position_lps_mm for point in labelling.points])
    assert np.linalg.norm(found - centres, axis=1).max() < 1.5


def test_the_papers_way_sees_the_whole_scan_at_once_and_numbers_it() -> None:
    scan, centres, levels = of_phantom(torso_phantom())
    oracle = Oracle(renamed=0.25)
    evidence = method_for(oracle, centres, "paper").find(scan, silent)
    assert set(oracle.volumes) == {scan.hu.shape} and len(oracle.views) == 10
    labelling = most_likely(evidence)
    assert list(labelling.levels) == levels
    found = np.array([point.position_lps_mm for point in labelling.points])
    assert np.linalg.norm(found - centres, axis=1).max() < 1.0


def test_the_papers_way_ignores_views_that_show_another_number_of_vertebrae() -> None:
    """A view that misses one is left out as a whole; here with one false peak in each of three views."""
    scan, centres, levels = of_phantom(neck_phantom())
    oracle = Oracle()
    plain = oracle.project

    def spoilt(hu: np.ndarray, views: Views, device: str) -> np.ndarray:
        images = plain(hu, views, device)
        for n, angle in enumerate(views.angles_rad):
            if angle < 1.5:
                images[n, 0, :20, :20] = 0
                images[n, 0, 4:12, 4:12] = 0.9
        return images

    method = MultiView(oracle, SETTINGS, lambda scan: centres, CONFIGURATIONS["paper"], {}, None, spoilt)
    evidence = method.find(scan, silent)
    assert list(most_likely(evidence).levels) == levels
    np.testing.assert_allclose(evidence.scores, 0.9, atol=0.05)
    spared = method.variant(majority=False).find(scan, silent)
    assert spared.scores.max() < 0.95 and list(most_likely(spared).levels) == levels


@pytest.mark.parametrize("views", [3, 5, 20])
def test_the_number_of_views_is_a_choice(views: int) -> None:
    scan, centres, _ = of_phantom(neck_phantom())
    oracle = Oracle()
    evidence = method_for(oracle, centres).variant(views=views).find(scan, silent)
    assert len(oracle.views) == views and len(evidence) == len(centres)
    assert method_for(oracle, centres, views=views).find(scan, silent).scores == pytest.approx(evidence.scores)


def test_the_numbering_mends_what_either_vote_gets_wrong() -> None:
    """With most names wrong in every view."""
    scan, centres, levels = of_phantom(neck_phantom())

    def right(**changes: bool) -> int:
        method = method_for(Oracle(renamed=0.6), centres, "paper").variant(**changes)
        evidence = method.find(scan, silent)
        order = np.argsort(-evidence.positions_lps_mm[:, 2])
        return int((evidence.level_log_probs[order].argmax(1) == levels).sum())

    bagged, voted, numbered = right(voting=False, correct=False), right(correct=False), right()
    assert bagged <= voted < numbered == len(levels)


@pytest.mark.parametrize(("counts", "kept"), [([3, 4, 3, 5], [0, 2]), ([3, 4, 4, 3], [1, 2]), ([0, 0, 2], [0, 1])])
def test_the_most_usual_number_of_vertebrae_is_the_larger_one_of_two(counts: list[int], kept: list[int]) -> None:
    peaks = tuple(Peaks(np.zeros((n, 2)), np.ones(n)) for n in counts)
    views = equal_views(SETTINGS, len(counts))
    look = Look(views, peaks, np.arange(len(counts), dtype=np.float32)[:, None, None, None]).majority()
    assert look.levels.ravel().tolist() == kept
    assert look.views.angles_rad.tolist() == views.angles_rad[kept].tolist()
    assert look.peaks == tuple(peaks[view] for view in kept)


def look_that_says(channel: int) -> Look:
    """All views are sure of one level, wherever they are asked."""
    levels = np.zeros((SETTINGS.views, 26, 96, 56), np.float32)
    levels[:, channel] = 20.0
    return Look(equal_views(SETTINGS), (), levels)


@pytest.mark.parametrize("voting", [True, False])
def test_windows_that_overlap_name_a_point_together_the_more_the_more_central_it_is_in_each(voting: bool) -> None:
    """Two windows of 384 mm, one 192 mm above the other: points at the middle of each, between them, outside one."""
    extent = np.array(SETTINGS.window_zyx) * SETTINGS.spacing_mm
    below = np.array([[240.0, 0, 0], [144.0, 0, 0], [96.0, 0, 0], [48.0, 0, 0], [-100.0, 0, 0]])
    points = np.stack([below - [192.0, 0, 0], below])
    names = voted_names([look_that_says(3), look_that_says(9)], points, extent, voting)
    np.testing.assert_allclose(names.sum(1), 1)
    if voting:
        np.testing.assert_allclose(names[:, 3], [1, 0.75, 0.5, 0.25, 0], atol=1e-6)
        np.testing.assert_allclose(names[:, 9], [0, 0.25, 0.5, 0.75, 1], atol=1e-6)
    else:
        np.testing.assert_allclose(names[:, 3], [1, 0.5, 0.5, 0.5, 0], atol=1e-6)


def test_scores_are_calibrated_and_names_are_not_touched() -> None:
    scan, centres, _ = of_phantom(neck_phantom())
    oracle = Oracle()

    def found(settings: MultiViewSettings) -> Evidence:
        return MultiView(oracle, settings, lambda scan: centres, project=oracle.project).find(scan, silent)

    plain, changed = found(SETTINGS), found(replace(SETTINGS, score_calibration=(2.0, 1.0)))
    np.testing.assert_allclose(logit(changed.scores), 2 * logit(plain.scores) + 1)
    np.testing.assert_allclose(changed.level_log_probs, plain.level_log_probs)
    np.testing.assert_allclose(changed.positions_lps_mm, plain.positions_lps_mm)


def test_weights_from_before_the_calibration_keep_the_heights_as_scores() -> None:
    values = {**SETTINGS.to_metadata(), "score_calibration": [1.5, 0.5]}
    assert MultiViewSettings.from_metadata(values).score_calibration == (1.5, 0.5)
    del values["score_calibration"]
    assert MultiViewSettings.from_metadata(values) == SETTINGS


def test_no_vertebra_is_said_and_so_is_no_spine() -> None:
    scan, centres, _ = of_phantom(neck_phantom())
    for config in CONFIGURATIONS:
        with pytest.raises(NothingFoundError, match="spine in view"):
            method_for(Oracle(missed=1.0), centres, config).find(scan, silent)

    def no_curve(scan: Scan) -> np.ndarray:
        raise NothingFoundError("No spine was found")

    oracle = Oracle()
    with pytest.raises(NothingFoundError, match="No spine"):
        MultiView(oracle, SETTINGS, no_curve, project=oracle.project).find(scan, silent)


def test_cancel_stops_between_windows_and_views() -> None:
    scan, centres, _ = of_phantom(torso_phantom())
    for config, reached in (("default", 0.3), ("paper", 0.5)):
        oracle, told = Oracle(), []

        def stop(stage: str, fraction: float, told: list[float] = told, reached: float = reached) -> None:
            told.append(fraction)
            if fraction > reached:
                raise CancelledError("stopped")

        with pytest.raises(CancelledError):
            method_for(oracle, centres, config).find(scan, stop)
        assert told == sorted(told) and 0 < len(oracle.volumes) < 10


def test_the_images_of_a_whole_scan_hold_a_spine_that_is_off_the_axis() -> None:
    settings = whole_scan(SETTINGS, (900, 250, 250))
    ends = np.array([[z, y, 60.0] for z in (-890.0, 890.0) for y in (-90.0, 90.0)])
    assert seen_in(equal_views(settings).project(ends), settings.image_hw).all()
    assert all(n % 16 == 0 for n in settings.image_hw) and settings.window_zyx == (900, 250, 250)


def test_real_projections_of_bright_balls_are_found_where_they_are() -> None:
    """The projection in torch and the geometry in numpy are of one mind: no stub here but the network."""
    small = replace(SETTINGS, window_zyx=(96, 64, 64), image_hw=(96, 64), views=6)
    geometry = Geometry((110, 70, 74), (2.0, 2.0, 2.0), (-70.0, -62.0, 31.0))
    grid = geometry.lps_from_index_zyx(np.moveaxis(np.indices(geometry.shape_zyx), 0, -1).astype(float))
    centres = np.array([[3.0 + 2 * n, 5.0 - 3 * n, 210.0 - 32 * n] for n in range(5)])
    distance = np.linalg.norm(grid[..., None, :] - centres, axis=-1).min(-1)
    scan = Scan(np.where(distance < 10, 1300.0, -1000.0).astype(np.float32), geometry)

    class BrightNet:
        """What is far above the mean of an image is heat."""

        device = "cpu"

        def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
            bone = image[:, 1]
            low, high = bone.min((1, 2), keepdims=True), bone.max((1, 2), keepdims=True)
            levels = np.zeros((len(image), 26, image.shape[2] // 2, image.shape[3] // 2), np.float32)
            return {"heat": (bone - low) / (high - low) * 14 - 9, "levels": levels}

    evidence = MultiView(BrightNet(), small, lambda scan: centres).find(scan, silent)
    assert len(evidence) == 5
    order = np.argsort(-evidence.positions_lps_mm[:, 2])
    assert np.linalg.norm(evidence.positions_lps_mm[order] - centres, axis=1).max() < 1.0


def test_an_untrained_network_gives_shapes_that_fit() -> None:
    torch.manual_seed(0)
    network = TorchNetwork(build_network(SMALL.to_metadata()))
    hu = np.random.default_rng(0).uniform(-1000, 1000, SMALL.window_zyx).astype(np.float32)
    look = look_from_all_sides(network, drr_projection, hu, equal_views(SMALL), silent)
    assert len(look.peaks) == 3 and look.levels.shape == (3, 26, 32, 16)
    found = found_in(look, np.full(3, 64.0))
    assert found.probabilities.shape == (len(found.scores), 26)


def weights_of(metadata: dict) -> Weights:
    state = build_network(SMALL.to_metadata()).state_dict()
    arrays = {name: np.zeros(tuple(value.shape), np.float32) for name, value in state.items()}
    return Weights(arrays, {"model": "multi-view", "network": metadata}, "5ha", Path("multi-view.npz"))


def test_weights_become_a_method_and_foreign_ones_are_refused() -> None:
    scan, centres, _ = of_phantom(neck_phantom())
    corridor = Corridor(Oracle(), CorridorSettings(), "c0rr1d0r")
    corridor.last = (weakref.ref(scan), centres)
    method = load(weights_of(SMALL.to_metadata()), corridor, "cpu", "default")
    assert method.name == "multi-view"
    assert method.weights_sha256 == method.variant(views=5).weights_sha256
    assert method.weights_sha256 == {"multi-view": "5ha", "corridor": "c0rr1d0r"}
    with pytest.raises(NothingFoundError, match="spine in view"):  # all zeros see the same everywhere
        method.find(scan, silent)
    for foreign in ({}, {**SMALL.to_metadata(), "widths": (8, 8, 8, 16)}):
        with pytest.raises(ModelError, match="do not fit"):
            load(weights_of(foreign), corridor, "cpu", "default")
