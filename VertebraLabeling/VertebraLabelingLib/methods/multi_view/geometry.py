"""Where a point is seen from each side: a circular orbit in the axial plane, perspective projection; without torch.

Frame: (z, y, x) mm from the middle of the projected window, z up, y to the back, x to the patient's left (LPS).
A view at angle a looks along d = (0, cos a, sin a), from the source at -source_axis_mm d.  Its columns rise along
u = (0, -sin a, cos a), its rows along -z, from head to feet.  So the view at angle 0 is antero-posterior, with the
patient's left on the right of the image, and the one at 90 degrees looks from the patient's right to the left.  Pixel
centres are at whole numbers; the middle of the window is seen at ((rows - 1) / 2, (columns - 1) / 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .settings import MultiViewSettings

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Views:
    """Projections of one window.  angles_rad: (K,), of any number and spacing; settings: everything else.

    ValueError unless there is a view and all sizes and distances are positive and finite.
    """

    angles_rad: Floats
    settings: MultiViewSettings

    def __post_init__(self) -> None:
        """Check, and keep the angles as an array of its own."""
        angles = np.array(self.angles_rad, dtype=np.float64)
        if angles.ndim != 1 or not angles.size or not np.isfinite(angles).all():
            raise ValueError(f"angles_rad must be a list of at least one finite angle, got {self.angles_rad!r}.")
        for name in ("spacing_mm", "source_axis_mm", "axis_detector_mm", "pixel_mm", "image_hw"):
            value = np.asarray(getattr(self.settings, name), float)
            if not np.all(np.isfinite(value) & (value > 0)):
                raise ValueError(f"{name} of the multi-view settings must be positive, got {value.tolist()}.")
        object.__setattr__(self, "angles_rad", angles)

    def __len__(self) -> int:
        """Number of views."""
        return len(self.angles_rad)

    @property
    def forward_zyx(self) -> Floats:
        """(K, 3): unit vectors d from the source through the axis."""
        zero = np.zeros(len(self))
        return np.stack([zero, np.cos(self.angles_rad), np.sin(self.angles_rad)], axis=1)

    @property
    def across_zyx(self) -> Floats:
        """(K, 3): unit vectors u along which columns rise."""
        zero = np.zeros(len(self))
        return np.stack([zero, -np.sin(self.angles_rad), np.cos(self.angles_rad)], axis=1)

    @property
    def sources_zyx_mm(self) -> Floats:
        """(K, 3): where the rays of each view start."""
        return -self.settings.source_axis_mm * self.forward_zyx

    def project(self, points_zyx_mm: ArrayLike) -> Floats:
        """(K, n, 2): fractional (row, column) of points (n, 3); NaN where a point is not in front of the source."""
        points = np.asarray(points_zyx_mm, float)
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"Points must have the shape (n, 3), as z, y, x in mm; got {points.shape}.")
        distance = self.settings.source_axis_mm
        depth_mm = distance + self.forward_zyx @ points.T
        to_axis = distance / np.where(depth_mm > 0, depth_mm, np.nan)
        at_axis_mm = np.stack([-points[:, 0] * to_axis, (self.across_zyx @ points.T) * to_axis], axis=-1)
        return at_axis_mm / self.settings.pixel_mm + self._middle

    def rays(self, view: int, pixels: ArrayLike) -> tuple[Floats, Floats]:
        """Source (3,) of a view, and the unit directions (m, 3) from it through pixels (m, 2) of (row, column)."""
        pixels = np.asarray(pixels, float)
        if pixels.ndim != 2 or pixels.shape[1] != 2:
            raise ValueError(f"Pixels must have the shape (m, 2), as row, column; got {pixels.shape}.")
        down_mm, across_mm = ((pixels - self._middle) * self.settings.pixel_mm).T
        source = self.sources_zyx_mm[view]
        through = across_mm[:, None] * self.across_zyx[view] - source
        through[:, 0] = -down_mm
        return source, through / np.linalg.norm(through, axis=1, keepdims=True)

    @property
    def _middle(self) -> Floats:
        """(row, column) of the middle of an image."""
        return (np.array(self.settings.image_hw, float) - 1) / 2


def equal_views(settings: MultiViewSettings, number: int | None = None, first_rad: float = 0.0) -> Views:
    """`number` views (default: that of the settings), equally spaced over 360 degrees, from `first_rad` on.

    ValueError when the number is below one.
    """
    number = settings.views if number is None else number
    if number < 1:
        raise ValueError(f"At least one view is needed, got {number}.")
    return Views(first_rad + np.arange(number) * (2 * np.pi / number), settings)
