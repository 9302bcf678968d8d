"""Triangle surfaces as vtk has them, read, moved and turned into signed distances; vtk is imported where it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from VertebraLabelingLib.core.errors import InputError, UsageError

from .body_frame import Vector

MARGIN_MM = 4.0


def read_surface(file: Path) -> tuple[Any, float]:
    """Closed vtkPolyData of a file, and the length in mm of the open borders that it had; UsageError without vtk."""
    try:
        import vtk
    except ImportError as error:
        raise UsageError("Surfaces are read with vtk: install the project with its extra 'shapes'.") from error
    reader = vtk.vtkXMLPolyDataReader()
    reader.SetFileName(str(file))
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputConnection(reader.GetOutputPort())
    edges = vtk.vtkFeatureEdges()
    edges.SetInputConnection(triangles.GetOutputPort())
    edges.FeatureEdgesOff()
    edges.NonManifoldEdgesOff()
    edges.Update()
    holes = vtk.vtkFillHolesFilter()
    holes.SetInputConnection(triangles.GetOutputPort())
    holes.SetHoleSize(20.0)
    holes.Update()
    if not triangles.GetOutput().GetNumberOfPolys():
        raise InputError(f"'{file}' is not a surface that can be read.")
    return holes.GetOutput(), _length_mm(edges.GetOutput())


def _length_mm(lines: Any) -> float:
    """Total length of the line segments of a vtkPolyData."""
    if not lines.GetNumberOfLines():
        return 0.0
    from vtk.util.numpy_support import vtk_to_numpy

    ends = surface_points(lines)[vtk_to_numpy(lines.GetLines().GetConnectivityArray()).reshape(-1, 2)]
    return float(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).sum())


def surface_points(surface: Any) -> Vector:
    """(n, 3) corners of a vtkPolyData."""
    from vtk.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(surface.GetPoints().GetData()).astype(float)


def transformed(surface: Any, origin: Vector, axes: Vector) -> Any:
    """The surface in the frame of these axes, whose zero is the origin."""
    import vtk

    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes, -axes @ origin
    transform = vtk.vtkTransform()
    transform.SetMatrix(matrix.ravel().tolist())
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetTransform(transform)
    moved.SetInputData(surface)
    moved.Update()
    return moved.GetOutput()


def signed_distance(surface: Any, grid_mm: float) -> tuple[Vector, Vector]:
    """Distance (nz, ny, nx) float32 around a surface and the position (x, y, z) of the first voxel."""
    mask, corner = _voxels(surface, grid_mm)
    if not mask.any():
        raise ValueError("it encloses nothing")
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    border = sitk.SignedMaurerDistanceMap(image, squaredDistance=False)
    # its zero is the outermost voxel inside, and the surface lies half a voxel further out
    distance = (sitk.GetArrayFromImage(border) - 0.5) * grid_mm
    return ndimage.gaussian_filter(distance.astype(np.float32), 0.7), corner


def _voxels(surface: Any, grid_mm: float) -> tuple[NDArray[np.bool_], Vector]:
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    bounds = np.array(surface.GetBounds()).reshape(3, 2)
    corner = bounds[:, 0] - MARGIN_MM
    count = np.ceil((bounds[:, 1] + MARGIN_MM - corner) / grid_mm).astype(int) + 1
    stencil = vtk.vtkPolyDataToImageStencil()
    stencil.SetInputData(surface)
    stencil.SetOutputOrigin(*corner)
    stencil.SetOutputSpacing(grid_mm, grid_mm, grid_mm)
    stencil.SetOutputWholeExtent(0, int(count[0]) - 1, 0, int(count[1]) - 1, 0, int(count[2]) - 1)
    image = vtk.vtkImageStencilToImage()
    image.SetInputConnection(stencil.GetOutputPort())
    image.SetOutputScalarTypeToUnsignedChar()
    image.Update()
    return vtk_to_numpy(image.GetOutput().GetPointData().GetScalars()).reshape(count[::-1]) > 0, corner
