"""A CT as a value: Hounsfield units and their place in the patient."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .geometry import Geometry

Voxels = NDArray[np.float32] | NDArray[np.int16]


@dataclass(frozen=True)
class Scan:
    """A CT volume.

    hu: (z, y, x), Hounsfield units; float32, or int16 as most files store them, in half of the memory.  geometry: its
    grid in LPS mm.  name: for messages; never a patient's name.  notes: what a reader had to say about the input, one
    sentence each; they end in the run record.
    """

    hu: Voxels
    geometry: Geometry
    name: str = "scan"
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.hu.shape != self.geometry.shape_zyx:
            raise ValueError(f"array {self.hu.shape} and geometry {self.geometry.shape_zyx} differ")

    def part(self, low_zyx: NDArray[np.integer], high_zyx: NDArray[np.integer]) -> Scan:
        """The voxels from index `low_zyx` up to, but not including, `high_zyx`, where they are; a view, not a copy."""
        z, y, x = (slice(int(a), int(b)) for a, b in zip(low_zyx, high_zyx, strict=True))
        hu = self.hu[z, y, x]
        nz, ny, nx = hu.shape
        ox, oy, oz = (float(v) for v in self.geometry.lps_from_index_zyx(np.asarray(low_zyx, float)))
        grid = Geometry((nz, ny, nx), self.geometry.spacing_xyz_mm, (ox, oy, oz), self.geometry.direction)
        return Scan(hu, grid, self.name, self.notes)

    def to_sitk(self) -> sitk.Image:
        """SimpleITK image with the same numbers and geometry."""
        image = sitk.GetImageFromArray(self.hu)
        image.SetSpacing(self.geometry.spacing_xyz_mm)
        image.SetOrigin(self.geometry.origin_lps_mm)
        image.SetDirection(self.geometry.direction)
        return image


def geometry_of(image: sitk.Image) -> Geometry:
    """Geometry of a 3-D SimpleITK image."""
    i, j, k = image.GetSize()
    return Geometry((k, j, i), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
