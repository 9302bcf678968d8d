from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from VertebraLabelingLib.core import prepare as prepare_module
from VertebraLabelingLib.core import upright
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.prepare import AIR_HU, on_grid, prepare
from VertebraLabelingLib.core.scan import Scan


def blob_scan(geometry: Geometry, centre_lps_mm: np.ndarray, sigma_mm: float = 6.0) -> Scan:
    """Air with a Gaussian blob of 1000 HU above air at a known place in the patient."""
    index = np.moveaxis(np.indices(geometry.shape_zyx), 0, -1)
    distance2 = np.sum((geometry.lps_from_index_zyx(index) - centre_lps_mm) ** 2, axis=-1)
    hu = AIR_HU + 1000 * np.exp(-distance2 / (2 * sigma_mm**2))
    return Scan(hu.astype(np.float32), geometry, "blob", ("a note",))


def centre_of_mass_lps(scan: Scan) -> np.ndarray:
    weight = (scan.hu - AIR_HU).astype(float)
    index = np.moveaxis(np.indices(scan.hu.shape), 0, -1)
    return np.tensordot(weight, scan.geometry.lps_from_index_zyx(index), axes=3) / weight.sum()


def tilted(degrees: float) -> tuple[float, ...]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return tuple((about_x @ about_z).ravel())


GRIDS = {
    "identity": ((40, 50, 60), (1.5, 1.5, 2.0), (1, 0, 0, 0, 1, 0, 0, 0, 1)),
    "flipped (RAI)": ((40, 50, 60), (1.5, 1.5, 2.0), (-1, 0, 0, 0, 1, 0, 0, 0, -1)),
    "sagittal slices": ((40, 50, 60), (1.5, 1.5, 2.0), (0, 0, 1, 1, 0, 0, 0, -1, 0)),
    "left-handed": ((40, 50, 60), (1.5, 1.5, 2.0), (1, 0, 0, 0, 1, 0, 0, 0, -1)),
    "oblique": ((45, 55, 60), (1.5, 1.5, 2.0), tilted(25)),
    "thick slices": ((16, 120, 120), (0.7, 0.7, 5.0), (1, 0, 0, 0, 1, 0, 0, 0, 1)),
    "fine": ((75, 70, 65), (0.5, 0.6, 0.9), (1, 0, 0, 0, -1, 0, 0, 0, 1)),
    "coarse": ((30, 30, 30), (3.0, 3.5, 4.0), (1, 0, 0, 0, 1, 0, 0, 0, 1)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_physical_point_stays_at_its_place(name):
    shape, spacing, direction = GRIDS[name]
    geometry = Geometry(shape, spacing, (-31.7, 55.2, 812.9), direction)
    centre = geometry.lps_from_index_zyx((np.array(shape) - 1) / 2 + np.array([0.3, -0.7, 0.4]))
    prepared = prepare(blob_scan(geometry, centre))
    np.testing.assert_allclose(centre_of_mass_lps(prepared), centre, atol=0.05)
    peak = np.array(np.unravel_index(prepared.hu.argmax(), prepared.hu.shape))
    assert np.abs(prepared.geometry.lps_from_index_zyx(peak) - centre).max() <= 2.0


@pytest.mark.parametrize("name", GRIDS)
def test_result_is_isotropic_lps_and_covers_the_source_to_a_voxel(name):
    """Block averaging drops an incomplete last block, less than one voxel of the result."""
    shape, spacing, direction = GRIDS[name]
    source = Geometry(shape, spacing, (5.0, 6.0, 7.0), direction)
    grid = prepare(Scan(np.zeros(shape, np.float32), source)).geometry
    assert grid.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert grid.spacing_xyz_mm == (2.0, 2.0, 2.0)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1).T
    index = grid.index_zyx_from_lps(source.lps_from_index_zyx(corners))
    assert (index >= -1.5).all() and (index <= np.array(grid.shape_zyx) + 0.5).all()


@pytest.mark.parametrize("name", GRIDS)
def test_upright_grids_are_resampled_as_simpleitk_does(name, monkeypatch):
    """Only the oblique one goes to SimpleITK anyway."""
    shape, spacing, direction = GRIDS[name]
    hu = np.random.default_rng(5).normal(0, 300, shape).astype(np.float32)
    scan = Scan(hu, Geometry(shape, spacing, (5.0, 6.0, 7.0), direction))
    assert upright.is_upright(scan.geometry) is (name != "oblique")
    prepared = prepare(scan)
    monkeypatch.setattr(prepare_module, "is_upright", lambda geometry: False)
    expected = prepare(scan)
    assert prepared.geometry == expected.geometry
    np.testing.assert_allclose(prepared.hu, expected.hu, atol=1e-2)


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (1.5, 1.7, 3.0)])
def test_whole_numbers_of_16_bits_give_what_the_same_in_floats_give(spacing):
    """Sums of some of them would not fit 16 bits."""
    hu = np.random.default_rng(6).integers(-1024, 30000, (20, 21, 22)).astype(np.int16)
    grid = Geometry(hu.shape, spacing)
    as_stored, as_floats = prepare(Scan(hu, grid)), prepare(Scan(hu.astype(np.float32), grid))
    assert as_stored.hu.dtype == np.float32
    np.testing.assert_array_equal(as_stored.hu, as_floats.hu)


def test_fine_voxels_are_averaged_in_blocks():
    """0.5 mm noise of 64 voxels per block: the deviation falls by the square root of 64."""
    noise = np.random.default_rng(1).normal(0, 100, (80, 80, 80)).astype(np.float32)
    prepared = prepare(Scan(noise, Geometry(noise.shape, (0.5, 0.5, 0.5))))
    assert prepared.hu.shape == (20, 20, 20)
    expected = noise.reshape(20, 4, 20, 4, 20, 4).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(prepared.hu, expected, atol=0.01)


def test_values_below_air_are_clamped_and_those_above_kept():
    hu = np.full((20, 20, 20), -3024, np.float32)
    hu[10:] = 3071
    prepared = prepare(Scan(hu, Geometry(hu.shape, (2.0, 2.0, 2.0))))
    assert (prepared.hu.min(), prepared.hu.max()) == (AIR_HU, 3071)


def test_outside_the_source_is_air():
    geometry = Geometry((40, 40, 40), (2.0, 2.0, 2.0), direction=tilted(40))
    prepared = prepare(Scan(np.full((40, 40, 40), 500, np.float32), geometry))
    assert prepared.hu[0, 0, 0] == AIR_HU


def test_prepared_scan_is_its_own_preparation():
    hu = np.random.default_rng(2).uniform(-1000, 1500, (12, 13, 14)).astype(np.float32)
    scan = Scan(hu, Geometry(hu.shape, (2.0, 2.0, 2.0), (3.0, 4.0, 5.0)))
    again = prepare(scan)
    assert again.geometry == scan.geometry
    np.testing.assert_allclose(again.hu, hu, atol=1e-3)


def test_on_grid_keeps_the_spacing_it_already_has_and_prepares_any_other():
    scan = prepare(blob_scan(Geometry((20, 20, 20), (2.0, 2.0, 2.0)), np.array([20.0, 20.0, 20.0])))
    assert on_grid(scan, 2.0) is scan
    assert on_grid(scan, 4.0).geometry.spacing_xyz_mm == (4.0, 4.0, 4.0)


def test_slabs_leave_no_seam_in_a_long_scan():
    """More blocks along z than one slab holds, and an incomplete one at every end."""
    noise = np.random.default_rng(3).normal(0, 100, (141, 9, 7)).astype(np.float32)
    prepared = prepare(Scan(noise, Geometry(noise.shape, (1.0, 1.0, 1.0))))
    expected = noise[:140, :8, :6].reshape(70, 2, 4, 2, 3, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(prepared.hu, expected, atol=0.01)


def test_name_and_notes_travel_and_the_source_is_untouched():
    scan = blob_scan(Geometry((20, 20, 20), (2.0, 2.0, 2.0)), np.array([20.0, 20.0, 20.0]))
    before = scan.hu.copy()
    prepared = prepare(scan)
    assert (prepared.name, prepared.notes) == ("blob", ("a note",))
    np.testing.assert_array_equal(scan.hu, before)


MEASURE = """
import numpy as np
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.prepare import prepare
from VertebraLabelingLib.core.scan import Scan
def peak_mb():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
prepare(Scan(np.zeros((20, 20, 20), np.float32), Geometry((20, 20, 20), (1.0, 1.0, 1.0))))
hu = np.zeros((160, 256, 256), np.float32); hu += 1
before = peak_mb()
prepare(Scan(hu, Geometry(hu.shape, (1.0, 1.0, 1.5))))
print((peak_mb() - before) / (hu.nbytes / 2**20))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_stays_below_one_more_copy_of_the_volume():
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.9
