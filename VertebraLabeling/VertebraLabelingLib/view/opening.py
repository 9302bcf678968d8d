"""A CT or a point list from a file into the scene, which stays as it was when it cannot be read; and out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from ..app.frames import flipped_matrix
from ..app.placement import place_beside
from ..app.points_node import create_points_node, mark_written, write_column
from ..app.volume import geometry_of
from ..core.correction.column import Column, column_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..core.scan import Scan
    from .folder import Folder

BONE_WINDOW_HU, BONE_LEVEL_HU = 1600.0, 400.0


def read_ct(path: Path, within: Folder | None = None) -> Scan:
    """The CT in a file or in a folder of DICOM slices, found to be one; InputError.  For any thread: no scene.

    within: the folder in which all of its files must be, also those that a header names.
    """
    from ..core.checks import check_ct
    from ..core.readers import read_scan

    if within is not None:
        within.require_inside(path)
    return check_ct(read_scan(path))


def add_volume(scan: Scan) -> Any:
    """A new vtkMRMLScalarVolumeNode of `slicer.mrmlScene` with these voxels, in a window for bone."""
    node = slicer.util.addVolumeFromArray(_compact(scan.hu), _ijk_to_ras(scan), _stem(scan.name))
    display = node.GetScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(BONE_WINDOW_HU, BONE_LEVEL_HU)
    display.SetInterpolate(True)
    return node


def points_in(path: Path, volume_node: Any) -> Column:
    """The points of a file, which belong to this CT; InputError."""
    from ..core.formats import read_points

    return column_of(read_points(path, geometry_of(volume_node)))


def add_points(column: Column, name: str, volume_node: Any) -> Any:
    """A new points node on this CT, with the points of a file of that name."""
    node = create_points_node(volume_node.GetScene(), _stem(name))
    write_column(node, column)
    mark_written(node)
    place_beside(node, volume_node)
    return node


def remove(node: Any) -> None:
    """Take a node out of its scene with its displays, which would hold the voxels of a CT for ever."""
    scene = node.GetScene()
    displays = [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
    for gone in filter(None, (node, *displays)):
        scene.RemoveNode(gone)


def _stem(name: str) -> str:
    for suffix in (".mrk.json", ".nii.gz", ".json"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return Path(name).stem or name


def _compact(hu: NDArray[np.float32]) -> NDArray[Any]:
    """Whole numbers as int16, which spares half of the memory."""
    import numpy as np

    whole = hu.astype(np.int16) if hu.min() >= -32768 and hu.max() <= 32767 else None
    return whole if whole is not None and np.array_equal(whole, hu) else hu


def _ijk_to_ras(scan: Scan) -> NDArray[np.float64]:
    """(4, 4): RAS mm of a voxel index (i, j, k, 1)."""
    import numpy as np

    grid = scan.geometry
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.reshape(grid.direction, (3, 3)) * np.asarray(grid.spacing_xyz_mm)
    ijk_to_lps[:3, 3] = grid.origin_lps_mm
    return flipped_matrix(ijk_to_lps)
