"""Phantoms from surfaces of vertebrae: frames, sizes and, above all, centroids that stay exact after deformation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from VertebraLabelingLib.core.anatomy import Level
from VertebraLabelingLib.core.errors import InputError

from training.cases import cache_phantoms
from training.phantom import Acquisition, Anatomy, PhantomSpec, Shapes, make_phantom, random_spec, read_shapes
from training.phantom.body_frame import measure_body
from training.phantom.forms import Wave, fit, with_forms
from training.phantom.profile import chest_profile
from training.phantom.spine import build_spine
from training.phantom.surfaces import STORE, shape_of_surface
from training.phantom.tables import SIZES
from training.phantom.thorax import rib_path_lps_mm

vtk = pytest.importorskip("vtk")

WIDTH, DEPTH, HEIGHT = 40.0, 30.0, 26.0
MIDDLE = np.array([12.0, -31.0, 250.0])
"""Where the made surface has its body, in the coordinates of its file."""


def made_surface(tilt_deg=0.0, front=1.0):
    """A box as a body with pedicles, transverse processes and a spinous process; `front` is the sign of its front."""
    parts = [
        (0, 0, 0, WIDTH, DEPTH, HEIGHT),
        (-13, 22, 4, 7, 18, 10), (13, 22, 4, 7, 18, 10), (0, 34, 2, 33, 8, 14),
        (-28, 34, 6, 28, 7, 9), (28, 34, 6, 28, 7, 9), (0, 50, -2, 6, 30, 16),
    ]  # fmt: skip
    step, corner = 1.0, np.array([-49.5, -24.5, -24.5])
    z, y, x = np.indices((50, 100, 100)) * step
    place = [x + corner[0], y + corner[1], z + corner[2]]
    bone = np.zeros(x.shape, np.float32)
    for *centre, du, dv, dw in parts:
        near = [abs(axis - c) <= size / 2 for axis, c, size in zip(place, centre, (du, dv, dw), strict=True)]
        bone[near[0] & near[1] & near[2]] = 1
    image = vtk.vtkImageData()
    image.SetDimensions(*bone.shape[::-1])
    image.SetSpacing(step, step, step)
    image.SetOrigin(*corner)
    from vtk.util.numpy_support import numpy_to_vtk

    image.GetPointData().SetScalars(numpy_to_vtk(bone.ravel(), deep=True))
    surface = vtk.vtkMarchingCubes()
    surface.SetInputData(image)
    surface.SetValue(0, 0.5)
    transform = vtk.vtkTransform()
    transform.Translate(*MIDDLE)
    transform.RotateX(tilt_deg)
    transform.RotateZ(180.0 if front > 0 else 0.0)
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetTransform(transform)
    moved.SetInputConnection(surface.GetOutputPort())
    moved.Update()
    return moved.GetOutput()


def clipped(surface, z_mm):
    """The surface above this height, open where it was cut."""
    plane, clip = vtk.vtkPlane(), vtk.vtkClipPolyData()
    plane.SetOrigin(0, 0, z_mm)
    plane.SetNormal(0, 0, 1)
    clip.SetClipFunction(plane)
    clip.SetInputData(surface)
    clip.Update()
    return clip.GetOutput()


def write(surface, path):
    writer = vtk.vtkXMLPolyDataWriter()
    writer.SetInputData(surface)
    writer.SetFileName(str(path))
    writer.Write()


@pytest.fixture(scope="module")
def shape():
    return shape_of_surface(made_surface(), Level.L3)


@pytest.fixture(scope="module")
def shapes(shape):
    return Shapes({level: (replace(shape, level=level),) for level in (Level.T6, Level.L3)})


def values(form):
    return lambda points: form.distance_mm(*np.asarray(points, np.float32).T)


def body_of(form):
    """Independent of `measure_body`: the bone of a fine grid around the origin, at most 4 mm beside the midplane."""
    half = form.half_mm + 6
    axes = [np.arange(-4, 4.1, 0.5), np.arange(-half[1], half[1], 0.5), np.arange(-half[2], half[2], 0.5)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    bone = values(form)(grid.reshape(-1, 3)).reshape(grid.shape[:3]) < 0
    labels, _ = ndimage.label(bone)
    nearest = np.unravel_index((grid**2).sum(-1).argmin(), bone.shape)
    return grid[labels == labels[nearest]]


@pytest.mark.parametrize(("tilt_deg", "front"), [(0.0, 1.0), (0.0, -1.0), (20.0, 1.0), (-25.0, -1.0)])
def test_body_is_found_whatever_the_tilt_and_the_side_of_the_front(tilt_deg, front):
    found = shape_of_surface(made_surface(tilt_deg, front), Level.L3)
    np.testing.assert_allclose(found.size_mm, (WIDTH, DEPTH, HEIGHT), atol=1.0)
    np.testing.assert_allclose(np.abs(found.tips_mm[:, 0]), 41.0, atol=2.0)
    assert found.tips_mm[0, 0] < 0 < found.tips_mm[1, 0]
    assert found.spinous_mm == pytest.approx(65.0, abs=1.0)


def test_form_has_the_size_of_its_vertebra(shape):
    size = SIZES[Level.L1]
    form = fit(shape, size, 24.0)
    body = measure_body(values(form), np.zeros(3), 2 * form.half_mm)
    np.testing.assert_allclose(body.size_mm, (size.width_mm, size.depth_mm, 24.0), atol=0.6)
    assert form.costal_tip_mm(1.0)[0] == pytest.approx(size.process_span_mm / 2, abs=2.5)
    np.testing.assert_allclose(form.costal_tip_mm(-1.0), form.costal_tip_mm(1.0) * [-1, 1, 1], atol=1.0)


@pytest.mark.parametrize("seed", range(6))
def test_middle_of_the_body_is_the_origin_after_any_deformation(shapes, seed):
    rng = np.random.default_rng(seed)
    spine = with_forms(build_spine(PhantomSpec(), rng), shapes, rng)
    for vertebra in (spine[level] for level in (Level.T5, Level.T8, Level.L2, Level.L5)):
        body = body_of(vertebra.form)
        middle = (body.min(axis=0) + body.max(axis=0)) / 2
        assert abs(body.mean(axis=0)[1:]).max() < 1.0, vertebra.level
        assert abs(middle[1:]).max() < 1.8, vertebra.level


def test_a_displacement_that_is_not_undone_would_be_noticed(shape):
    wave = Wave(np.array([0.0, 0.05, 0.0]), np.array([0.0, 4.0, 3.0]), np.pi / 2)
    form = fit(shape, SIZES[Level.L3], 28.0, waves=(wave,))
    assert np.linalg.norm(form.recentre_mm) > 2.0
    assert abs(body_of(form).mean(axis=0)[1:]).max() < 1.0
    assert abs(body_of(replace(form, recentre_mm=np.zeros(3))).mean(axis=0)[1:]).max() > 2.0


def test_a_wedge_takes_height_in_front_only(shape):
    whole, broken = (fit(shape, SIZES[Level.L1], 24.0, wedge) for wedge in (0.0, 0.4))
    heights = []
    for form in (whole, broken):
        body = body_of(form)
        for v in (-0.8 * form.half_mm[1], 0.8 * form.half_mm[1]):
            heights.append(np.ptp(body[abs(body[:, 1] - v) < 0.6][:, 2]))
    front, back, broken_front, broken_back = heights
    assert broken_front < 0.75 * front
    assert broken_back > 0.9 * back
    assert measure_body(values(broken), np.zeros(3), 2 * broken.half_mm).middle_mm == pytest.approx(0, abs=0.2)


def test_torch_and_numpy_agree_on_a_form(shape):
    import torch

    wave = Wave(np.array([0.03, 0.05, 0.02]), np.array([1.0, 2.0, 1.0]), 0.3)
    form = fit(shape, SIZES[Level.L3], 28.0, 0.2, True, (wave,))
    points = np.random.default_rng(0).uniform(-40, 60, (3, 7, 8, 9)).astype(np.float32)
    on_torch = form.distance_mm(*torch.from_numpy(points))
    np.testing.assert_allclose(on_torch.numpy(), form.distance_mm(*points), atol=2e-3)


def test_levels_without_a_shape_borrow_from_similar_ones_only(shapes):
    assert [shape.level for shape in shapes.candidates(Level.L5)] == [Level.L3]
    assert [shape.level for shape in shapes.candidates(Level.T8)] == [Level.T6]
    for strange in (Level.C3, Level.T11, Level.S1):
        assert not shapes.candidates(strange)
    with_t1 = Shapes({Level.T1: shapes.by_level[Level.T6]})
    assert with_t1.candidates(Level.C7)
    assert not with_t1.candidates(Level.C6)


def test_phantom_with_shapes_shows_them_at_the_same_centroids(shapes):
    quiet = Acquisition(noise_hu=0)
    plain = PhantomSpec((2, 2, 2), first=Level.L2, last=Level.L4, width_mm=110, depth_mm=130, acquisition=quiet)
    dressed = replace(plain, anatomy=Anatomy(shapes=shapes))
    first, second, without = make_phantom(3, dressed), make_phantom(3, dressed), make_phantom(3, plain)
    assert first.scan.hu.tobytes() == second.scan.hu.tobytes()
    assert first.centroids == without.centroids
    bone = [phantom.scan.hu > 300 for phantom in (first, without)]
    assert (bone[0] ^ bone[1]).sum() > 0.2 * bone[1].sum()
    for level, point in first.centroids.items():
        k, j, i = np.round(first.scan.geometry.index_zyx_from_lps(np.array(point))).astype(int)
        around = first.scan.hu[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2]
        assert 60 < around.mean() < 350, level


def test_torch_paints_the_same_shapes(shapes):
    quiet, anatomy = Acquisition(noise_hu=0), Anatomy(shapes=shapes)
    spec = PhantomSpec((5, 5, 5), Level.L2, Level.L3, width_mm=90, depth_mm=110, acquisition=quiet, anatomy=anatomy)
    host, device = make_phantom(3, spec), make_phantom(3, spec, "cpu")
    np.testing.assert_allclose(device.scan.hu, host.scan.hu, atol=0.5)
    assert device.centroids == host.centroids


def test_ribs_lean_on_the_processes_of_the_shape(shapes):
    spine = with_forms(build_spine(PhantomSpec(), np.random.default_rng(0)), shapes, np.random.default_rng(1))
    vertebra = spine[Level.T7]
    for side in (-1.0, 1.0):
        rib = rib_path_lps_mm(spine, 7, vertebra, side, chest_profile(spine), 200.0)
        tip = vertebra.frame.to_lps(vertebra.form.costal_tip_mm(side))
        assert np.linalg.norm(rib - tip, axis=1).min() < 7.0


def test_a_last_vertebra_that_joins_the_sacrum_keeps_its_own_form(shapes):
    spec = PhantomSpec(anatomy=Anatomy(junction="sacralised"))
    spine = with_forms(build_spine(spec, np.random.default_rng(0)), shapes, np.random.default_rng(1))
    assert spine[Level.L5].form is None
    assert spine[Level.L4].form


def test_random_specs_with_shapes_begin_where_the_shapes_do(shapes):
    for seed in range(20):
        spec = random_spec(np.random.default_rng(seed), shapes=shapes)
        assert spec.first >= Level.T4
        assert spec.anatomy.shapes is shapes
        assert random_spec(np.random.default_rng(seed)).anatomy.shapes is None


def test_folder_is_read_once_and_cut_off_surfaces_are_left_out(tmp_path):
    folder, cache = tmp_path / "shapes" / "one", tmp_path / "cache"
    folder.mkdir(parents=True)
    write(made_surface(), folder / "22_L3.vtp")
    write(clipped(made_surface(), MIDDLE[2] - 5), folder / "23_L4.vtp")
    write(made_surface(), folder / "pelvis.vtp")
    first = read_shapes(tmp_path / "shapes", cache)
    assert list(first.by_level) == [Level.L3]
    stored_at = (cache / STORE).stat().st_mtime_ns
    second = read_shapes(tmp_path / "shapes", cache)
    assert (cache / STORE).stat().st_mtime_ns == stored_at
    (a,), (b,) = first.by_level[Level.L3], second.by_level[Level.L3]
    np.testing.assert_allclose(b.distance_mm, a.distance_mm, atol=0.02)
    np.testing.assert_array_equal(b.tips_mm, a.tips_mm)
    (folder / "22_L3.vtp").unlink()
    with pytest.raises(InputError, match="cut off"):
        read_shapes(tmp_path / "shapes", cache)


def test_folder_without_whole_vertebrae_is_told(tmp_path):
    with pytest.raises(InputError, match="No surface of a vertebra"):
        read_shapes(tmp_path)
    write(clipped(made_surface(), MIDDLE[2]), tmp_path / "L4.vtp")
    with pytest.raises(InputError, match="cut off"):
        read_shapes(tmp_path)


def test_phantoms_with_shapes_stand_beside_the_others(tmp_path, shapes, monkeypatch):
    small = PhantomSpec((4, 4, 4), first=Level.L2, last=Level.L4, width_mm=90, depth_mm=110)
    monkeypatch.setattr("training.phantom.random_spec", lambda rng, poses, kinds=None: replace(
        small, anatomy=Anatomy(shapes=kinds)))  # fmt: skip
    (plain,) = cache_phantoms(tmp_path, 1)
    (shaped,) = cache_phantoms(tmp_path, 1, shapes=shapes)
    assert (plain.id, shaped.id, shaped.split) == ("phantom-0000", "surface-0000", "phantom")
    assert not np.array_equal(plain.volume(4.0)[:10, :10, :10], shaped.volume(4.0)[:10, :10, :10])


@pytest.mark.shared
def test_a_real_surface_has_a_plausible_body_frame(shared_data, tmp_path):
    (tmp_path / "12_T5.vtp").symlink_to(shared_data / "shapes" / "vertebrae_c7_l4" / "12_T5.vtp")
    (found,) = read_shapes(tmp_path).by_level[Level.T5]
    np.testing.assert_allclose(found.size_mm, (20.9, 21.4, 18.1), atol=1.0)
    assert 40 < found.spinous_mm < 50
    assert abs(found.tips_mm[0] * [-1, 1, 1] - found.tips_mm[1]).max() < 3.0
    form = fit(found, SIZES[Level.T5], 19.0)
    assert abs(body_of(form).mean(axis=0)[1:]).max() < 1.0
