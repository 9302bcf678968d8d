"""What the tests of the scene share: volumes, transforms and ROIs in real MRML nodes."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

TILT = 0.4
OBLIQUE = np.array([[np.cos(TILT), 0.0, np.sin(TILT)], [0.0, 1.0, 0.0], [-np.sin(TILT), 0.0, np.cos(TILT)]])
"""Directions of the voxel axes in RAS as columns: turned about the anterior axis."""


def image_of(voxels):
    """vtkImageData of an array (z, y, x) or (z, y, x, components)."""
    image = vtk.vtkImageData()
    image.SetDimensions(*voxels.shape[2::-1])
    flat = voxels.reshape(-1) if voxels.ndim == 3 else voxels.reshape(-1, voxels.shape[3])
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    return image


def ijk_to_ras(directions=None, spacing_mm=(0.8, 0.9, 2.5), origin_ras_mm=(10.0, -20.0, 30.0)):
    """(4, 4) of voxel axes (columns, RAS unit vectors), spacing along them and the place of the first voxel."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if directions is None else directions) * spacing_mm
    matrix[:3, 3] = origin_ras_mm
    return matrix


def add_volume(scene, voxels=None, matrix=None, node_class="vtkMRMLScalarVolumeNode", name="CT"):
    """A volume node; by default int16 noise (z, y, x) = (8, 7, 6), every voxel of its own value."""
    voxels = np.arange(8 * 7 * 6, dtype=np.int16).reshape(8, 7, 6) - 100 if voxels is None else voxels
    node = scene.AddNewNodeByClass(node_class, name)
    node.SetAndObserveImageData(image_of(voxels))
    node.SetIJKToRASMatrix(vtk_matrix(ijk_to_ras() if matrix is None else matrix))
    return node


def vtk_matrix(matrix):
    """vtkMatrix4x4 of a (4, 4) array."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, float).ravel())
    return result


def add_linear_transform(scene, node, matrix=None):
    """Put `node` under a new linear transform: by default a turn about the superior axis and a shift."""
    if matrix is None:
        matrix = np.array([[0.0, -1.0, 0.0, 100.0], [1.0, 0.0, 0.0, -50.0], [0.0, 0.0, 1.0, 7.0], [0.0, 0.0, 0.0, 1.0]])
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Turned")
    transform.SetMatrixTransformToParent(vtk_matrix(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def add_bending_transform(scene, node):
    """Put `node` under a new thin plate spline that moves the middle of a 200 mm cube by 15 mm."""
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    corners = [(x, y, z) for x in (-100, 100) for y in (-100, 100) for z in (-100, 100)]
    for place in corners:
        source.InsertNextPoint(place)
        target.InsertNextPoint(place)
    source.InsertNextPoint(0, 0, 0)
    target.InsertNextPoint(15, 5, -5)
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "Bent")
    transform.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def add_roi(scene, centre_ras_mm, size_mm, directions=None):
    """A markups ROI; directions: its axes as columns, RAS."""
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Spine")
    roi.SetSize(*size_mm)
    if directions is None:
        roi.SetCenter(*centre_ras_mm)
    else:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = directions, centre_ras_mm
        roi.SetAndObserveObjectToNodeMatrix(vtk_matrix(matrix))
    return roi


def world_ras(volume_node, ijk):
    """Place of a voxel in the world, RAS mm, through all transforms of the volume."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    local = matrix.MultiplyPoint((*ijk, 1.0))[:3]
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(volume_node.GetParentTransformNode(), None, to_world)
    return np.array(to_world.TransformPoint(local))
