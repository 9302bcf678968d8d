"""The phantoms: true centroids, plausible columns, ribs on the right joints, honest files."""

from __future__ import annotations

import argparse
import csv
import itertools
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import neck_phantom, small_phantom, torso_phantom
from VertebraLabelingLib.core.anatomy import Level, Region
from VertebraLabelingLib.core.errors import UsageError
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.readers import read_scan

from training.commands import phantom as command
from training.phantom import (
    Acquisition,
    Anatomy,
    Disease,
    PhantomSpec,
    Pose,
    generate,
    make_phantom,
    phantom_stream,
    random_spec,
)
from training.phantom.acquisition import add_noise, in_view
from training.phantom.canvas import Canvas
from training.phantom.generate import building_grid, field_of_view, visible_centroids
from training.phantom.poses import pose_of
from training.phantom.profile import chest_profile
from training.phantom.solids import ellipsoid, rod
from training.phantom.spine import Frame, build_spine
from training.phantom.tables import STEPS, trabecular_hu
from training.phantom.thorax import rib_joint_lps_mm, rib_lengths_mm, rib_numbers, rib_path_lps_mm
from training.phantom.vertebra import body as body_distance

TINY = PhantomSpec((6.0, 6.0, 6.0), first=Level.L2, last=Level.L4, width_mm=90, depth_mm=120)
QUIET = Acquisition(noise_hu=0)


def spine(seed=0, **choices):
    return build_spine(PhantomSpec(anatomy=Anatomy(**choices)), np.random.default_rng(seed))


def pose(first, last, lean=0.0):
    """An invented column of 30 mm steps, leaning to the left by `lean` mm per step."""
    levels = [level for level in Level if first <= level <= last and not level.is_supernumerary]
    return Pose(tuple(levels), tuple((lean * i, 0.0, -float(np.sqrt(900 - lean**2)) * i) for i in range(len(levels))))


def mean_hu(phantom, point_lps_mm, reach=1):
    k, j, i = np.round(phantom.scan.geometry.index_zyx_from_lps(np.array(point_lps_mm))).astype(int)
    return float(
        phantom.scan.hu[k - reach : k + reach + 1, j - reach : j + reach + 1, i - reach : i + reach + 1].mean()
    )


@pytest.mark.parametrize("phantom", [small_phantom, neck_phantom])
def test_centroids_lie_in_spongiosa(phantom):
    made = phantom()
    bodies = [level for level in made.centroids if Level.C3 <= level < Level.S1]
    assert len(bodies) >= 6
    for level in bodies:
        assert mean_hu(made, made.centroids[level]) == pytest.approx(trabecular_hu(level), rel=0.35), level


def test_body_is_darker_within_than_at_its_endplates_and_brighter_than_its_disc():
    made = make_phantom(4, PhantomSpec(first=Level.L1, last=Level.L4, width_mm=120, depth_mm=120, acquisition=QUIET))
    upper, lower = (np.array(made.centroids[level]) for level in (Level.L2, Level.L3))
    line = [mean_hu(made, upper + share * (lower - upper)) for share in np.linspace(0, 1, 41)]
    assert max(line) > line[0] * 1.15
    assert line[20] < 130 < line[0]


def test_the_ring_of_c1_has_no_body_but_arches_before_and_behind():
    made = neck_phantom()
    ring = np.array(made.centroids[Level.C1])
    k, j, i = np.round(made.scan.geometry.index_zyx_from_lps(ring)).astype(int)
    assert made.scan.hu[k - 1 : k + 2, j + 2 : j + 4, i].max() < 150
    assert made.scan.hu[k - 5 : k + 6, j - 11 : j - 6, i].max() > 400
    assert made.scan.hu[k - 5 : k + 6, j + 7 : j + 12, i].max() > 400


def test_spacing_follows_the_table():
    lengths = {level: [] for level in STEPS}
    for seed in range(60):
        column = spine(seed)
        points = column.centroids_lps_mm()
        for level, length in zip(column.levels, np.linalg.norm(np.diff(points, axis=0), axis=1), strict=False):
            lengths[level].append(length / column.stature)
    for level in (x for x in column.levels if x < Level.S2):
        step = STEPS[level]
        assert np.mean(lengths[level]) == pytest.approx(step.length_mm, abs=0.6 * step.relative_sd * step.length_mm)
        assert np.std(lengths[level]) == pytest.approx(step.relative_sd * step.length_mm, rel=0.45)


def test_stature_varies_as_in_patients():
    statures = [spine(seed).stature for seed in range(200)]
    assert np.std(statures) == pytest.approx(0.065, abs=0.012)
    assert min(statures) >= 0.84
    assert max(statures) <= 1.16


def test_column_runs_downwards_and_frames_are_orthonormal():
    column = spine(7, scoliosis_deg=15.0)
    assert np.all(np.diff(column.centroids_lps_mm()[:, 2]) < 0)
    for vertebra in column.vertebrae:
        np.testing.assert_allclose(vertebra.frame.axes @ vertebra.frame.axes.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(vertebra.frame.axes) == pytest.approx(1.0)
        assert vertebra.frame.axes[2, 2] > 0.4


def test_bodies_do_not_touch():
    for seed in range(10):
        column = spine(seed).vertebrae[2:-2]
        for upper, lower in pairwise(column):
            gap = np.linalg.norm(upper.frame.origin_lps_mm - lower.frame.origin_lps_mm)
            assert gap - (upper.height_mm + lower.height_mm) / 2 > 1.0


def test_same_seed_and_spec_give_the_same_bits():
    first, second, other = (make_phantom(seed, TINY) for seed in (5, 5, 6))
    assert first.scan.hu.tobytes() == second.scan.hu.tobytes()
    assert first.centroids == second.centroids
    assert first.centroids != other.centroids


def test_noise_does_not_move_the_anatomy():
    quiet, loud = (make_phantom(5, replace(TINY, acquisition=Acquisition(noise_hu=sd))) for sd in (0.0, 40.0))
    assert quiet.centroids == loud.centroids
    assert np.std(quiet.scan.hu - loud.scan.hu) > 10


def test_partial_field_of_view_keeps_exactly_the_levels_inside():
    spec = PhantomSpec(first=Level.T9, last=Level.L3, cranial_mm=5, caudal_mm=5)
    column = build_spine(spec, np.random.default_rng(3))
    grid = field_of_view(column, spec)
    seen = visible_centroids(column, grid, spec.acquisition)
    assert list(seen) == [level for level in Level if Level.T9 <= level <= Level.L3 and level is not Level.T13]
    assert grid.contains_lps(np.array(list(seen.values()))).all()


def test_a_view_beside_the_spine_has_no_centroids():
    spec = replace(TINY, off_centre_mm=(200.0, 0.0))
    column = build_spine(spec, np.random.default_rng(0))
    assert visible_centroids(column, field_of_view(column, spec), spec.acquisition) == {}


@pytest.mark.parametrize("thoracic", [11, 12, 13])
@pytest.mark.parametrize("lumbar", [4, 5, 6])
def test_anomalies_change_the_list_of_levels_and_nothing_else(thoracic, lumbar):
    levels = spine(thoracic_count=thoracic, lumbar_count=lumbar).levels
    names = [f"C{n}" for n in range(1, 8)] + [f"T{n}" for n in range(1, thoracic + 1)]
    assert [level.name for level in levels] == [*names, *(f"L{n}" for n in range(1, lumbar + 1)), "S1", "S2"]


@pytest.mark.parametrize("choices", [{"first": Level.T13}, {"first": Level.L1, "last": Level.T4}, {"width_mm": 0.0}])
def test_an_impossible_field_of_view_is_refused(choices):
    with pytest.raises(ValueError, match="phantom"):
        PhantomSpec(**choices)


@pytest.mark.parametrize("make", [lambda: Anatomy(lumbar_count=7), lambda: Anatomy(junction="none"),
                                  lambda: Disease(implants="hip")])  # fmt: skip
def test_impossible_anatomy_and_disease_are_refused(make):
    with pytest.raises(ValueError, match="phantom"):
        make()


def test_a_posed_column_has_the_steps_of_the_pose_and_goes_on_in_its_direction():
    real = pose(Level.T9, Level.L3, lean=9.0)
    column = spine(4, pose=real)
    inside = [i for i, level in enumerate(column.levels) if Level.T9 <= level <= Level.L3]
    points = column.centroids_lps_mm()
    np.testing.assert_allclose(np.diff(points[inside], axis=0), real.steps_mm, atol=1e-9)
    beyond = points[inside[-1] + 1] - points[inside[-1]]
    assert beyond[0] / np.linalg.norm(beyond) == pytest.approx(0.75 * 9 / 30, abs=0.1)
    assert np.all(np.diff(points[:, 2]) < 0)


def test_a_pose_sets_the_stature():
    usual = spine(4, pose=Pose(*_table_pose(1.0))).stature
    assert usual == pytest.approx(1.0, abs=1e-6)
    assert spine(4, pose=Pose(*_table_pose(1.15))).stature == pytest.approx(1.15, abs=1e-6)


def _table_pose(factor):
    levels = tuple(Level[f"T{n}"] for n in range(3, 12))
    heights = -factor * np.cumsum([0.0] + [STEPS[level].length_mm for level in levels[:-1]])
    return levels, tuple((0.0, 0.0, float(z)) for z in heights)


def test_only_the_part_of_a_pose_that_the_anatomy_shares_is_followed():
    real = pose(Level.T8, Level.L4)
    column = spine(4, pose=real, thoracic_count=13)
    gaps = np.linalg.norm(np.diff(column.centroids_lps_mm(), axis=0), axis=1)
    places = dict(zip(column.levels, gaps, strict=False))
    assert [places[Level[f"T{n}"]] for n in range(8, 12)] == pytest.approx([30.0] * 4)
    assert abs(places[Level.T12] - 30.0) > 0.1


def test_a_pose_leaves_out_the_dens_and_stops_at_a_slip():
    levels = [Level.C2, Level.C3, Level.C4, Level.C5, Level.C7]
    made = pose_of(levels, np.array([[0.0, 0, -20 * i] for i in range(5)]))
    assert made.levels == (Level.C3, Level.C4, Level.C5)
    assert pose_of([Level.C1, Level.C2], np.zeros((2, 3))) is None


def test_random_specs_with_real_spines_have_their_sixth_lumbar_vertebra():
    levels = (*(Level[f"L{n}"] for n in range(1, 7)),)
    six = Pose(levels, tuple((0.0, 0.0, -33.0 * i) for i in range(6)))
    specs = [random_spec(np.random.default_rng(seed), [six]) for seed in range(30)]
    posed = [spec for spec in specs if spec.anatomy.pose]
    assert 20 < len(posed) < 30
    assert all(spec.anatomy.lumbar_count == 6 for spec in posed)
    assert any(Level.L6 in spec.levels and spec.first <= Level.L6 <= spec.last for spec in posed)


@pytest.mark.shared
def test_the_real_list_gives_poses_of_which_some_have_six_lumbar_vertebrae(shared_data):
    from training.phantom import read_poses

    poses = read_poses(shared_data / "spines.csv.gz")
    assert len(poses) > 1900
    assert sum(Level.L6 in made.levels for made in poses) > 40
    column = build_spine(PhantomSpec(anatomy=Anatomy(pose=poses[0])), np.random.default_rng(0))
    assert np.all(np.diff(column.centroids_lps_mm()[:, 2]) < 0)


@pytest.mark.parametrize("last", [(0.0, 0.0), (35.0, 180.0)])
def test_the_last_pair_of_ribs_has_the_length_asked_for(last):
    column = spine(2)
    right, left = rib_lengths_mm(column, Anatomy(last_rib_mm=last), np.random.default_rng(0))
    assert (right[12], left[12]) == last
    path = rib_path_lps_mm(column, 12, column[Level.T12], 1.0, chest_profile(column), left[12])
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).sum() == pytest.approx(left[12], rel=0.01)


def test_a_last_rib_and_a_lumbar_rib_are_painted_on_the_side_asked_for():
    view = PhantomSpec((3.0,) * 3, first=Level.T12, last=Level.L1, width_mm=200, depth_mm=140, acquisition=QUIET)
    none, last, lumbar = (
        make_phantom(1, replace(view, anatomy=Anatomy(last_rib_mm=twelfth, lumbar_rib_mm=first)))
        for twelfth, first in (((0.0, 0.0), (0.0, 0.0)), ((0.0, 90.0), (0.0, 0.0)), ((0.0, 0.0), (60.0, 0.0)))
    )
    middle = round(float(none.scan.geometry.index_zyx_from_lps(np.array(none.centroids[Level.L1]))[2]))
    for made, left in ((last, True), (lumbar, False)):
        new = made.scan.hu - none.scan.hu > 150
        sides_cm3 = [np.count_nonzero(part) * 0.027 for part in (new[..., :middle], new[..., middle:])]
        assert sides_cm3[left] > 0.8
        assert sides_cm3[not left] == 0


def test_a_sacralised_vertebra_reaches_the_wings_and_a_lumbarised_one_has_a_disc_below():
    plain, wide, free = (spine(3, junction=kind) for kind in ("regular", "sacralised", "lumbarised"))
    assert wide[Level.L5].size.process_span_mm > 1.08 * plain[Level.L5].size.process_span_mm
    assert wide[Level.L5].size.disc_mm < 0.6 * plain[Level.L5].size.disc_mm
    assert free[Level.S1].size.disc_mm > 4 > plain[Level.S1].size.disc_mm


def test_a_fractured_body_is_lower_in_front_and_keeps_its_back():
    distance = body_distance(20.0, 15.0, 20.0, 15.0, 12.0, 0.0, wedge=0.4)
    u, w = np.zeros((1, 1, 1), np.float32), np.linspace(-13, 13, 261, dtype=np.float32)[:, None, None]
    front, back = (float((distance(u, u + v, w) < 0).sum()) * 0.1 for v in (-14.9, 14.9))
    assert front == pytest.approx(24 * 0.6, abs=0.5)
    assert back == pytest.approx(24, abs=0.5)


def test_screws_saturate_and_cement_does_not():
    spec = PhantomSpec((2.0,) * 3, first=Level.L2, last=Level.L3, width_mm=100, depth_mm=120, acquisition=QUIET)
    plain, screws, cement = (
        make_phantom(2, replace(spec, disease=Disease(implants=kind))).scan.hu for kind in ("none", "screws", "cement")
    )
    assert plain.max() < 1500 < cement.max() < 2500
    assert screws.max() == 3071


def test_an_aneurysm_is_bright_right_in_front_of_the_spine():
    spec = PhantomSpec((3.0,) * 3, first=Level.T10, last=Level.L4, width_mm=150, depth_mm=200, vessel_hu=350)
    spec = replace(spec, acquisition=QUIET)
    plain, sac = (make_phantom(1, replace(spec, disease=Disease(aneurysm_mm=size))).scan.hu for size in (0.0, 30.0))
    assert np.count_nonzero(sac - plain > 150) * 27 > 10_000


def test_a_tilted_or_round_view_hides_what_lies_outside_from_image_and_truth():
    grid = Geometry((41, 41, 41), (5.0, 5.0, 5.0), (-100.0, -100.0, -100.0))
    points = np.array([[0.0, 0.0, 95.0], [0.0, -80.0, 95.0], [80.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert in_view(grid, Acquisition(tilt_deg=20.0), points).tolist() == [True, False, True, True]
    assert in_view(grid, Acquisition(circular_view=True, view_mm=60.0), points).tolist() == [True, False, False, True]
    spec = replace(TINY, acquisition=Acquisition(tilt_deg=25.0, noise_hu=0))
    hu = make_phantom(1, spec).scan.hu
    assert np.all(hu[-1, 0] == -1024)
    assert hu[len(hu) // 2].max() > 0


def test_gain_and_offset_move_bone_and_leave_air():
    made = [make_phantom(1, replace(TINY, acquisition=Acquisition(noise_hu=0, gain=gain, offset_hu=offset)))
            for gain, offset in ((1.0, 0.0), (1.1, 10.0))]  # fmt: skip
    plain, moved = (phantom.scan.hu for phantom in made)
    bone = plain > 300
    np.testing.assert_allclose(moved[bone], 1.1 * plain[bone] + 10, atol=15)
    assert np.all(moved[plain < -900] < -850)


def test_a_stream_gives_the_phantoms_of_its_seeds(monkeypatch):
    monkeypatch.setattr(generate, "random_spec", lambda rng, spines: replace(TINY, fat_mm=float(rng.uniform(4, 30))))
    first, second = itertools.islice(phantom_stream(900), 2)
    for seed, made in ((900, first), (901, second)):
        again = make_phantom(seed, replace(TINY, fat_mm=float(np.random.default_rng(seed).uniform(4, 30))))
        assert made.scan.hu.tobytes() == again.scan.hu.tobytes()
        assert made.centroids == again.centroids


def test_torch_paints_the_same_body():
    pytest.importorskip("torch")
    acquisition = Acquisition(noise_hu=0, kernel=0.5, tilt_deg=5, circular_view=True)
    spec = replace(TINY, acquisition=acquisition, disease=Disease(osteophytes=0.5, implants="screws"))
    host, device = make_phantom(5, spec), make_phantom(5, spec, "cpu")
    np.testing.assert_allclose(device.scan.hu, host.scan.hu, atol=0.5)
    assert device.centroids == host.centroids


@pytest.mark.parametrize("thoracic", [11, 12, 13])
def test_every_thoracic_vertebra_has_ribs_and_no_other_has(thoracic):
    bearers = [vertebra.level for vertebra in rib_numbers(spine(thoracic_count=thoracic)).values()]
    assert [level.name for level in bearers] == [f"T{n}" for n in range(1, thoracic + 1)]


def test_ribs_2_to_9_begin_at_the_disc_above_and_the_others_at_their_body():
    column = spine(2)
    for number, vertebra in rib_numbers(column).items():
        joint = rib_joint_lps_mm(column, number, vertebra, 1.0)
        up = (vertebra.frame.axes @ (joint - vertebra.frame.origin_lps_mm))[2]
        if 2 <= number <= 9:
            assert up > vertebra.height_mm / 2
        else:
            assert abs(up) < vertebra.height_mm / 2


@pytest.mark.parametrize(("number", "length_mm"), [(1, 110.0), (6, 315.0), (12, 115.0), (12, 30.0)])
def test_a_rib_has_its_length_and_runs_outwards_and_down(number, length_mm):
    column = spine(2)
    vertebra = rib_numbers(column)[number]
    path = rib_path_lps_mm(column, number, vertebra, -1.0, chest_profile(column), length_mm)
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).sum() == pytest.approx(length_mm, rel=0.01)
    assert path[-1, 0] < path[0, 0] < vertebra.frame.origin_lps_mm[0]
    if length_mm > 50:
        assert path[-1, 2] < path[0, 2] - 20


def test_rib_bone_is_found_beside_the_thoracic_vertebrae_but_not_beside_l3():
    made = torso_phantom()
    brightest = {}
    for level in (Level.T4, Level.T8, Level.L3):
        k, j, i = np.round(made.scan.geometry.index_zyx_from_lps(np.array(made.centroids[level]))).astype(int)
        brightest[level] = made.scan.hu[k - 3 : k + 4, j : j + 20, i - 32 : i - 20].max()
    assert brightest[Level.T4] > 280
    assert brightest[Level.T8] > 280
    assert brightest[Level.L3] < 220


def test_lungs_are_air_beside_t7_and_absent_beside_l3():
    made = torso_phantom()
    beside = np.array([70.0, -20.0, 0.0])
    assert mean_hu(made, made.centroids[Level.T7] + beside) < -700
    assert mean_hu(made, made.centroids[Level.L3] + beside, 5) > -250


def test_pelvis_stands_beside_the_sacrum():
    made = make_phantom(1, PhantomSpec((3.0,) * 3, first=Level.L4, caudal_mm=60, acquisition=QUIET))
    k, j, i = np.round(made.scan.geometry.index_zyx_from_lps(np.array(made.centroids[Level.S1]))).astype(int)
    for side in (slice(i - 45, i - 14), slice(i + 14, i + 45)):
        assert made.scan.hu[k, j - 5 : j + 15, side].max() > 300


def test_contrast_brightens_the_aorta():
    spec = PhantomSpec((3.0,) * 3, first=Level.T10, last=Level.L2, width_mm=120, depth_mm=160, acquisition=QUIET)
    plain, bright = (make_phantom(1, replace(spec, vessel_hu=hu)) for hu in (45.0, 300.0))
    assert np.max(bright.scan.hu - plain.scan.hu) > 200


def test_values_are_clipped_and_the_circle_masks_the_corners():
    hu = make_phantom(1, replace(TINY, acquisition=Acquisition(circular_view=True, noise_hu=60))).scan.hu
    assert hu.dtype == np.float32
    assert hu.min() == -1024
    assert hu.max() <= 3071
    assert np.all(hu[:, 0, 0] == -1024)
    assert hu[:, hu.shape[1] // 2, hu.shape[2] // 2].max() > -500


def test_noise_has_the_wanted_deviation():
    body = np.zeros((6, 80, 80), np.float32)
    add_noise(body, 20.0, np.random.default_rng(0))
    assert body.std() == pytest.approx(20.0 * 1.3, rel=0.05)


def test_thick_slices_are_smoother_along_z():
    spec = replace(TINY, spacing_zyx_mm=(2.0, 3.0, 3.0))
    slices = (replace(spec, acquisition=Acquisition(noise_hu=0, slice_mm=mm)) for mm in (2.0, 8.0))
    thin, thick = (make_phantom(1, made).scan.hu for made in slices)
    assert np.abs(np.diff(thick, axis=0)).mean() < 0.7 * np.abs(np.diff(thin, axis=0)).mean()


def test_very_fine_grids_are_painted_at_2_mm():
    body = Geometry((600, 512, 512), (0.98, 0.98, 1.5))
    assert building_grid(body).spacing_xyz_mm == (2.0, 2.0, 2.0)
    assert building_grid(Geometry((60, 51, 52), (0.98, 0.98, 5.0))).spacing_xyz_mm == (0.98, 0.98, 2.0)


def test_painted_volume_is_exact():
    canvas = Canvas(Geometry((50, 50, 50), (1.0, 1.0, 1.0)))
    canvas.paint(ellipsoid((24.5, 24.5, 24.5), (15.0, 15.0, 15.0)), 0.0)
    assert (canvas.hu / 1000 + 1).sum() == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.01)


def test_capsule_distance_is_exact_in_a_turned_frame():
    frame = Frame(np.array([10.0, 0.0, 0.0]), np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    solid = rod(frame, (0, 0, 0), (20, 0, 0), 2.0)
    at = solid.distance_mm(*(np.float32(value) for value in (15.0, 10.0, 0.0)))
    assert float(at) == pytest.approx(3.0)
    np.testing.assert_allclose(solid.box_lps_mm, [[8, -2, -2], [12, 22, 2]])


def test_random_specs_are_valid_and_cover_partial_views():
    specs = [random_spec(np.random.default_rng(seed)) for seed in range(200)]
    assert {spec.anatomy.thoracic_count for spec in specs} == {11, 12, 13}
    assert any(spec.first is Level.C1 for spec in specs)
    assert any(spec.last is Level.S2 for spec in specs)
    assert any(spec.first.region is Region.THORACIC and spec.last.region is Region.LUMBAR for spec in specs)
    last_ribs = np.array([spec.anatomy.last_rib_mm for spec in specs])
    assert np.all((last_ribs >= 0) & (last_ribs < 280))
    assert 0.1 < np.mean(last_ribs < 38) < 0.35
    assert np.mean(last_ribs > 120) > 0.25


def run_command(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["phantom", *arguments])
    return args.run(args)


def test_the_command_poses_its_phantom_by_a_list_of_spines(tmp_path, monkeypatch):
    real = pose(Level.L1, Level.L4)
    monkeypatch.setattr(command, "read_poses", lambda path: (real,) if path.name == "list" else ())
    options = ("--levels", "L2-L3", "--size", "small", "--spacing", "8", "8", "8", "--spines", "list")
    assert run_command("--output", str(tmp_path / "ct.nii.gz"), *options) == 0
    with (tmp_path / "ct.truth.csv").open(encoding="utf-8") as stream:
        z_mm = [float(row["z"]) for row in csv.DictReader(stream)]
    assert z_mm[0] - z_mm[1] == pytest.approx(30.0, abs=0.01)


def test_written_files_read_back_with_the_same_geometry_and_truth(tmp_path):
    out = tmp_path / "ct.nii.gz"
    options = ("--levels", "L2-L3", "--size", "small", "--spacing", "5", "4", "4", "--seed", "9")
    assert run_command("--output", str(out), *options) == 0
    spec = PhantomSpec((5.0, 4.0, 4.0), first=Level.L2, last=Level.L3, width_mm=200, depth_mm=200)
    made = make_phantom(9, spec)
    scan = read_scan(out)
    assert sitk.ReadImage(str(out)).GetPixelID() == sitk.sitkInt16
    assert scan.geometry.shape_zyx == made.scan.geometry.shape_zyx
    np.testing.assert_allclose(scan.geometry.origin_lps_mm, made.scan.geometry.origin_lps_mm, atol=1e-3)
    np.testing.assert_allclose(scan.hu, made.scan.hu, atol=0.51)
    with (tmp_path / "ct.truth.csv").open(encoding="utf-8") as stream:
        rows = {row["label"]: [float(row[axis]) for axis in "xyz"] for row in csv.DictReader(stream)}
    assert list(rows) == ["L2", "L3"]
    np.testing.assert_allclose(rows["L2"], made.centroids[Level.L2], atol=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct.nii.gz", "ct.truth.csv"]


@pytest.mark.parametrize("name", ["ct.png", "missing/ct.nii.gz"])
def test_an_output_that_cannot_be_written_is_named(tmp_path, name):
    with pytest.raises(UsageError, match=name.split("/")[0]):
        run_command(
            "--output", str(tmp_path / name), "--levels", "L2-L3", "--size", "small", "--spacing", "8", "8", "8"
        )


def test_a_stretch_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="L3-L1"):
        run_command("--output", "x.nii.gz", "--levels", "L3-L1")


def test_a_device_that_is_none_is_refused():
    with pytest.raises(UsageError, match="'tpu' is unknown"):
        run_command("--output", "x.nii.gz", "--device", "tpu")
