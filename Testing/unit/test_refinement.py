"""Local refinement with networks whose answer is known exactly, and the training task."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from one_by_one import OneByOne
from VertebraLabelingLib import options, predict
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import CancelledError, ModelError
from VertebraLabelingLib.core.formats import read_points
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.labelling import Alternative, Evidence, LabelledPoint, Labelling
from VertebraLabelingLib.core.progress import silent
from VertebraLabelingLib.core.scan import Scan
from VertebraLabelingLib.engines.weights import load_model, load_weights, save_weights
from VertebraLabelingLib.methods.displacement.votes import cell_centres_mm
from VertebraLabelingLib.methods.refinement import Refinement, load
from VertebraLabelingLib.methods.refinement.local import Limits, kept_apart
from VertebraLabelingLib.methods.refinement.refine import build_network
from VertebraLabelingLib.methods.refinement.settings import RefinementSettings
from VertebraLabelingLib.methods.refinement.window import window_around
from VertebraLabelingLib.methods.registry import uses_refinement
from VertebraLabelingLib.pipeline import label_scan

SETTINGS = RefinementSettings(hu_ranges=((-1000.0, 1000.0),))
TURN = np.deg2rad(20)
OBLIQUE = (np.cos(TURN), 0.0, np.sin(TURN), 0.0, -1.0, 0.0, np.sin(TURN), 0.0, -np.cos(TURN))
CENTRES_LPS = np.array([[3.0, -41.0, 160.0], [4.5, -38.0, 132.0], [6.1, -40.0, 104.0]])
GRIDS = {
    "2 mm": Geometry((70, 40, 40), (2.0, 2.0, 2.0), (-35.3, -80.2, 62.4)),
    "fine": Geometry((120, 90, 90), (0.9, 0.9, 1.1), (-36.3, -81.2, 66.4)),
    "coarse and oblique": Geometry((55, 30, 40), (2.3, 3.0, 2.4), (-55.0, 0.0, 180.0), OBLIQUE),
}


def scan_of(centres: np.ndarray, geometry: Geometry) -> Scan:
    """Soft balls of bone in soft tissue."""
    grid = geometry.lps_from_index_zyx(np.moveaxis(np.indices(geometry.shape_zyx), 0, -1).astype(float))
    hu = np.zeros(geometry.shape_zyx, np.float32)
    for centre in centres:
        hu = np.maximum(hu, 1000 * np.exp(-np.sum((grid - centre) ** 2, axis=-1) / (2 * 5.0**2))).astype(np.float32)
    return Scan(hu, geometry)


def brightest_mm(image: np.ndarray, settings: RefinementSettings) -> np.ndarray:
    """Centre of mass (z, y, x) of what is bright near the middle of (channels, z, y, x); the last one is the hint."""
    weight = np.clip(image[0] - 0.4, 0, None) * (image[-1] > 0.35)
    centres = cell_centres_mm(image.shape[1:], settings.spacing_mm).reshape(3, -1)
    return (centres * weight.ravel()).sum(1) / weight.sum()


class Oracle(OneByOne):
    """Every patch points to the ball in the middle, `off_mm` (z, y, x) beside it, and knows whether it has it."""

    def __init__(self, settings: RefinementSettings, off_mm=(0.0, 0.0, 0.0), logit: float = 8.0, noise_mm: float = 0.0):
        self.settings, self.off_mm, self.logit, self.noise_mm = settings, np.array(off_mm), logit, noise_mm

    def answer(self, window):
        network = self.settings.network
        assert window.shape == (network.channels, *self.settings.window_zyx) and window.dtype == np.float32
        cells = [n // network.cell_pixels for n in self.settings.window_zyx]
        target = (brightest_mm(window, self.settings) + self.off_mm)[:, None, None, None]
        displacements = target - cell_centres_mm(cells, network.cell_mm)
        present = (np.abs(displacements) <= network.presence_reach * network.cell_mm).all(0)
        noise = np.random.default_rng(0).normal(0, 1, displacements.shape) * self.noise_mm
        return {
            "displacements_mm": (displacements + noise)[None].astype(np.float32),
            "presence": np.where(present, self.logit, -8.0)[None].astype(np.float32),
        }


def refinement(mirror=True, settings=SETTINGS, **oracle) -> Refinement:
    return Refinement(Oracle(settings, **oracle), settings, {"refinement": "ab" * 32}, mirror)


def labelling_at(positions: np.ndarray) -> Labelling:
    levels = (Level.T12, Level.L1, Level.L2)
    points = tuple(
        LabelledPoint(level, tuple(map(float, p)), 0.9 - 0.2 * n, f"remark {n}")
        for n, (level, p) in enumerate(zip(levels, positions, strict=False))
    )
    other = Alternative((Level.L1, Level.L2, Level.L3), 1, 0.2)
    return Labelling(points, (other,), (Level.S1,), level_certain=False, remarks=("of all",))


# --- moving -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", sorted(GRIDS))
@pytest.mark.parametrize("spacing_mm", [1.0, 2.0])
def test_a_displaced_point_goes_back_to_its_ball_on_any_grid(grid, spacing_mm):
    settings = replace(SETTINGS, spacing_mm=spacing_mm, window_zyx=(32,) * 3 if spacing_mm == 2 else (48,) * 3)
    displaced = CENTRES_LPS + [[3.0, -2.0, 4.0], [-4.0, 1.0, 0.0], [0.0, 2.5, -3.0]]
    found = refinement(settings=settings).positions(scan_of(CENTRES_LPS, GRIDS[grid]), displaced)
    assert np.abs(found - CENTRES_LPS).max() < 0.5


def test_names_order_remarks_and_everything_else_stay():
    before = labelling_at(CENTRES_LPS + [2.0, 2.0, 2.0])
    after = refinement().refined(scan_of(CENTRES_LPS, GRIDS["2 mm"]), before)
    np.testing.assert_allclose([p.position_lps_mm for p in after.points], CENTRES_LPS, atol=0.5)
    back = [replace(p, position_lps_mm=q.position_lps_mm) for p, q in zip(after.points, before.points, strict=True)]
    assert replace(after, points=tuple(back)) == before
    assert all(type(v) is float for p in after.points for v in p.position_lps_mm)


def test_an_error_to_one_side_cancels_in_the_mirror():
    scan, displaced = scan_of(CENTRES_LPS, GRIDS["2 mm"]), CENTRES_LPS + [2.0, 0.0, 0.0]
    once = refinement(mirror=False, off_mm=(0, 0, 1.5)).positions(scan, displaced)
    np.testing.assert_allclose(once - CENTRES_LPS, [[1.5, 0, 0]] * 3, atol=0.3)
    np.testing.assert_allclose(
        refinement(off_mm=(0, 0, 1.5)).positions(scan, displaced),
        refinement(mirror=False).positions(scan, displaced),
        atol=0.2,
    )


# --- staying ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "oracle",
    [{"logit": -2.0}, {"noise_mm": 9.0}, {"off_mm": (0.0, Limits().most_move_mm + 2, 0.0)}],
    ids=["no patch is sure", "the patches disagree", "too far"],
)
def test_what_is_not_convincing_stays(oracle):
    displaced = CENTRES_LPS + [1.0, 1.0, 1.0]
    found = refinement(mirror=False, **oracle).positions(scan_of(CENTRES_LPS, GRIDS["2 mm"]), displaced)
    np.testing.assert_array_equal(found, displaced)


def test_two_points_never_end_on_one_vertebra():
    between = CENTRES_LPS[:2] + [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    between[1] = CENTRES_LPS[0] - [0.0, 0.0, 7.5]
    found = refinement().positions(scan_of(CENTRES_LPS[:1], GRIDS["2 mm"]), between)
    np.testing.assert_array_equal(found, between)


def test_points_that_keep_their_distance_may_move():
    before = np.array([[0.0, 0, 0], [0, 0, 20], [0, 0, 40]])
    after = np.array([[0.0, 1, 1], [0, 0, 36], [0, 0, 42]])
    np.testing.assert_array_equal(kept_apart(before, after, 0.6), [[0, 1, 1], [0, 0, 20], [0, 0, 40]])
    np.testing.assert_array_equal(kept_apart(before[:1], after[:1], 0.6), after[:1])
    assert kept_apart(before[:0], after[:0], 0.6).shape == (0, 3)


def test_no_point_leaves_the_scan():
    centre = np.array([[3.0, -41.0, 64.0]])
    scan = scan_of(centre, GRIDS["2 mm"])
    found = refinement().positions(scan, centre + [2.0, 0.0, 1.0])
    np.testing.assert_allclose(found[0, :2], centre[0, :2], atol=0.5)
    beyond = refinement(mirror=False, off_mm=(-5.0, 0.0, 0.0)).positions(scan, centre)
    np.testing.assert_array_equal(beyond, centre)


def test_a_cancelled_run_stops():
    def stop(stage: str, fraction: float) -> None:
        raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        refinement().positions(scan_of(CENTRES_LPS, GRIDS["2 mm"]), CENTRES_LPS, stop)


# --- window -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", sorted(GRIDS))
def test_the_window_shows_the_scan_where_its_corner_says(grid):
    scan = scan_of(CENTRES_LPS, GRIDS[grid])
    hu, corner = window_around(scan, CENTRES_LPS[1] + [1.3, -2.2, 0.6], SETTINGS)
    assert hu.shape == SETTINGS.window_zyx
    positions = corner[:, None, None, None] + cell_centres_mm(hu.shape, 2.0)[::-1]
    distances = ((np.moveaxis(positions, 0, -1)[..., None, :] - CENTRES_LPS) ** 2).sum(-1).min(-1)
    inside = scan.geometry.border_distance_mm(np.moveaxis(positions, 0, -1)) > 2 * max(scan.geometry.spacing_xyz_mm)
    assert inside.mean() > 0.6
    assert np.abs(hu - 1000 * np.exp(-distances / 50))[inside].max() < 130, "what interpolation smooths"


def test_beyond_the_scan_is_air():
    scan = scan_of(CENTRES_LPS, GRIDS["2 mm"])
    hu, corner = window_around(scan, np.array([3.0, -41.0, 62.0]), SETTINGS)
    below = int(np.floor((61.4 - corner[2]) / 2.0))
    assert below > 10 and (hu[:below] == -1000).all() and (hu[below + 1 :, 8:24, 8:24] > -1).all()


# --- weights ----------------------------------------------------------------------------------------------------------


def test_without_weights_there_is_no_refinement(tmp_path: Path):
    (tmp_path / "models.json").write_text('{"models": []}')
    with pytest.raises(ModelError, match="No weights for 'refinement'"):
        load_model("refinement", tmp_path)


def test_weights_travel_with_their_settings(tmp_path: Path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    settings = RefinementSettings(window_zyx=(16, 16, 16), widths=(8, 8), blocks=1)
    network = build_network(settings.to_metadata())
    values = {"model": "refinement", "network": settings.to_metadata()}
    sha256 = save_weights(tmp_path / "refinement.pt", network.state_dict(), values)
    stage = load(load_weights(tmp_path / "refinement.pt"))
    assert stage.weights_sha256 == {"refinement": sha256}
    voted = stage.stage.vote(np.zeros((16, 16, 16), np.float32))
    assert voted.positions_mm.shape == (1, 3)
    # mirroring the window mirrors the answer, because both sides are asked
    rng = np.random.default_rng(0)
    hu = rng.normal(0, 300, (16, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(
        stage.stage.vote(hu).presences, stage.stage.vote(hu[..., ::-1].copy()).presences, rtol=1e-4
    )


def test_the_network_is_small():
    pytest.importorskip("torch")
    assert sum(p.numel() for p in build_network(RefinementSettings().to_metadata()).parameters()) <= 300_000


# --- in the pipeline --------------------------------------------------------------------------------------------------


class Found:
    """A method that finds three vertebrae near the balls."""

    name, weights_sha256 = "found", {}

    def find(self, scan, progress):
        log_probs = np.full((3, len(Level)), np.log(0.02 / (len(Level) - 1)))
        log_probs[np.arange(3), [Level.T12, Level.L1, Level.L2]] = np.log(0.98)
        return Evidence(CENTRES_LPS + [2.0, -1.0, 2.0], log_probs, np.full(3, 0.95))


def bodies() -> Scan:
    """The balls in a body of soft tissue with air around it, as a CT is."""
    scan = scan_of(CENTRES_LPS, GRIDS["2 mm"])
    y, x = np.indices(scan.hu.shape[1:]) - 20
    hu = np.where(np.hypot(y, x) < 17, scan.hu + 40 + 10 * np.sin(y / 3 + x / 5), -1000)
    return replace(scan, hu=hu.astype(np.float32))


def test_refinement_is_one_stage_of_the_pipeline_that_can_be_left_out():
    without = label_scan(bodies(), Found())
    refined = label_scan(bodies(), Found(), refine=refinement().refined)
    assert "refine" in refined.seconds and "refine" not in without.seconds
    assert refined.labelling.levels == without.labelling.levels
    errors = [
        np.abs(np.array([p.position_lps_mm for p in result.labelling.points]) - CENTRES_LPS).max()
        for result in (without, refined)
    ]
    assert errors[0] == 2 and errors[1] < 0.7


def test_a_labelling_of_nothing_is_refined_to_nothing():
    nothing = Labelling(())
    assert refinement().refined(bodies(), nothing, silent) == nothing


def test_who_refines():
    assert uses_refinement(True, "paper") and not uses_refinement(False, "default")
    assert not uses_refinement(None, "paper"), "a paper's own system has no refinement"


@pytest.mark.parametrize(("switch", "moved"), [(["--refine"], True), (["--no-refine"], False)])
def test_the_command_refines_and_the_record_names_the_weights(switch, moved, tmp_path: Path, monkeypatch):
    pytest.importorskip("torch")
    ct, output = tmp_path / "ct.nii.gz", tmp_path / "out.mrk.json"
    sitk.WriteImage(bodies().to_sitk(), str(ct))
    monkeypatch.setattr(options, "load_method", lambda *args: Found())
    monkeypatch.setattr("VertebraLabelingLib.methods.refinement.load_shipped", lambda *args: refinement())
    assert predict.main(["label", str(ct), "--output", str(output), "--device", "cpu", "--quiet", *switch]) == 0
    positions = np.array([point.position_lps_mm for point in read_points(output)])
    assert (np.abs(positions - CENTRES_LPS).max() < 0.7) == moved
    record = json.loads((tmp_path / "out.run.json").read_text())
    assert record["settings"]["weights_sha256"] == ({"refinement": "ab" * 32} if moved else {})
    assert ("refine" in record["seconds"]) == moved
