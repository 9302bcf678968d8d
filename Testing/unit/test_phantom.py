"""The phantoms: true centroids, plausible columns, ribs on the right joints, honest files."""

from __future__ import annotations

import argparse
import csv
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
from training.phantom import PhantomSpec, make_phantom, random_spec
from training.phantom.acquisition import add_noise
from training.phantom.generate import building_grid, field_of_view, visible_centroids
from training.phantom.profile import chest_profile
from training.phantom.solids import Canvas, capsule, ellipsoid, in_frame
from training.phantom.spine import Frame, build_spine
from training.phantom.tables import STEPS, trabecular_hu
from training.phantom.thorax import rib_joint_lps_mm, rib_numbers, rib_path_lps_mm

TINY = PhantomSpec((6.0, 6.0, 6.0), first=Level.L2, last=Level.L4, width_mm=90, depth_mm=120)


def spine(seed=0, **choices):
    return build_spine(PhantomSpec(**choices), np.random.default_rng(seed))


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
    made = make_phantom(4, PhantomSpec(first=Level.L1, last=Level.L4, width_mm=120, depth_mm=120, noise_hu=0))
    upper, lower = (np.array(made.centroids[level]) for level in (Level.L2, Level.L3))
    line = [mean_hu(made, upper + share * (lower - upper)) for share in np.linspace(0, 1, 41)]
    assert max(line) > line[0] * 1.2
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
    quiet, loud = (make_phantom(5, replace(TINY, noise_hu=sd)) for sd in (0.0, 40.0))
    assert quiet.centroids == loud.centroids
    assert np.std(quiet.scan.hu - loud.scan.hu) > 10


def test_partial_field_of_view_keeps_exactly_the_levels_inside():
    spec = PhantomSpec(first=Level.T9, last=Level.L3, cranial_mm=5, caudal_mm=5)
    column = build_spine(spec, np.random.default_rng(3))
    grid = field_of_view(column, spec)
    seen = visible_centroids(column, grid)
    assert list(seen) == [level for level in Level if Level.T9 <= level <= Level.L3 and level is not Level.T13]
    assert grid.contains_lps(np.array(list(seen.values()))).all()


def test_a_view_beside_the_spine_has_no_centroids():
    spec = replace(TINY, off_centre_mm=(200.0, 0.0))
    column = build_spine(spec, np.random.default_rng(0))
    assert visible_centroids(column, field_of_view(column, spec)) == {}


@pytest.mark.parametrize("thoracic", [11, 12, 13])
@pytest.mark.parametrize("lumbar", [4, 5, 6])
def test_anomalies_change_the_list_of_levels_and_nothing_else(thoracic, lumbar):
    levels = spine(thoracic_count=thoracic, lumbar_count=lumbar).levels
    names = [f"C{n}" for n in range(1, 8)] + [f"T{n}" for n in range(1, thoracic + 1)]
    assert [level.name for level in levels] == [*names, *(f"L{n}" for n in range(1, lumbar + 1)), "S1", "S2"]


@pytest.mark.parametrize("choices", [{"lumbar_count": 7}, {"first": Level.T13}, {"first": Level.L1, "last": Level.T4}])
def test_impossible_anatomy_is_refused(choices):
    with pytest.raises(ValueError, match="phantom"):
        PhantomSpec(**choices)


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


def test_rib_bone_is_found_beside_the_thoracic_vertebrae_but_not_beside_l2():
    made = torso_phantom()
    brightest = {}
    for level in (Level.T4, Level.T8, Level.L2):
        k, j, i = np.round(made.scan.geometry.index_zyx_from_lps(np.array(made.centroids[level]))).astype(int)
        brightest[level] = made.scan.hu[k - 3 : k + 4, j : j + 20, i - 32 : i - 20].max()
    assert brightest[Level.T4] > 280
    assert brightest[Level.T8] > 280
    assert brightest[Level.L2] < 220


def test_lungs_are_air_beside_t7_and_absent_beside_l3():
    made = torso_phantom()
    beside = np.array([70.0, -20.0, 0.0])
    assert mean_hu(made, made.centroids[Level.T7] + beside) < -700
    assert mean_hu(made, made.centroids[Level.L3] + beside, 5) > -250


def test_pelvis_stands_beside_the_sacrum():
    made = make_phantom(1, PhantomSpec((3.0,) * 3, first=Level.L4, caudal_mm=60, noise_hu=0))
    k, j, i = np.round(made.scan.geometry.index_zyx_from_lps(np.array(made.centroids[Level.S1]))).astype(int)
    for side in (slice(i - 45, i - 14), slice(i + 14, i + 45)):
        assert made.scan.hu[k, j - 5 : j + 15, side].max() > 300


def test_contrast_brightens_the_aorta():
    spec = PhantomSpec((3.0,) * 3, first=Level.T10, last=Level.L2, width_mm=120, depth_mm=160, noise_hu=0)
    plain, bright = (make_phantom(1, replace(spec, vessel_hu=hu)) for hu in (45.0, 300.0))
    assert np.max(bright.scan.hu - plain.scan.hu) > 200


def test_values_are_clipped_and_the_circle_masks_the_corners():
    hu = make_phantom(1, replace(TINY, circular_view=True, noise_hu=60)).scan.hu
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
    spec = replace(TINY, spacing_zyx_mm=(2.0, 3.0, 3.0), noise_hu=0)
    thin, thick = (make_phantom(1, replace(spec, slice_mm=mm)).scan.hu for mm in (2.0, 8.0))
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
    solid = in_frame(frame, capsule((0, 0, 0), (20, 0, 0), 2.0), np.array([[-2.0, -2, -2], [22, 2, 2]]))
    at = solid.distance_mm(*(np.float32(value) for value in (15.0, 10.0, 0.0)))
    assert float(at) == pytest.approx(3.0)


def test_random_specs_are_valid_and_cover_partial_views():
    specs = [random_spec(np.random.default_rng(seed)) for seed in range(200)]
    assert {spec.thoracic_count for spec in specs} == {11, 12, 13}
    assert any(spec.first is Level.C1 for spec in specs)
    assert any(spec.last is Level.S2 for spec in specs)
    assert any(spec.first.region is Region.THORACIC and spec.last.region is Region.LUMBAR for spec in specs)


def run_command(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["phantom", *arguments])
    return args.run(args)


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
