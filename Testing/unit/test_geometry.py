from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from VertebraLabelingLib.core.geometry import Geometry
from VertebraLabelingLib.core.scan import Scan, geometry_of


def rotation(seed: int) -> np.ndarray:
    """A random orthonormal matrix; determinant +1 or -1."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


def oblique(seed: int = 3) -> Geometry:
    return Geometry((7, 8, 9), (0.7, 1.1, 2.5), (-12.0, 34.5, 600.25), tuple(rotation(seed).ravel()))


def test_identity_geometry_maps_index_zyx_to_xyz():
    np.testing.assert_array_equal(Geometry((4, 5, 6), (1, 1, 1)).lps_from_index_zyx([1, 2, 3]), [3, 2, 1])


def test_sizes_in_array_order():
    geometry = Geometry((4, 5, 6), (0.5, 2.0, 3.0))
    assert geometry.spacing_zyx_mm == (3.0, 2.0, 0.5)
    assert geometry.extent_zyx_mm == (12.0, 10.0, 3.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_agrees_with_simpleitk_on_any_oblique_grid(seed):
    geometry = oblique(seed)
    image = Scan(np.zeros(geometry.shape_zyx, np.float32), geometry).to_sitk()
    index = np.random.default_rng(seed).uniform(-3, 12, (5, 3))
    expected = [image.TransformContinuousIndexToPhysicalPoint(i[::-1].tolist()) for i in index]
    np.testing.assert_allclose(geometry.lps_from_index_zyx(index), expected, atol=1e-9)
    np.testing.assert_allclose(geometry.index_zyx_from_lps(np.array(expected)), index, atol=1e-9)


def test_single_point_and_many_points_agree():
    index = np.arange(24.0).reshape(2, 4, 3)
    lps = oblique().lps_from_index_zyx(index)
    assert lps.shape == (2, 4, 3)
    np.testing.assert_allclose(oblique().lps_from_index_zyx(index[1, 2]), lps[1, 2])


def test_contains_reaches_to_the_outer_voxel_border():
    geometry = Geometry((4, 5, 6), (2.0, 2.0, 2.0))
    points = np.array([[-0.99, 0, 0], [-1.01, 0, 0], [10.99, 8.99, 6.99], [11.01, 0, 0], [0, 0, 7.01]])
    np.testing.assert_array_equal(geometry.contains_lps(points), [True, False, True, False, False])


def test_corners_are_the_outer_voxel_borders():
    geometry = oblique()
    corners = geometry.corners_lps_mm
    assert corners.shape == (8, 3)
    index = geometry.index_zyx_from_lps(corners)
    np.testing.assert_allclose(index.min(axis=0), -0.5, atol=1e-9)
    np.testing.assert_allclose(index.max(axis=0), np.array(geometry.shape_zyx) - 0.5, atol=1e-9)
    assert len(np.unique(index.round(6), axis=0)) == 8


def test_scan_survives_the_way_to_simpleitk_and_back():
    hu = np.random.default_rng(0).normal(size=(7, 8, 9)).astype(np.float32)
    image = Scan(hu, oblique()).to_sitk()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), hu)
    assert geometry_of(image) == oblique()


def test_geometry_of_reads_size_in_array_order():
    assert geometry_of(sitk.Image([9, 8, 7], sitk.sitkInt16)).shape_zyx == (7, 8, 9)


def test_distance_to_the_border_in_mm():
    geometry = Geometry((10, 10, 10), (1.0, 2.0, 3.0))
    inside, outside = [5.0, 9.0, 1.5], [5.0, 9.0, -4.5]
    np.testing.assert_allclose(geometry.border_distance_mm(np.array([inside, outside])), [3.0, -3.0])
