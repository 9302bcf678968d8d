"""A small volume that passes for a CT."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

VOXEL_MM = 6.0


def trunk_hu(shape_zyx: tuple[int, int, int] = (30, 24, 24), voxel_mm: float = VOXEL_MM) -> NDArray[np.int16]:
    """A cylinder of soft tissue with a rim of fat and a column of bone, in air; slightly uneven."""
    z, y, x = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * voxel_mm for n in shape_zyx], indexing="ij")
    radius = np.hypot(x, y)
    hu = np.where(radius < 66, -90.0, -1000.0)
    hu = np.where(radius < 54, 45.0, hu)
    hu = np.where(np.hypot(x - 2, y + 5) < 17, 320.0, hu) + 10 * np.sin(x / 9 + y / 7 + z / 5)
    return np.round(hu).astype(np.int16)


def trunk_image() -> sitk.Image:
    """The same as an image with its voxel size."""
    image = sitk.GetImageFromArray(trunk_hu())
    image.SetSpacing([VOXEL_MM] * 3)
    return image
