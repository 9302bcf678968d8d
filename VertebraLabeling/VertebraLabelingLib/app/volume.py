"""A CT in the scene as a file: whether it can be labelled, and its voxels in its own (local) coordinates.

A parent transform of the volume, linear or not, never enters the file; the points get the same parent transform.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import slicer
import vtk

from ..core.errors import InputError, UsageError
from ..core.files import atomic_write
from .frames import flipped_all, flipped_matrix

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk
    from numpy.typing import NDArray

    from ..core.geometry import Geometry

_ROI_STEPS = 5
"""Points per edge of a ROI that are followed into the volume, because a transform may bend the box."""


def refusal(volume_node) -> str:
    """Why the volume cannot be labelled and what to do, one sentence; "" when it can.

    Judges what MRML knows; whether the intensities are those of a CT is judged by the child process.
    """
    if volume_node is None:
        return "No volume is chosen; choose a CT volume."
    name = volume_node.GetName()
    if volume_node.IsA("vtkMRMLLabelMapVolumeNode"):
        return f"'{name}' is a label map; choose the CT volume itself."
    if not volume_node.IsA("vtkMRMLScalarVolumeNode"):
        return f"'{name}' is no volume; choose a CT volume."
    return _refused_image(volume_node, name) or _refused_axes(volume_node, name)


def _refused_image(volume_node, name: str) -> str:
    from ..core.checks import MIN_SLICES

    image = volume_node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None or image.GetNumberOfPoints() == 0:
        return f"'{name}' holds no image; load the CT again."
    components = image.GetNumberOfScalarComponents()
    if components != 1:
        return f"'{name}' has {components} values per voxel (colour or vectors); choose a CT volume, which has one."
    if image.GetScalarType() == vtk.VTK_BIT:
        return f"'{name}' has one bit per voxel, as a mask has; choose the CT volume itself."
    slices = min(image.GetDimensions())
    if slices < MIN_SLICES:
        return f"'{name}' has only {slices} slice{'s' if slices > 1 else ''} along one axis; choose a 3-D CT volume."
    return ""


def _refused_axes(volume_node, name: str) -> str:
    """Voxel axes of no length or not at right angles, which neither SimpleITK nor the networks know."""
    import numpy as np

    axes = _ijk_to_lps(volume_node)[:3, :3]
    spacing_mm = np.linalg.norm(axes, axis=0)
    if not np.all(np.isfinite(spacing_mm)) or np.any(spacing_mm <= 0):
        return f"'{name}' has a voxel spacing of zero or no number; load the CT again."
    directions = axes / spacing_mm
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-3):
        return (
            f"The axes of '{name}' are not at right angles (sheared, as after a tilted gantry); "
            "resample it with the module Crop Volume and choose the result."
        )
    return ""


def export_volume(volume_node, path: Path, roi_node=None) -> None:
    """Write the volume, or the part of it in the box of a ROI, as .nrrd without compression, LPS mm.

    The voxels keep their type and their place.  InputError for a volume that `refusal` refuses and for a ROI without
    size or outside the volume; UsageError when the file cannot be written.
    """
    reason = refusal(volume_node)
    if reason:
        raise InputError(reason)
    import numpy as np

    size_ijk = np.array(volume_node.GetImageData().GetDimensions())
    low_ijk, high_ijk = np.zeros(3, int), size_ijk
    if roi_node is not None:
        low_ijk, high_ijk = _roi_range(roi_node, volume_node, size_ijk)
    _write(_image(volume_node, low_ijk, high_ijk), Path(path))


def geometry_of(volume_node) -> Geometry:
    """The grid of the voxels in the volume's own coordinates, LPS mm; for a volume that `refusal` does not refuse."""
    import numpy as np

    from ..core.geometry import Geometry

    i, j, k = volume_node.GetImageData().GetDimensions()
    ijk_to_lps = _ijk_to_lps(volume_node)
    spacing_mm = np.linalg.norm(ijk_to_lps[:3, :3], axis=0)
    direction = (ijk_to_lps[:3, :3] / spacing_mm).ravel().tolist()
    return Geometry((k, j, i), tuple(spacing_mm.tolist()), tuple(ijk_to_lps[:3, 3].tolist()), tuple(direction))


def _image(volume_node, low_ijk: NDArray[np.intp], high_ijk: NDArray[np.intp]) -> sitk.Image:
    """The voxels from `low_ijk` up to, but not including, `high_ijk`."""
    import numpy as np
    import SimpleITK as sitk
    from vtk.util.numpy_support import vtk_to_numpy

    data = volume_node.GetImageData()
    voxels = vtk_to_numpy(data.GetPointData().GetScalars()).reshape(data.GetDimensions()[::-1])
    i, j, k = (slice(low, high) for low, high in zip(low_ijk, high_ijk, strict=True))
    image = sitk.GetImageFromArray(voxels[k, j, i])
    ijk_to_lps = _ijk_to_lps(volume_node)
    spacing_mm = np.linalg.norm(ijk_to_lps[:3, :3], axis=0)
    image.SetSpacing(spacing_mm.tolist())
    image.SetDirection((ijk_to_lps[:3, :3] / spacing_mm).ravel().tolist())
    image.SetOrigin((ijk_to_lps @ [*low_ijk, 1.0])[:3].tolist())
    return image


def _ijk_to_lps(volume_node) -> NDArray[np.float64]:
    """(4, 4): local LPS mm of a voxel index (i, j, k, 1)."""

    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return flipped_matrix(slicer.util.arrayFromVTKMatrix(matrix))


def _write(image: sitk.Image, path: Path) -> None:
    import SimpleITK as sitk

    with atomic_write(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=False)
        except RuntimeError as error:
            raise UsageError(
                f"{path} cannot be written; free disk space or choose another temporary folder."
            ) from error


def _roi_range(roi_node, volume_node, size_ijk: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The voxels that the ROI touches, as the box along the voxel axes: first index, and index after the last."""
    import numpy as np

    if not all(size > 0 for size in roi_node.GetSize()):
        raise InputError(f"The ROI '{roi_node.GetName()}' has no size; draw it around the spine or choose none.")
    places_ijk = _roi_points_ijk(roi_node, volume_node)
    # voxel i reaches from i - 0.5 to i + 0.5
    low = np.clip(np.floor(places_ijk.min(axis=0) + 0.5), 0, size_ijk).astype(int)
    high = np.clip(np.ceil(places_ijk.max(axis=0) + 0.5), 0, size_ijk).astype(int)
    if np.any(high <= low):
        names = f"The ROI '{roi_node.GetName()}' lies outside '{volume_node.GetName()}'"
        raise InputError(f"{names}; move it over the spine or choose none.")
    return low, high


def _roi_points_ijk(roi_node, volume_node) -> NDArray[np.float64]:
    """(n, 3) points all over the box, in voxels of the volume, through the transforms of both nodes."""
    import numpy as np

    between = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        roi_node.GetParentTransformNode(), volume_node.GetParentTransformNode(), between
    )
    steps = np.linspace(-0.5, 0.5, _ROI_STEPS)
    box = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3) * roi_node.GetSize()
    object_to_node = slicer.util.arrayFromVTKMatrix(roi_node.GetObjectToNodeMatrix())
    places_ras = box @ object_to_node[:3, :3].T + object_to_node[:3, 3]
    places_lps = flipped_all([between.TransformPoint(place) for place in places_ras])
    return (places_lps - _ijk_to_lps(volume_node)[:3, 3]) @ np.linalg.inv(_ijk_to_lps(volume_node)[:3, :3]).T
